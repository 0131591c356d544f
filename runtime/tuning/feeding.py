"""Which nodes can find their settings, and what cuts the batches for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from ..contracts import BatchFunction
from ..errors import GraphError
from ..nodes import Node, Port, Regroup, is_a

__all__ = ["as_tunable", "check_tuned"]


def as_tunable(node: Node) -> BatchFunction[object, object] | None:
    """The work of a node whose calls are measured and may be repeated, such as `score`."""
    if not is_a(node.work, BatchFunction):
        return None
    work = cast("BatchFunction[object, object]", node.work)
    return work if work.repeatable else None


def check_tuned(
    nodes: Mapping[str, Node],
    inputs: Mapping[str, Sequence[Port]],
    consumers: Mapping[Port, Sequence[str]],
) -> None:
    """Raise GraphError for a node that is to tune itself and could do but a part of it.

    The size of its batches matters most, and belongs to the `batch` before it: who asks for the
    best settings would not expect to get only the calls at once.
    """
    for node in nodes.values():
        if not is_a(node.work, BatchFunction):
            continue
        work = cast("BatchFunction[object, object]", node.work)
        if work.tune is not None:
            why = _obstacle(node, work, nodes, inputs[node.name], consumers)
            if why is not None:
                raise GraphError(
                    f"{node.name!r} is to tune itself (tune=…), {why}", where=node.where
                )


def _obstacle(
    node: Node,
    work: BatchFunction[object, object],
    nodes: Mapping[str, Node],
    inputs: Sequence[Port],
    consumers: Mapping[Port, Sequence[str]],
) -> str | None:
    if not work.repeatable:
        return "and its calls may not be repeated: set repeatable = True, or leave tune out"
    above = [nodes[port.node] for port in inputs]
    if len(above) != 1 or not isinstance(above[0].work, Regroup):
        read = ", ".join(repr(one.name) for one in above)
        return (
            f"and reads {read}, which cuts no batches: the size it should find is that of a .batch "
            f"right before it. Say .batch(64).via({node.name!r}, …), or set max_in_flight by hand "
            "and leave tune out"
        )
    if above[0].work.max_batch_size is None:
        return (
            f"and {above[0].name!r} before it cuts by bytes alone: give it a max_batch_size to "
            "begin with"
        )
    others = [name for name in consumers.get(inputs[0], ()) if name != node.name]
    if others:
        return (
            f"and {above[0].name!r} before it cuts for {', '.join(map(repr, others))} too: give "
            "each a .batch of its own"
        )
    return None
