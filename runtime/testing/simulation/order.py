"""Where the order of lanes is determined: what of a target can be compared in order."""

from __future__ import annotations

from collections import Counter

from ...contracts import Sink, Source
from ...memory import remembers
from ...nodes import Node
from ...plan import Plan

__all__ = ["in_order"]


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
        if isinstance(actor.nodes[-1].work, Sink) and actor.name not in loose:
            if all(count == 1 for count in ways[actor.name].values()):
                found.append(actor.nodes[-1].name)
        for port, readers in plan.readers.items():
            if port.node in inside:
                for reader in readers:
                    ways[names[reader].name].update(ways[actor.name])
                    if actor.name in loose:
                        loose.add(reader)
    return frozenset(found)


def _loosens(node: Node) -> bool:
    """Whether records may overtake one another here, or it is not told which became which."""
    return not node.options.ordered or node.kind == "map_batch" or remembers(node.work)
