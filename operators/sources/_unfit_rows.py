"""The rows of a file of which some do not fit: each is looked at, and the bad ones are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import orjson

from ...runtime.contracts import Columns, DataError, Rejected, arrow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from ._file_pieces import Piece

__all__ = ["fitting_csv", "fitting_lines", "fraction_in"]

_ROWS = 16_384
_SHOWN = 4096
"""Bytes of a bad line that are kept."""

_SPACE = b" \t\r\n"


def fitting_lines(
    link: DuckDBPyConnection,
    query: str,
    plain: str,
    shown: str,
    types: Mapping[str, str],
    whole: Sequence[str],
    start: int,
) -> Iterator[Piece]:
    """The rows of NDJSON from `start` on. The reader makes nulls of what does not fit.

    So only the lines of rows with a null are looked at, and whether a null is what stands there;
    where numbers are not whole any more, each is, since the reader rounds them.
    """
    pa = arrow()
    at = 0
    with open(plain, "rb") as file:
        lines = _numbered(file)
        for batch in link.sql(query).to_arrow_reader(_ROWS):
            here = [line for _, line in zip(range(batch.num_rows), lines, strict=False)]
            if len(here) < batch.num_rows:
                raise DataError(f"{shown}: the lines of the file do not agree with its rows")
            nulls = [batch.column(index).is_null().to_pylist() for index in range(len(types))]
            good: list[int] = []
            rejected: list[Rejected] = []
            for index in range(max(0, start - at), batch.num_rows):
                missing = [n for n, null in zip(types, nulls, strict=False) if null[index]]
                number, line = here[index]
                why = _unfit(line, missing, types, whole) if missing or whole else None
                if why is None:
                    good.append(index)
                else:
                    error = DataError(f"{shown}, line {number}: {why}")
                    text = line[:_SHOWN].decode("utf-8", "backslashreplace")
                    rejected.append(Rejected(at + index, text, error))
            if good or rejected:
                table = pa.Table.from_batches([batch]).take(pa.array(good, type=pa.int64()))
                yield _piece(Columns(table), [at + index for index in good], rejected)
            at += batch.num_rows


def _piece(columns: Columns, positions: Sequence[int], rejected: list[Rejected]) -> Piece:
    from ._file_pieces import Piece

    return Piece(columns, positions, rejected)


def _numbered(file: Any) -> Iterator[tuple[int, bytes]]:
    """The lines that hold anything, with their numbers from 1."""
    for number, line in enumerate(cast("Iterator[bytes]", file), 1):
        stripped = line.strip(_SPACE)
        if stripped:
            yield number, stripped


def _unfit(
    line: bytes, missing: Sequence[str], types: Mapping[str, str], whole: Sequence[str]
) -> str | None:
    """Why a line makes no row; None where it does, and what is missing is missing there too."""
    try:
        row: object = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        return f"no whole JSON: {error}"
    if not isinstance(row, dict):
        return f"an object is needed, not {type(row).__name__}"
    values = cast("dict[str, object]", row)
    for name in missing:
        if values.get(name) is not None:
            return f"column {name!r} is {types[name]}, not {values[name]!r:.80}"
    for name in whole:
        value = values.get(name)
        if isinstance(value, float) and not value.is_integer():
            return f"column {name!r} is {types[name]}, not {value!r}"
    return None


def fraction_in(line: bytes, whole: Sequence[str]) -> bool:
    """Whether a line has a fraction in one of these columns; a line that is cut has none."""
    try:
        row: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    values = cast("dict[str, object]", row) if isinstance(row, dict) else {}
    found = map(values.get, whole)
    return any(isinstance(one, float) and not one.is_integer() for one in found)


def fitting_csv(
    link: DuckDBPyConnection, query: str, plain: str, shown: str, start: int
) -> Iterator[Piece]:
    """The rows of CSV from `start` on; the reader tells the lines that it could not take.

    A row stands at the number of its line, the one below the header being 0.
    """
    pa = arrow()
    table = link.sql(query).to_arrow_table()
    found: list[tuple[Any, ...]] = link.execute(
        "select line, any_value(csv_line), any_value(error_message) from reject_errors "
        "group by line order by line"
    ).fetchall()
    link.execute("drop table if exists reject_errors")
    link.execute("drop table if exists reject_scans")
    bad = {int(line) - 2: (str(text), str(why)) for line, text, why in found}
    positions: list[int] = []
    at = 0
    while len(positions) < table.num_rows:
        if at not in bad:
            positions.append(at)
        at += 1
    kept = [index for index, position in enumerate(positions) if position >= start]
    rejected = [
        Rejected(place, text, DataError(f"{shown}, line {place + 2}: {why.splitlines()[0]}"))
        for place, (text, why) in bad.items()
        if place >= start
    ]
    rows = table.take(pa.array(kept, type=pa.int64()))
    yield _piece(Columns(rows), [positions[index] for index in kept], rejected)
