"""What the plan checks of results: that who reads them means what who tells them does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ..contracts import Operator, Sink
from ..errors import GraphError
from ..memory import remembers
from ..nodes import FAILED, LATE, Node, Port, is_a
from .results import Results

__all__ = ["check_filled", "check_taken"]

_EACH_ONCE = Results("append")


def check_filled(nodes: Mapping[str, Node], inputs: Mapping[str, tuple[Port, ...]]) -> None:
    """Raise GraphError, with file and line, where two fill a table, or one would misread results.

    What an operator tells reaches a table as it is through all that remembers nothing. Of one that
    does not say which results it tells, nothing is known, and nothing refused.
    """
    known: dict[str, Node] = {}
    for node in nodes.values():
        sink = cast("Sink[object]", node.work) if is_a(node.work, Sink) else None
        if sink is None or sink.table is None:
            continue
        first = known.setdefault(sink.table.casefold(), node)
        if first is not node:
            raise GraphError(
                f"{first.name!r} and {node.name!r} both fill the table {sink.table!r}: unite the "
                "streams, or give one of the tables another name",
                where=node.where,
            )
        if sink.takes is not None:
            _check(node, f"the table {sink.table!r}", sink.takes, _above(node, nodes, inputs))
            _check_key(node, f"the table {sink.table!r}", sink.takes, nodes, inputs)


def check_taken(nodes: Mapping[str, Node], inputs: Mapping[str, tuple[Port, ...]]) -> None:
    """Raise GraphError, with file and line, where one adds up what another tells more than once.

    Of what has changed, a function in between may choose what is new. The whole result comes again
    whatever it chooses.
    """
    for node in nodes.values():
        if not is_a(node.work, Operator):
            continue
        takes = cast("Operator[object, object]", node.work).takes
        if takes is None or takes.mode != "append":
            continue
        direct = {str(port) for port in inputs[node.name]}
        for name, results in _above(node, nodes, inputs).items():
            if results is None or results.mode == "append":
                continue
            if results.mode == "update" and name not in direct:
                continue
            told = (
                "the whole result each time" if results.mode == "complete" else "what has changed"
            )
            raise GraphError(
                f"{node.name!r} adds up what comes, and {name!r} tells {told} "
                f"(mode={results.mode!r}), so that it would be added again and again: group the "
                f"rows above {name!r} by the keys that are wanted here, or let a window tell each "
                "result once (mode='append')",
                where=node.where,
            )


def _above(
    node: Node, nodes: Mapping[str, Node], inputs: Mapping[str, tuple[Port, ...]]
) -> dict[str, Results | None]:
    """What is told to a node, by the names of those that tell it."""
    found: dict[str, Results | None] = {}
    left, seen = list(inputs[node.name]), set[Port]()
    while left:
        port = left.pop(0)
        if port in seen:
            continue
        seen.add(port)
        above = nodes[port.node]
        if above.kind == "source" or port.name in (FAILED, LATE):
            found[str(port)] = _EACH_ONCE
        elif remembers(above.work):
            found[str(port)] = cast("Operator[object, object]", above.work).results
        else:
            left += inputs[above.name]
    return found


def _check(node: Node, table: str, takes: Results, above: Mapping[str, Results | None]) -> None:
    told = {name: results.mode for name, results in above.items() if results is not None}
    whole = [name for name, mode in told.items() if mode == "complete"]
    if takes.mode == "complete":
        for name, mode in told.items():
            if mode == "append":
                raise GraphError(
                    f"{table} puts each whole result in the place of the one before "
                    f"(mode='complete'), and {name!r} tells each row once: say mode='append', or "
                    "group the rows with mode='complete' above it",
                    where=node.where,
                )
            if mode == "update":
                raise GraphError(
                    f"{table} puts each whole result in the place of the one before "
                    f"(mode='complete'), and {name!r} tells only what has changed: say "
                    f"mode='complete' there, or mode='update' and key= here",
                    where=node.where,
                )
        if len(above) > 1 and whole:
            raise GraphError(
                f"{table} puts each whole result in the place of the one before "
                f"(mode='complete'), and {' and '.join(map(repr, above))} would take each other's "
                "place: fill a table with each of them",
                where=node.where,
            )
    elif takes.mode == "append" and whole:
        raise GraphError(
            f"{table} adds what comes (mode='append'), and {whole[0]!r} tells the whole result "
            "each time, so that it would stand there again and again: say mode='complete' for the "
            "table",
            where=node.where,
        )


def _check_key(
    node: Node,
    table: str,
    takes: Results,
    nodes: Mapping[str, Node],
    inputs: Mapping[str, tuple[Port, ...]],
) -> None:
    """Of the results of one operator none may take the place of another."""
    for port in inputs[node.name]:
        above = nodes[port.node]
        if takes.mode != "update" or port.name in (FAILED, LATE) or not is_a(above.work, Operator):
            continue
        results = cast("Operator[object, object]", above.work).results
        key = () if results is None or results.key is None else results.key
        missing = [name for name in key if name not in (takes.key or ())]
        if missing:
            raise GraphError(
                f"{table} has the key {list(takes.key or ())}, and the results of {above.name!r} "
                f"are told apart by {list(key)}: without {', '.join(map(repr, missing))} some "
                "would take the place of others",
                where=node.where,
            )
