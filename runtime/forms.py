"""In which form records cross each channel: one by one, or in columns; and where that changes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from time import perf_counter
from typing import Literal, cast

from .columns import Columns, arrow
from .contracts import ColumnOperator, Sink
from .errors import MissingExtra
from .event_time import EventTime
from .nodes import FAILED, LATE, Node, Port, is_a, overrides
from .roles import as_source

__all__ = [
    "Conversion", "cost_of_conversion", "in_columns", "made_of", "wanted", "works_on_columns",
]  # fmt: skip

Conversion = Literal["rows", "columns"]
"""What is made at an inbox: of columns, or of rows."""

_SAMPLE = 1024


def in_columns(order: list[Node], inputs: Mapping[str, tuple[Port, ...]]) -> frozenset[Port]:
    """The ports that hand on columns; `order` has each node behind those it reads."""
    found: set[Port] = set()
    for node in order:
        source = as_source(node.work)
        if source is not None:
            gives = source.gives_columns
        elif node.kind == "batch":
            gives = all(port in found for port in inputs[node.name])
        else:
            gives = works_on_columns(node)
        if gives:
            found.update(Port(node.name, name) for name in node.ports if name != FAILED)
    return frozenset(found)


def made_of(
    node: Node, inputs: Mapping[str, tuple[Port, ...]], columns: frozenset[Port]
) -> Conversion | None:
    """What must be made at the inbox of a node of what comes in, or of some of it."""
    ports = inputs[node.name]
    if works_on_columns(node):
        return None if all(port in columns for port in ports) else "columns"
    if not any(port in columns for port in ports):
        return None
    if node.kind == "batch":
        # The same records in new batches: columns stay columns, unless records are among them.
        return None if all(port in columns for port in ports) else "rows"
    return None if takes_columns(node) else "rows"


def wanted(order: list[Node], inputs: Mapping[str, tuple[Port, ...]]) -> dict[str, frozenset[str]]:
    """The columns that are asked for of each source; without those of which all are wanted."""
    readers: dict[Port, list[str]] = {}
    for node in order:
        for port in inputs[node.name]:
            readers.setdefault(port, []).append(node.name)
    asked: dict[str, frozenset[str] | None] = {}

    def of_readers(port: Port) -> frozenset[str] | None:
        found: frozenset[str] | None = frozenset()
        for reader in readers.get(port, ()):
            found = _both(found, asked[reader])
        return found

    for node in reversed(order):
        below = of_readers(Port(node.name))
        if is_a(node.work, ColumnOperator):
            # What comes too late is handed on as it came.
            late = of_readers(Port(node.name, LATE))
            asked[node.name] = _both(cast("ColumnOperator", node.work).asks_for(below), late)
        elif works_on_columns(node):
            late = of_readers(Port(node.name, LATE))
            time = frozenset({str(cast("EventTime", node.work).column)})
            asked[node.name] = _both(_both(below, late), time)
        else:
            asked[node.name] = below if node.kind in ("source", "batch") else None
    return {
        node.name: columns
        for node in order
        if node.kind == "source" and (columns := asked[node.name]) is not None
    }


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or other is None else one | other


def works_on_columns(node: Node) -> bool:
    """Whether a node takes columns and makes columns: records become columns in front of it."""
    if is_a(node.work, EventTime):
        return cast("EventTime", node.work).column is not None
    return is_a(node.work, ColumnOperator)


def takes_columns(node: Node) -> bool:
    """Whether this is a sink that writes columns as they are."""
    return is_a(node.work, Sink) and bool(
        overrides(cast("Sink[object]", node.work), Sink, "write_columns")
    )


@cache
def cost_of_conversion(made: Conversion) -> str:
    """What a conversion costs on this machine, in words: measured now, with rows of ten columns."""
    try:
        pa = arrow()
    except MissingExtra:
        return "not measured: pyarrow is not installed"
    numbers = range(_SAMPLE)
    sample = Columns(
        pa.table(
            {f"whole_{at}": pa.array(numbers, pa.int64()) for at in range(3)}
            | {f"number_{at}": pa.array(numbers, pa.float64()) for at in range(3)}
            | {f"text_{at}": [f"text {number}" for number in numbers] for at in range(4)}
        )
    )
    best = float("inf")
    for _ in range(3):
        rows = sample.rows()
        began = perf_counter()
        if made == "rows":
            sample.rows()
        else:
            pa.Table.from_pylist(rows)
        best = min(best, perf_counter() - began)
    return f"about {best / _SAMPLE * 1e6:.1f} µs a record of ten columns, measured here"
