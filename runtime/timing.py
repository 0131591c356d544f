"""What the plan checks of event time: that times are known where they are asked for, and in order.

`event_time` judges the records of each lane in their order, so what stands above it may mix no
lanes of several inputs and hide no order. Its times travel beside the records, so what stands
between it and who asks for them must say which record became which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from .contracts import ColumnOperator, Operator, Sink
from .errors import GraphError
from .memory import remembers
from .nodes import FAILED, LATE, Node, Port, is_a, overrides

__all__ = ["check_times", "needs_origins"]

Inputs = Mapping[str, tuple[Port, ...]]


def needs_origins(node: Node) -> bool:
    """Whether a node asks where each record came from, or when it happened."""
    if node.kind == "sink":
        return is_a(node.work, Sink) and bool(overrides(node.work, Sink, "write_keyed"))
    return node.kind == "event_time" or _asks_for_times(node)


def check_times(nodes: Mapping[str, Node], inputs: Inputs) -> None:
    """Raise GraphError, with file and line, where a time could not be known or not be judged."""
    for node in nodes.values():
        if node.kind == "event_time":
            _check_order(node, nodes, inputs)
        elif _asks_for_times(node):
            _check_times(node, nodes, inputs)


def _asks_for_times(node: Node) -> bool:
    if node.kind != "operator" or not is_a(node.work, Operator):
        return False
    operator = cast("Operator[object, object]", node.work)
    if is_a(operator, ColumnOperator):
        return bool(overrides(operator, ColumnOperator, "process_columns_at"))
    return operator.clock == "event" and bool(overrides(operator, Operator, "process_at"))


def _hides(node: Node) -> bool:
    """Whether it does not say which record became which."""
    if node.kind == "map_batch":
        return True
    return is_a(node.work, ColumnOperator) and not cast("ColumnOperator", node.work).row_by_row


def _check_order(node: Node, nodes: Mapping[str, Node], inputs: Inputs) -> None:
    reader = node
    while True:
        ports = inputs[reader.name]
        if len(ports) != 1:
            what = "reads" if reader is node else f"stands below {reader.name!r}, which reads"
            raise GraphError(
                f"{node.name!r} {what} a union of {', '.join(map(str, ports))}: event_time judges "
                "each lane in its own order. Say event_time on each stream before the union",
                where=node.where,
            )
        above = nodes[ports[0].node]
        if above.kind == "source" or remembers(above.work):
            return  # What memory makes is a strand of its own.
        if _hides(above):
            raise _hidden(node, above, "Say event_time above it, or use map")
        if not above.options.ordered:
            raise GraphError(
                f"{node.name!r} stands below {above.name!r}, whose results overtake one another "
                "(ordered=False): event_time judges records in order. Say event_time above it",
                where=node.where,
            )
        reader = above


def _check_times(node: Node, nodes: Mapping[str, Node], inputs: Inputs) -> None:
    seen: set[Port] = set()
    left = list(inputs[node.name])
    while left:
        port = left.pop()
        above = nodes[port.node]
        if port in seen:
            continue
        seen.add(port)
        if port.name == LATE:
            raise GraphError(
                f"{node.name!r} asks for the times of what came too late at {above.name!r}, which "
                "is older than the watermark says: say event_time on it anew",
                where=node.where,
            )
        if above.kind == "event_time" and port.name != FAILED:
            continue
        if above.kind == "source" or port.name == FAILED:
            raise GraphError(
                f"{node.name!r} asks for the times of records, and nothing above tells them, as "
                f"far as {port}: say .event_time(…) on that stream",
                where=node.where,
            )
        if _hides(above):
            # Below what remembers nothing it would be refused, too.
            below = "Say event_time below it, or use map"
            instead = below if remembers(above.work) else "Put map or filter in its place"
            raise _hidden(node, above, instead)
        if remembers(above.work):
            raise GraphError(
                f"{node.name!r} asks for the times of what {above.name!r} makes of its memory, "
                "which has none: say .event_time(…) below it",
                where=node.where,
            )
        left += inputs[above.name]


def _hidden(node: Node, above: Node, instead: str) -> GraphError:
    what = "the batch function" if above.kind == "map_batch" else "the operator on columns"
    return GraphError(
        f"{node.name!r} stands below {what} {above.name!r}, which hides which record "
        f"became which. {instead}",
        where=node.where,
    )
