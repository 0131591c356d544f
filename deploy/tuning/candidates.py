"""Which operator of a graph is to be tuned."""

from __future__ import annotations

from ...runtime.errors import ThalwegError
from ...runtime.graph import Graph
from ...runtime.nodes import Node, nearest
from ...runtime.tuning.feeding import as_tunable

__all__ = ["Untunable", "chosen"]


class Untunable(ThalwegError):
    """There is no such operator in the graph, or nothing of it can be searched for."""


def chosen(graph: Graph, name: str | None) -> Node:
    """The node of this name, or the only one that can be tuned. Raises Untunable.

    >>> try:
    ...     chosen(Graph("empty"), None)
    ... except Untunable as error:
    ...     print(str(error).partition(":")[0])
    graph 'empty' has nothing to tune
    """
    nodes = {node.name: node for node in graph.nodes}
    able = [node.name for node in graph.nodes if as_tunable(node) is not None]
    listed = ", ".join(able)
    if not able:
        raise Untunable(
            f"graph {graph.name!r} has nothing to tune: what can be is an operator whose calls may "
            "be repeated, such as score(…), or a BatchFunction that says repeatable = True"
        )
    if name is None:
        if len(able) > 1:
            raise Untunable(f"--operator says which one to tune: {listed}")
        return nodes[able[0]]
    if name not in nodes:
        raise Untunable(
            f"graph {graph.name!r} has no operator {name!r}.{nearest(name, able)} "
            f"What can be tuned: {listed}"
        )
    if name not in able:
        raise Untunable(
            f"{name!r} is a {nodes[name].kind} whose calls are not measured and may not be "
            f"repeated: nothing of it can be tuned. What can be: {listed}"
        )
    return nodes[name]
