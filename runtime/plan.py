"""Plans: a graph checked, with its neighbours fused and its failed ports resolved."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from .contracts import ColumnOperator, Operator, Sink
from .dataclass import dataclass
from .errors import GraphError
from .forms import Conversion, in_columns, made_of, wanted, works_on_columns
from .memory import remembers as _remembers
from .nodes import FAILED, LATE, Node, Port, is_a, nearest, overrides
from .stream import is_async
from .tables.filling import check_filled, check_taken
from .timing import check_times, needs_origins
from .tuning.feeding import check_tuned

if TYPE_CHECKING:
    from .graph import Graph
    from .promises import Promise

__all__ = ["Plan", "PlannedActor"]

_FUSIBLE = ("map", "filter", "flat_map", "map_batch", "key_by")


@dataclass(frozen=True, slots=True)
class PlannedActor:
    """One actor to be: its nodes in order, and whether it tracks exact origins.

    `makes` is what its inbox must make of what comes in: rows of columns, or columns of rows.
    """

    name: str
    nodes: tuple[Node, ...]
    exact: bool
    remembers: bool = False
    makes: Conversion | None = None
    columns: bool = False

    @property
    def shape(self) -> str:
        """What kind of actor it will be."""
        node = self.nodes[0]
        if node.kind in _FUSIBLE:
            return "calls" if is_async(node.work) else "chain"
        if node.kind == "operator" and is_a(node.work, ColumnOperator):
            return "columns"
        if node.kind == "event_time" and works_on_columns(node):
            return "column_time"
        return "calls" if node.kind == "function" else node.kind

    @property
    def piles(self) -> bool:
        """Whether the batches that wait are worked on together.

        Only where nothing is lost with it: what comes out then has no origins anyway, or those of
        each row.
        """
        if self.shape != "columns":
            return self.shape == "column_time"
        return self.remembers or cast("ColumnOperator", self.nodes[0].work).row_by_row


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph that can start: `actors` in the order of the stream, and who reads which port.

    `readers` maps each port to the actors that read it; a failed port that goes nowhere of its
    own is read by what reads `graph.failed`, and one with no reader at all fails the job. `wanted`
    names the columns that are asked for of a source, where not all of them are.
    """

    graph: Graph
    actors: tuple[PlannedActor, ...]
    readers: Mapping[Port, tuple[str, ...]]
    wanted: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, graph: Graph) -> Plan:
        """Check a graph and plan it. Raises GraphError with file and line."""
        nodes = {node.name: node for node in graph.nodes}
        inputs = _resolve_failed(nodes)
        _check_inputs(nodes, inputs)
        order = _sorted(nodes, inputs)
        consumers = _consumers(inputs)
        _check_outputs(nodes, consumers)
        for node in nodes.values():
            _check_memory(node)
        check_filled(nodes, inputs)
        check_taken(nodes, inputs)
        check_times(nodes, inputs)
        check_tuned(nodes, inputs, consumers)
        groups = _fuse(order, inputs, consumers) if graph.fuse else [[node] for node in order]
        exact = _exact(nodes, consumers)
        columns = in_columns(order, inputs)
        actors = tuple(
            PlannedActor(
                "+".join(node.name for node in group),
                tuple(group),
                exact=group[-1].name in exact,
                remembers=_remembers(group[0].work),
                makes=made_of(group[0], inputs, columns),
                columns=any(port in columns for port in inputs[group[0].name]),
            )
            for group in groups
        )
        first = {actor.nodes[0].name: actor.name for actor in actors}
        inside = {node.name for actor in actors for node in actor.nodes[1:]}
        readers = {
            port: tuple(first[name] for name in names if name not in inside)
            for port, names in consumers.items()
        }
        read = {port: names for port, names in readers.items() if names}
        return cls(graph, actors, read, wanted(order, inputs))

    def keys_above(self, name: str) -> dict[str, int]:
        """The version of each key function from which the keys of this node's memory come."""
        nodes = {node.name: node for node in self.graph.nodes}
        found: dict[str, int] = {}
        above = [port.node for port in nodes[name].inputs]
        while above:
            node = nodes[above.pop()]
            if node.kind == "key_by":
                found[node.name] = node.options.key_version
            elif node.kind not in ("source", "operator"):
                above += [port.node for port in node.inputs if port.node in nodes]
        return found

    def promises(self, *, store: bool) -> tuple[Promise, ...]:
        """What is promised for each path from a source to a sink, with a store or without."""
        from .promises import promises_of

        return promises_of(self, store=store)

    def text(self) -> str:
        """The plan as a person reads it."""
        from .drawing import as_text

        return as_text(self)

    def mermaid(self) -> str:
        """The plan as a Mermaid flowchart."""
        from .drawing import as_mermaid

        return as_mermaid(self)

    def as_dict(self) -> dict[str, object]:
        """The plan as plain data, ready for JSON."""
        from .drawing import as_dict

        return as_dict(self)


