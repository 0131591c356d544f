"""From a plan to actors that are joined by channels."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from .actors import Actor, RegroupActor, Surroundings, make_actor
from .channel import Channel, Inbox
from .contracts import ColumnOperator
from .converting import Converting
from .dataclass import replace
from .merge import Merge
from .nodes import FAILED, Port
from .piling import Piling
from .plan import Plan, PlannedActor
from .roles import as_source, source_role

__all__ = ["started_anew", "wire"]

_PROTOTYPES = ("source", "function", "operator", "event_time", "sink")


def wire(plan: Plan, around: Surroundings) -> tuple[Actor, ...]:
    """The actors of a plan, with operators of their own, in the order of the plan."""
    graph = plan.graph
    made = {planned.name: make_actor(_copied(planned, plan), around) for planned in plan.actors}
    inboxes: dict[str, list[Channel]] = {name: [] for name in made}
    for actor in made.values():
        outlets = {Port(actor.nodes[-1].name, p): o for p, o in actor.outlets.items()}
        outlets |= {Port(name, FAILED): outlet for name, outlet in actor.failed.items()}
        for port, outlet in outlets.items():
            for reader in plan.readers.get(port, ()):
                channel = Channel(
                    f"{port} -> {reader}",
                    max_batches=graph.channel_batches,
                    max_records=graph.channel_records,
                    max_bytes=graph.channel_bytes,
                    loop=around.loop,
                )
                outlet.add(channel)
                inboxes[reader].append(channel)
    rows = {planned.name for planned in plan.actors if planned.makes == "rows"}
    piles = {planned.name for planned in plan.actors if planned.piles}
    for name, channels in inboxes.items():
        if channels:
            inbox: Inbox = channels[0] if len(channels) == 1 else Merge(channels)
            actor = made[name]
            if name in rows:
                inbox = Converting(inbox, around.limit, actor.each[0], actor.monotonic)
            elif name in piles:
                inbox = Piling(inbox)
            actor.inbox = inbox
    _join_dials(plan, made)
    _introduce(plan, made)
    return tuple(made.values())


def _join_dials(plan: Plan, made: Mapping[str, Actor]) -> None:
    """Let who calls set how the batches for it are cut, where nobody else reads them."""
    for actor in made.values():
        if len(actor.nodes[0].inputs) != 1:
            continue
        port = actor.nodes[0].inputs[0]
        feeder = made.get(port.node)
        if isinstance(feeder, RegroupActor) and plan.readers.get(port) == (actor.name,):
            actor.fed_by(feeder)


def _introduce(plan: Plan, made: Mapping[str, Actor]) -> None:
    """Tell operators over columns who else is given the same ones, and no others."""
    inputs: dict[str, frozenset[Port]] = {}
    for port, readers in plan.readers.items():
        for name in readers:
            inputs[name] = inputs.get(name, frozenset()) | {port}
    alike: dict[frozenset[Port], list[ColumnOperator]] = {}
    for name, ports in inputs.items():
        work = made[name].nodes[0].work
        if isinstance(work, ColumnOperator):
            alike.setdefault(ports, []).append(work)
    for ports, several in alike.items():
        for work in several if len(several) > 1 else []:
            work.beside([other for other in several if other is not work])
        port = next(iter(ports))
        if len(ports) == 1 and len(plan.readers[port]) == len(several):
            _tell_source(made.get(port.node), port, several)


def _tell_source(actor: Actor | None, port: Port, readers: Sequence[ColumnOperator]) -> None:
    """Tell a source what these, who are all that read it, make of its columns."""
    if actor is None or len(actor.nodes) != 1 or port.name != "out":
        return
    source = as_source(actor.nodes[0].work)
    if source is not None and source.makes_digests:
        digest = readers[0].digest()
        if all(work.digest() is digest for work in readers[1:]):
            source.digest = digest


def started_anew(plan: Plan) -> frozenset[str]:
    """The sources that count their records from 0 after each start."""
    return frozenset(
        node.name
        for node in plan.graph.nodes
        if (source := as_source(node.work)) is not None and source_role(source) != "seeks"
    )


def _copied(planned: PlannedActor, plan: Plan) -> PlannedActor:
    """The actor with operators of its own: those in the graph are prototypes."""
    nodes = tuple(
        replace(node, work=copy.copy(node.work)) if node.kind in _PROTOTYPES else node
        for node in planned.nodes
    )
    source = as_source(nodes[0].work)
    if source is not None and nodes[0].name in plan.wanted:
        source.wanted = plan.wanted[nodes[0].name]
    return replace(planned, nodes=nodes)
