"""Where the rows come from that a stream is joined with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
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
            columns = Columns(_read(name, suffix))
            return columns.names, columns.rows()
        except (OSError, pa.ArrowException) as error:
            raise MisconfiguredError(f"the table {name!r} cannot be read: {error}") from error

    return rows


def _read(name: str, suffix: str) -> Any:
    if suffix == ".parquet":
        import pyarrow.parquet as parquet

        reading: Any = parquet
        return reading.read_table(name)
    if suffix == ".csv":
        import pyarrow.csv as csv

        reading = csv
        return reading.read_csv(name)
    import pyarrow.json as json

    reading = json
    return reading.read_json(name)


def rows_of_query(query: str) -> Rows:
    """What a SELECT finds in the tables of the job. Raises QueryError, when it is asked."""

    def rows(tables: Tables) -> tuple[Sequence[str], Iterable[Row]]:
        answer = tables.find(query, seconds=_SECONDS, rows=_ROWS, size=_SIZE)
        return answer.names, answer.rows()

    return rows
