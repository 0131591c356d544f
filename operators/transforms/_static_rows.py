"""Where the rows come from that a stream is joined with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...runtime.contracts import Columns, MisconfiguredError, Row, arrow

if TYPE_CHECKING:
    from ...runtime.contracts import Tables

__all__ = ["Rows", "rows_of_file", "rows_of_query"]

Rows = Callable[["Tables"], tuple[Sequence[str], Iterable[Mapping[str, Any]]]]
"""What loads the rows, in a thread, with the names of the columns that are known without them; it
is given the tables of the job.
"""

_SUFFIXES = (".parquet", ".csv", ".ndjson", ".json")

_WIDEST = 2.0**63

_SECONDS, _ROWS, _SIZE = 60.0, 10_000_000, 2**30
"""What the answer to a query of the job's own tables may take."""


def rows_of_file(path: str | os.PathLike[str]) -> Rows:
    """The rows of a file. Raises ValueError for a name that tells no format."""
    name = os.fspath(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"file ends in one of {', '.join(_SUFFIXES)}, not as {name!r} does")

    def rows(tables: Tables) -> tuple[Sequence[str], Iterable[Row]]:
        pa = arrow()
        try:
            table = _read(name, suffix)
            _check(name, suffix, table.schema)
            columns = Columns(table)
            return columns.names, columns.rows()
        except (OSError, pa.ArrowException) as error:
            raise MisconfiguredError(f"the table {name!r} cannot be read: {error}") from error

    return rows


def _read(name: str, suffix: str) -> Any:
    table = _read_as(name, suffix, {})
    if suffix == ".parquet":
        return table
    for field in table.schema:
        if table.schema.get_field_index(field.name) < 0:
            continue  # Two have this name.
        if _is_huge(table.column(field.name)):
            with suppress(arrow().ArrowInvalid):  # There are fractions among them.
                found = _read_as(name, suffix, {field.name: arrow().decimal128(38, 0)})
                place = table.schema.get_field_index(field.name)
                table = table.set_column(place, field.name, found.column(field.name))
    return table


def _check(name: str, suffix: str, schema: Any) -> None:
    """Raise MisconfiguredError for columns that would be lost, or would be no text."""
    names = schema.names
    double = next((one for one in names if names.count(one) > 1), None)
    if double is not None:
        raise MisconfiguredError(f"the table {name!r} has two columns of the name {double!r}")
    for field in schema:
        if suffix == ".csv" and arrow().types.is_binary(field.type):
            # The reader makes bytes of the whole column, which equal no text.
            raise MisconfiguredError(
                f"the table {name!r} holds what is no UTF-8 in the column {field.name!r}: "
                "make it UTF-8"
            )


def _is_huge(column: Any) -> bool:
    """Whether some numbers are beyond 64 bits: of whole ones the last digits are lost."""
    if not arrow().types.is_floating(column.type):
        return False
    import pyarrow.compute as functions

    compute: Any = functions
    far = compute.greater_equal(compute.abs(column), _WIDEST)
    return bool(compute.any(compute.and_(compute.is_finite(column), far)).as_py())


def _read_as(name: str, suffix: str, types: Mapping[str, Any]) -> Any:
    """The table, with these types of columns."""
    if suffix == ".parquet":
        import pyarrow.parquet as parquet

        reading: Any = parquet
        return reading.read_table(name)
    if suffix == ".csv":
        import pyarrow.csv as csv

        reading = csv
        how = reading.ConvertOptions(column_types=dict(types))
        return reading.read_csv(name, convert_options=how)
    import pyarrow.json as json

    reading = json
    schema = arrow().schema(list(types.items())) if types else None
    how = reading.ParseOptions(explicit_schema=schema)
    return reading.read_json(name, parse_options=how)


def rows_of_query(query: str) -> Rows:
    """What a SELECT finds in the tables of the job. Raises QueryError, when it is asked."""

    def rows(tables: Tables) -> tuple[Sequence[str], Iterable[Row]]:
        answer = tables.find(query, seconds=_SECONDS, rows=_ROWS, size=_SIZE)
        return answer.names, answer.rows()

    return rows
