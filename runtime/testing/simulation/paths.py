"""Who stands below whom, and where the order of lanes is determined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import cast

from ...contracts import Operator, Sink, Source
from ...memory import remembers
from ...nodes import Node, overrides
from ...plan import Plan

__all__ = ["below", "by_clock", "in_order", "mixing", "sinks_of"]


def in_order(plan: Plan) -> frozenset[str]:
    """The sinks to which one path leads from each source, along which nothing is overtaken.

    Where two paths of one source meet, as below a fan-out, a record of one may come before or
    after those of the other, also without any fault.
    """
    names = {actor.name: actor for actor in plan.actors}
    ways: dict[str, Counter[str]] = {actor.name: Counter() for actor in plan.actors}
    loose: set[str] = set()
    found: list[str] = []
    for actor in plan.actors:
        first, inside = actor.nodes[0], {node.name for node in actor.nodes}
        if isinstance(first.work, Source):
            ways[actor.name][first.name] = 1
        if any(_loosens(node) for node in actor.nodes):
            loose.add(actor.name)
        single = all(count == 1 for count in ways[actor.name].values())
        if isinstance(actor.nodes[-1].work, Sink) and single and actor.name not in loose:
            found.append(actor.nodes[-1].name)
        for port, readers in plan.readers.items():
            if port.node in inside:
                for reader in readers:
                    ways[names[reader].name].update(ways[actor.name])
                    if actor.name in loose:
                        loose.add(reader)
    return frozenset(found)


def below(plan: Plan, nodes: Collection[str]) -> list[Node]:
    """These nodes, and all that what they emit may come to."""
    names = {actor.name: actor for actor in plan.actors}
    reached = {a.name for a in plan.actors if any(node.name in nodes for node in a.nodes)}
    for actor in plan.actors:  # They stand in the order of the stream.
        if actor.name in reached:
            inside = {node.name for node in actor.nodes}
            for port, readers in plan.readers.items():
                if port.node in inside:
                    reached.update(readers)
    return [node for name in names if name in reached for node in names[name].nodes]


def mixing(plan: Plan, lanes: Mapping[str, int]) -> list[str]:
    """The operators that go by the times of records of several lanes: what is late for them
    depends on how far each lane has come, and so on how they are mixed.

    `lanes` is the number of those of each source; what an operator makes of its memory is one more.
    """
    asking: list[str] = []
    for node in plan.graph.nodes:
        if _goes_by("event", node):
            above = [one for one in plan.graph.nodes if _leads(plan, one.name, node.name)]
            strands = sum(lanes.get(one.name, 0) for one in above)
            strands += sum(remembers(one.work) and one.kind == "operator" for one in above)
            if strands > 1:
                asking.append(node.name)
    return asking


def by_clock(plan: Plan) -> list[str]:
    """The operators that go by the time at which a record comes."""
    return [node.name for node in plan.graph.nodes if _goes_by("processing", node)]


def _goes_by(clock: str, node: Node) -> bool:
    """Whether this is an operator that asks for the times of records, by this clock."""
    if not isinstance(node.work, Operator):
        return False
    work = cast("Operator[object, object]", node.work)
    return work.clock == clock and bool(overrides(work, Operator, "process_at"))


def _leads(plan: Plan, one: str, other: str) -> bool:
    return one != other and any(node.name == other for node in below(plan, [one]))


def sinks_of(nodes: Collection[Node]) -> list[str]:
    """The names of those that are sinks."""
    return [node.name for node in nodes if isinstance(node.work, Sink)]


def _loosens(node: Node) -> bool:
    """Whether records may overtake one another here, or it is not told which became which."""
    return not node.options.ordered or node.kind == "map_batch" or remembers(node.work)
