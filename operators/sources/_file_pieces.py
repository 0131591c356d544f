"""One file, read in pieces of columns: quickly while all rows fit, then row by row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...runtime.contracts import Columns, DataError, Rejected, arrow
from ._file_listing import Found
from ._file_schema import Format, Schema, described, quoted, reader
from ._inflated import inflated
from ._unfit_rows import fitting_csv, fitting_lines, fraction_in

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Piece", "pieces_of", "schema_of_file"]

ROWS = 65_536
"""Rows of one piece."""

WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER")
_STRETCHES = 8
_STRETCH = 8192
"""Bytes: so much of each file, in so many places, is looked at for numbers that are not whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file, where they stand in it, and what could not be made a row."""

    columns: Columns
    positions: Sequence[int]
    rejected: list[Rejected] = field(default_factory=list[Rejected])


def pieces_of(
    link: DuckDBPyConnection,
    file: Found,
    kind: Format,
    schema: Schema,
    *,
    wanted: Sequence[str],
    max_ratio: float,
    start: int = 0,
) -> Iterator[Piece]:
    """The rows of a file from the row `start` on. A file that cannot be read is one rejection.

    All the work is done in the thread that asks for the next piece.
    """
    import duckdb

    at = start
    try:
        with ExitStack() as open_until_read:
            plain = open_until_read.enter_context(inflated(file.path, max_ratio))
            if kind != "parquet" and os.path.getsize(plain) == 0:
                return
            if kind == "parquet":
                _check_columns(link, plain, file.path, schema, wanted)
            slowly = kind == "ndjson" and _not_whole(plain, schema, wanted)
            if not slowly:
                try:
                    for table in _tables(link, _query(plain, kind, schema, wanted), at):
                        yield Piece(Columns(table), range(at, at + table.num_rows))
                        at += table.num_rows
                    return
                except (duckdb.Error, _Broken) as error:
                    if kind == "parquet":
                        raise DataError(f"{file.path}: {error}") from None
            # A row does not fit, or is torn: only this file is read again, and each row asked.
            query = _query(plain, kind, schema, wanted, bad=True)
            if kind == "csv":
                yield from fitting_csv(link, query, plain, file.path, at)
            else:
                types = {name: schema[name] for name in wanted}
                whole = [name for name in wanted if schema[name] in WHOLE]
                yield from fitting_lines(link, query, plain, file.path, types, whole, at)
    except FileNotFoundError:
        yield _nothing(file, f"{file.path} vanished before it was read", at, link, schema, wanted)
    except (OSError, DataError, duckdb.Error) as error:
        told = str(error) if isinstance(error, DataError) else f"{file.path}: {error}"
        yield _nothing(file, told, at, link, schema, wanted)


def schema_of_file(
    link: DuckDBPyConnection, path: str, kind: Format, max_ratio: float
) -> Schema | None:
    """The columns of a file by a sample of it; None where it has no rows, or none can be seen."""
    import duckdb

    try:
        with inflated(path, max_ratio) as plain:
            if kind != "parquet" and not os.path.getsize(plain):
                return None
            found = described(link, reader(plain, kind, None))
    except (OSError, DataError, duckdb.Error):
        return None  # When it is read it is rejected, and says why.
    return None if list(found) == ["json"] and kind == "ndjson" else found


def _query(
    path: str, kind: Format, schema: Schema, wanted: Sequence[str], *, bad: bool = False
) -> str:
    names = ", ".join(map(quoted, wanted)) or "1 as nothing"
    held = {name: schema[name] for name in wanted} if kind == "ndjson" and wanted else schema
    if kind == "parquet":
        names = ", ".join(f"cast({quoted(n)} as {schema[n]}) as {quoted(n)}" for n in wanted)
    return f"select {names} from {reader(path, kind, held, bad=bad)}"


class _Broken(Exception):
    """The reader came to something that it cannot take, some way into the file."""


def _tables(link: DuckDBPyConnection, query: str, start: int) -> Iterator[Any]:
    """The rows of a query from `start` on, some at a time."""
    pa = arrow()
    left = start
    batches: Iterator[Any] = iter(link.sql(query).to_arrow_reader(ROWS))
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise _Broken(str(error)) from None  # Arrow tells it in its own words.
        if batch is None:
            return
        table = pa.Table.from_batches([batch])
        if left >= table.num_rows:
            left -= table.num_rows
            continue
        yield table.slice(left) if left else table
        left = 0


def _not_whole(path: str, schema: Schema, wanted: Sequence[str]) -> bool:
    """Whether numbers that were whole are not so in this file: the quick reader would round.

    That is a matter of whole files, so a few stretches of each are looked at.
    """
    whole = [name for name in wanted if schema[name] in WHOLE]
    if not whole:
        return False
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        for at in range(0, size, max(_STRETCH, size // _STRETCHES)):
            file.seek(at)
            if any(fraction_in(line, whole) for line in file.read(_STRETCH).split(b"\n")):
                return True
    return False


def _check_columns(
    link: DuckDBPyConnection, path: str, shown: str, schema: Schema, wanted: Sequence[str]
) -> None:
    found = described(link, reader(path, "parquet", None))
    for name in wanted:
        if name not in found:
            raise DataError(f"{shown} has no column {name!r}: it has {list(found)}")
        narrower = found[name] in WHOLE and schema[name] in ("BIGINT", "HUGEINT", "DOUBLE")
        if found[name] != schema[name] and not narrower:
            raise DataError(f"{shown}: column {name!r} is {found[name]}, not {schema[name]}")


def _nothing(
    file: Found,
    why: str,
    at: int,
    link: DuckDBPyConnection,
    schema: Schema,
    wanted: Sequence[str],
) -> Piece:
    """No rows, and the file, from here on, as something that could not be read."""
    names = ", ".join(f"cast(null as {schema[n]}) as {quoted(n)}" for n in wanted) or "1 as nothing"
    table = link.sql(f"select {names} limit 0").to_arrow_table()
    return Piece(Columns(table), range(at, at), [Rejected(at, file.path, DataError(why))])
