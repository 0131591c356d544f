"""What is promised for each path from a source to a sink, and why."""

from __future__ import annotations

from typing import Literal, cast

from .contracts import Sink, Source
from .dataclass import dataclass
from .nodes import Node
from .plan import Plan
from .roles import as_sink, as_source, sink_role, source_role

__all__ = ["Delivery", "Promise", "promises_of", "sources_above", "tables_of", "triggers_above"]

Delivery = Literal["exactly once", "at least once", "at most once"]


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised for the records of one source at one sink, across restarts, and why."""

    source: str
    sink: str
    delivery: Delivery
    why: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.sink}: {self.delivery}: {self.why}"


def promises_of(plan: Plan, *, store: bool) -> tuple[Promise, ...]:
    """The promise of each path, for a job that has a store or for one that has none."""
    nodes = {node.name: node for node in plan.graph.nodes}
    found: list[Promise] = []
    for node in plan.graph.nodes:
        if as_sink(node.work) is not None:
            found += [
                _promise(nodes[source], node, store=store)
                for source in sources_above(plan, node.name)
            ]
    return tuple(found)


def sources_above(plan: Plan, name: str) -> list[str]:
    """The sources above a node, in the order of the graph."""
    above: dict[str, set[str]] = {node.name: set() for node in plan.graph.nodes}
    first = {actor.nodes[0].name: actor for actor in plan.actors}
    names = {actor.name: actor for actor in plan.actors}
    for port, readers in plan.readers.items():
        for reader in readers:
            above[names[reader].nodes[0].name].add(port.node)
    for actor in first.values():
        for before, after in zip(actor.nodes, actor.nodes[1:], strict=False):
            above[after.name].add(before.name)
    seen: set[str] = set()
    left = [name]
    while left:
        for upper in above[left.pop()] - seen:
            seen.add(upper)
            left.append(upper)
    return [n.name for n in plan.graph.nodes if n.name in seen and as_source(n.work)]


def tables_of(plan: Plan) -> list[str]:
    """The names of the tables that the graph fills."""
    sinks = [as_sink(node.work) for node in plan.graph.nodes]
    return [sink.table for sink in sinks if sink is not None and sink.table is not None]


def triggers_above(plan: Plan, name: str) -> frozenset[str]:
    """The sources above a node that say what belongs together."""
    works = {node.name: node.work for node in plan.graph.nodes}
    return frozenset(
        one
        for one in sources_above(plan, name)
        if cast("Source[object]", works[one]).gives_triggers
    )


def _promise(source: Node, sink: Node, *, store: bool) -> Promise:
    delivery, why = (_with_store if store else _without_store)(source, sink)
    return Promise(source.name, sink.name, delivery, why)


def _without_store(source: Node, sink: Node) -> tuple[Delivery, str]:
    if cast("Source[object]", source.work).redelivers:
        return "at least once", f"{source.name} delivers again what had not arrived"
    return "at least once", "while the process lives; a start begins anew"


def _with_store(source: Node, sink: Node) -> tuple[Delivery, str]:
    target = cast("Sink[object]", sink.work)
    role = source_role(cast("Source[object]", source.work))
    if role == "loses":
        return (
            "at most once",
            f"what is under way is lost with the process ({source.name} is lossy)",
        )
    if role == "redelivers" and source.options.identity is None:
        return (
            "at least once",
            f"{source.name} delivers again what it had not acked, and nothing tells that apart: "
            "name the id of a record by identity=",
        )
    goes_on = (
        f"{source.name} goes on from its position"
        if role == "seeks"
        else f"{source.name} passes over the ids of the last epoch when they come again"
    )
    if target.table is not None and sink_role(target) != "commits":
        return (
            "at most once",
            f"the table {target.table} is gone with the process, and filled anew by what follows",
        )
    match sink_role(target):
        case "commits":
            gap = f" ({target.gap})" if target.gap else ""
            return "exactly once", f"{goes_on}, {sink.name} commits with the epoch{gap}"
        case "keyed":
            return (
                "at least once",
                f"{goes_on}; what {sink.name} got since the last epoch comes again, with the same "
                "idempotency key",
            )
        case "repeats":
            return (
                "at least once",
                f"{goes_on}; what {sink.name} got since the last epoch comes again",
            )
