"""Columns of Arrow as lines of CSV, without an object for any value."""

from __future__ import annotations

import re
from typing import Any

from ...runtime.contracts import Columns, DataError, arrow
from ._csv_form import CsvForm
from ._csv_lines import CsvLines

__all__ = ["lines_of"]

_ROWS = 65_536
"""So many are made lines at once: what is made on the way there takes several times their size."""


def lines_of(columns: Columns, lines: CsvLines) -> tuple[bytearray, dict[int, Exception]]:
    """The lines of these rows, and the errors of those that make none, by index.

    Texts are the same as those of records, but that the parts of a second have as many digits as
    the type of the column, and that times with a zone are told in UTC.
    """
    try:
        data = _at_once(columns, lines.form)
    except arrow().ArrowException:
        data = None
    if data is not None:
        return data, {}
    try:
        rows = columns.rows()
    except Exception as error:
        told = DataError(f"these columns hold what Python does not: {error}")
        return bytearray(), dict.fromkeys(range(len(columns)), told)
    return lines.of(rows)


def _at_once(columns: Columns, form: CsvForm) -> bytearray | None:
    """The lines; None where there may be something that only rows can tell."""
    data = bytearray()
    for start in range(0, len(columns), _ROWS):
        table = columns[start : start + _ROWS].table
        cells = [_cells(table.column(name), form) for name in form.columns]
        if any(cell is None for cell in cells):
            return None
        data += _joined(cells, form)
    # A NUL is refused, and a row says where it is.
    return None if b"\0" in data else data


def _joined(cells: list[Any], form: CsvForm) -> bytearray:
    import pyarrow.compute as functions

    compute: Any = functions
    text = arrow().large_string()
    delimiter, end, nothing = (arrow().scalar(one, text) for one in (form.delimiter, "\n", ""))
    # With one column too, this is what puts something in the place of null.
    rows = compute.binary_join_element_wise(
        *cells, delimiter, null_handling="replace", null_replacement=form.empty
    )
    rows = compute.binary_join_element_wise(rows, nothing, end)
    data = bytearray()
    for chunk in rows.chunks if hasattr(rows, "chunks") else [rows]:
        # The texts of an array stand behind one another: they are the lines.
        _, offsets, texts = chunk.buffers()
        if len(chunk):
            places: Any = memoryview(offsets).cast("q")
            first, last = places[chunk.offset], places[chunk.offset + len(chunk)]
            data += memoryview(texts)[first:last]
    return data


def _cells(column: Any, form: CsvForm) -> Any:
    """A column as cells, nulls left as they are; None where it is of a kind that rows are for."""
    import pyarrow.compute as functions

    compute: Any = functions
    types, kind = arrow().types, column.type
    text = arrow().large_string()
    if types.is_dictionary(kind):
        return _cells(column.cast(kind.value_type), form)
    if types.is_string(kind) or types.is_large_string(kind):
        return _texts(column.cast(text), form)
    if types.is_timestamp(kind):
        # Without its zone the time is in UTC, and takes a tenth of the time to write.
        plain = column.cast(arrow().timestamp(kind.unit)).cast(text)
        plain = compute.replace_substring(plain, " ", "T", max_replacements=1)
        return plain if kind.tz is None else _with(plain, "+00:00")
    if types.is_floating(kind):
        return _numbers(column)
    if any(
        is_kind(kind)
        for is_kind in (
            types.is_integer,
            types.is_boolean,
            types.is_date,
            types.is_time,
            types.is_decimal,
            types.is_null,
        )
    ):
        return column.cast(text)
    return None


def _with(cells: Any, ending: str) -> Any:
    import pyarrow.compute as functions

    compute: Any = functions
    text = arrow().large_string()
    return compute.binary_join_element_wise(
        cells, arrow().scalar(ending, text), arrow().scalar("", text)
    )


def _numbers(column: Any) -> Any:
    """Numbers with a point: who sees 1 and 2 would take the column for one of whole numbers."""
    import pyarrow.compute as functions

    compute: Any = functions
    if arrow().types.is_float16(column.type):
        column = column.cast(arrow().float32())
    plain = column.cast(arrow().large_string())
    whole = compute.equal(compute.floor(column), column)
    if not compute.any(whole).as_py():
        return plain
    # Those that have an exponent are not taken for whole anyway.
    whole = compute.and_(whole, compute.match_substring_regex(plain, r"^-?[0-9]+$"))
    return compute.if_else(whole, _with(plain, ".0"), plain)


def _texts(column: Any, form: CsvForm) -> Any:
    import pyarrow.compute as functions

    compute: Any = functions
    if form.null and compute.any(compute.equal(column, form.null)).as_py():
        return None
    odd = compute.match_substring_regex(column, f"^$|[{re.escape(form.quoted)}]")
    if not compute.any(odd).as_py():
        return column
    quote = arrow().scalar('"', column.type)
    doubled = compute.replace_substring(column, '"', '""')
    quoted = compute.binary_join_element_wise(
        quote, doubled, quote, arrow().scalar("", column.type)
    )
    return compute.if_else(odd, quoted, column)