def _resolve_failed(nodes: Mapping[str, Node]) -> dict[str, tuple[Port, ...]]:
    """The inputs of each node, with `graph.failed` replaced by the failed ports that it means.

    Those are the ports that go nowhere of their own. What stands below `graph.failed` is left
    out: a dead letter about a dead letter fails the job, it does not go round.
    """
    from .graph import GRAPH

    everything = Port(GRAPH, FAILED)
    if not any(everything in node.inputs for node in nodes.values()):
        return {name: node.inputs for name, node in nodes.items()}
    below: set[str] = set()
    grown = True
    while grown:
        grown = False
        for node in nodes.values():
            if node.name not in below and any(
                port == everything or port.node in below for port in node.inputs
            ):
                below.add(node.name)
                grown = True
    wired = {port for node in nodes.values() for port in node.inputs}
    meant = tuple(
        Port(name, FAILED)
        for name in nodes
        if name not in below and Port(name, FAILED) not in wired
    )
    return {
        name: tuple(
            dict.fromkeys(
                one for port in node.inputs for one in (meant if port == everything else (port,))
            )
        )
        for name, node in nodes.items()
    }


def _check_inputs(nodes: Mapping[str, Node], inputs: Mapping[str, tuple[Port, ...]]) -> None:
    for name, ports in inputs.items():
        for port in ports:
            upstream = nodes.get(port.node)
            if upstream is None:
                raise GraphError(
                    f"{name!r} reads {str(port)!r}, and there is no node {port.node!r}."
                    + nearest(port.node, nodes),
                    where=nodes[name].where,
                )
            known = (*upstream.ports, FAILED)
            if port.name not in known:
                raise GraphError(
                    f"{name!r} reads the port {port.name!r} of {port.node!r}, which has "
                    f"{list(known)}." + nearest(port.name, known),
                    where=nodes[name].where,
                )


def _sorted(nodes: Mapping[str, Node], inputs: Mapping[str, tuple[Port, ...]]) -> list[Node]:
    """The nodes with every one behind those it reads. Raises GraphError for a cycle."""
    waiting = {name: {port.node for port in ports} for name, ports in inputs.items()}
    order: list[Node] = []
    free = deque(name for name, needs in waiting.items() if not needs)
    while free:
        done = free.popleft()
        order.append(nodes[done])
        for name, needs in waiting.items():
            if done in needs:
                needs.discard(done)
                if not needs:
                    free.append(name)
    if len(order) < len(nodes):
        stuck = [name for name in nodes if nodes[name] not in order]
        raise GraphError(
            f"the nodes {stuck} read one another in a circle: a graph flows one way",
            where=nodes[stuck[0]].where,
        )
    return order


def _consumers(inputs: Mapping[str, tuple[Port, ...]]) -> dict[Port, list[str]]:
    consumers: dict[Port, list[str]] = {}
    for name, ports in inputs.items():
        for port in ports:
            consumers.setdefault(port, []).append(name)
    return consumers


def _check_outputs(nodes: Mapping[str, Node], consumers: Mapping[Port, list[str]]) -> None:
    for node in nodes.values():
        if node.kind != "source" and not node.inputs:
            raise GraphError(f"nothing flows into {node.name!r}", where=node.where)
        for name in node.ports:
            if name != LATE and Port(node.name, name) not in consumers:
                what = f"the port {name!r} of {node.name!r}" if name != "out" else repr(node.name)
                raise GraphError(
                    f"what comes out of {what} goes nowhere: send it .to(…) a sink",
                    where=node.where,
                )


def _check_memory(node: Node) -> None:
    work = node.work
    if not is_a(work, Operator):
        return
    if _remembers(work):
        return
    timed = overrides(work, Operator, "wake_at", "on_wake", "on_watermark", "on_end")
    if timed:
        raise GraphError(
            f"{node.name!r} ({type(work).__name__}) emits outside process ({', '.join(timed)}) and "
            "declares no memory: keep what it holds in a KeyedState, or write snapshot and restore",
            where=node.where,
        )


def _fuse(
    order: Iterable[Node],
    inputs: Mapping[str, tuple[Port, ...]],
    consumers: Mapping[Port, list[str]],
) -> list[list[Node]]:
    """Neighbouring plain functions in one group, where nobody else reads what is between them."""
    groups: dict[str, list[Node]] = {}
    for node in order:
        group = [node]
        ports = inputs[node.name]
        if (_fuses(node) or _calls_only(node)) and len(ports) == 1 and ports[0].name == "out":
            above = groups.get(ports[0].node)
            if above is not None and _fuses(above[-1]) and len(consumers[ports[0]]) == 1:
                above.append(node)
                group = above
        groups[node.name] = group
    found: list[list[Node]] = []
    for group in groups.values():
        if not any(group is other for other in found):
            found.append(group)
    return found


def _calls_only(node: Node) -> bool:
    """Whether this is a sink that is no more than a plain function."""
    if node.kind != "sink" or node.options.on_failure != "stop":
        return False
    return cast("Sink[object]", node.work).function is not None


def _fuses(node: Node) -> bool:
    return node.kind in _FUSIBLE and not is_async(node.work)


def _exact(nodes: Mapping[str, Node], consumers: Mapping[Port, list[str]]) -> set[str]:
    """The nodes below which someone sends dead letters on, or asks for times or keys of records:
    there origins must be exact.
    """
    below: dict[str, set[str]] = {name: set() for name in nodes}
    for port, names in consumers.items():
        if port.name != FAILED:
            below[port.node].update(names)
    exact: set[str] = set()
    grown = True
    while grown:
        grown = False
        for name in nodes:
            if name not in exact and any(
                Port(other, FAILED) in consumers or other in exact or needs_origins(nodes[other])
                for other in below[name]
            ):
                exact.add(name)
                grown = True
    return exact
