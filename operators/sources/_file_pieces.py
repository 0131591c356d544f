"""One file, read in pieces of columns: quickly while all rows fit, then row by row.

What only CSV needs, or only a file of which a row does not fit, is imported when one comes.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from ...runtime.contracts import Columns, DataError, MisconfiguredError, Rejected, arrow, dataclass
from ._engine import Broken, Engine, Link, OutOfMemory
from ._file_listing import Found
from ._file_schema import Format, Schema, described, quoted, reader, text
from ._inflated import inflated
from ._piece import Piece
from ._whole_numbers import as_read, columns, oddness

if TYPE_CHECKING:
    from ._csv_header import CsvHeader
    from ._file_digest import FileDigest

__all__ = ["pieces_of"]

ROWS = 65_536
"""Rows of one piece."""

_WIDER = {
    "DOUBLE": ("FLOAT", "TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"),
    "BIGINT": ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"),
    "HUGEINT": (
        *("BIGINT", "UBIGINT", "INTEGER", "UINTEGER", "SMALLINT", "USMALLINT"),
        *("TINYINT", "UTINYINT", "DECIMAL(38,0)"),  # The last is how Parquet has them itself.
    ),
    "INTEGER": ("TINYINT", "SMALLINT", "UTINYINT", "USMALLINT"),
}
"""The types of Parquet that become a wider one and lose nothing."""

_NOTHING = "nothing"
"""What is asked for where no column is wanted."""

_SHOWN = 300
"""Letters that are shown of what a reader says."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is asked of one file; `shown` is its name, `plain` where it stands unpacked."""

    link: Link
    shown: str
    plain: str
    kind: Format
    schema: Schema
    """Of the wanted columns."""


def pieces_of(
    link: Link,
    file: Found,
    kind: Format,
    schema: Schema,
    *,
    wanted: Sequence[str],
    max_ratio: float,
    start: int = 0,
    digest: FileDigest | None = None,
) -> Iterator[Piece]:
    """The rows of a file from the row `start` on. A file that cannot be read is one rejection.

    All the work is done in the thread that asks for the next piece. What the `digest` can make of a
    file comes in one piece, of which no row is read.
    """

    unread: Callable[[str, int, bool], Columns | None] | None = None
    if digest is not None and not start:
        again = partial(_read_again, file, kind, schema, wanted, max_ratio)
        unread = partial(digest.columns, link, read=again)
    at = start
    held = {name: schema[name] for name in wanted}
    try:
        with ExitStack() as open_until_read:
            plain = open_until_read.enter_context(inflated(file.path, max_ratio))
            reading = _Reading(link, file.path, plain, kind, held)
            size = os.path.getsize(plain)
            for piece in _pieces(reading, at, unread):
                at = piece.end
                yield piece
            _check_size(reading, size)
    except FileNotFoundError:
        yield _nothing(file, f"{file.path} vanished before it was read", at, link, held)
    except OutOfMemory:
        raise  # That is not the file's fault.
    except (OSError, DataError, Broken) as error:
        told = str(error) if isinstance(error, DataError) else f"{file.path}: {_short(error)}"
        yield _nothing(file, told, at, link, held)


def _pieces(
    reading: _Reading, start: int, unread: Callable[[str, int, bool], Columns | None] | None = None
) -> Iterator[Piece]:
    kind, link, at = reading.kind, reading.link, start
    if kind != "parquet" and os.path.getsize(reading.plain) == 0:
        return
    header = None
    if kind == "csv":
        from ._csv_header import csv_header

        header = csv_header(reading.plain)
        if header is None:
            return
        _check_header(header, reading)
    if kind == "parquet":
        _check_columns(reading)
    query = _query(reading, header)
    if unread is not None:
        found = unread(query, _size(reading), _tells_odd(reading))
        if found is not None:
            if len(found):
                yield Piece(found, range(len(found)))
            return
    try:
        for table in _tables(link, query, len(reading.schema), at):
            yield Piece(Columns(table), range(at, at + table.num_rows))
            at += table.num_rows
        return
    except Broken as error:
        if kind == "parquet" or isinstance(error, OutOfMemory):
            raise
    # A row does not fit, or is torn: only this file is read again, and each row asked.
    if header is not None:
        yield from _csv_that_fits(reading, header, at)
        return
    from ._unfit_lines import fitting_lines

    try:
        query = _query(reading, header, bad=True)
        for piece in fitting_lines(link, query, reading.plain, reading.shown, reading.schema, at):
            at = piece.end
            yield piece
        return
    except OutOfMemory:
        raise
    except Broken:
        pass  # There are lines that the reader gives up the whole file for.
    from ._tame_lines import tamed

    with tamed(reading.plain) as copy:
        query = _query(reading, header, bad=True, path=copy)
        yield from fitting_lines(
            link, query, reading.plain, reading.shown, reading.schema, at, tame=True
        )


def _csv_that_fits(reading: _Reading, header: CsvHeader, at: int) -> Iterator[Piece]:
    from ._unfit_csv import fitting_csv

    link, plain, shown, schema = reading.link, reading.plain, reading.shown, reading.schema
    query = _query(reading, header, bad=True)
    told = _query(reading, header, bad=True, told=True)
    try:
        for piece in fitting_csv(link, query, told, plain, shown, header, schema, at):
            at = piece.end
            yield piece
    except OutOfMemory:
        raise
    except Broken as error:
        from ._even_lines import evened, is_uneven

        if not is_uneven(str(error)):
            raise
        with evened(plain, header) as copy:
            if copy is None:
                raise
            yield from _pieces(_Reading(link, shown, copy, "csv", schema), at)


def _query(
    reading: _Reading,
    header: CsvHeader | None,
    *,
    bad: bool = False,
    told: bool = False,
    path: str | None = None,
) -> str:
    """What asks for the wanted columns and, last, for whether a row has to be looked at.

    Where no row has to be, and there are columns, nothing else is asked for. With `bad`, rows that
    do not fit are null, or left out in CSV, and with `told` noted.
    """
    schema, plain = reading.schema, path or reading.plain
    wanted = list(schema)
    if reading.kind == "parquet":
        asked = [f"cast({quoted(n)} as {schema[n]}) as {quoted(n)}" for n in wanted]
        odd, source = None, reader(plain, "parquet", None)
    else:
        asked, odd = columns(wanted, schema, bad=bad), oddness(wanted, schema)
        read = {name: as_read(kind) for name, kind in schema.items()}
        if header is None:
            source = reader(plain, "ndjson", read or {_NOTHING: "VARCHAR"}, bad=bad)
            # Of what is not asked for the reader does not look whether it stands in an object.
            odd = odd if wanted else f"contains({_NOTHING}, chr(0))"
        else:
            from ._csv_header import csv_reader

            how = ", store_rejects=true" if told else ", ignore_errors=true" if bad else ""
            source = csv_reader(plain, header, read, bad=how)
            if bad:
                asked += [f"{quoted(n)} as {quoted('as read: ' + n)}" for n in _rounded(schema)]
    if odd or bad or not asked:
        asked.append(f"coalesce({odd or 'false'}, false) as odd")
    return f"select {', '.join(asked)} from {source}"


def _size(reading: _Reading) -> int:
    """Bytes of the file; of Parquet one for each value at least, since those alike take none."""
    size = os.path.getsize(reading.plain)
    if reading.kind != "parquet":
        return size
    name = text(glob.escape(os.path.abspath(reading.plain)))
    ((rows,),) = reading.link.rows(f"select num_rows from parquet_file_metadata([{name}])")
    return max(size, int(rows) * len(reading.schema))


def _tells_odd(reading: _Reading) -> bool:
    """Whether what is asked for has one column more."""
    if not reading.schema:
        return True
    return reading.kind != "parquet" and oddness(list(reading.schema), reading.schema) is not None


def _rounded(schema: Schema) -> list[str]:
    return [name for name, kind in schema.items() if as_read(kind) != kind]


def _tables(link: Link, query: str, wanted: int, start: int) -> Iterator[Any]:
    """So many columns from the row `start` on, some rows at a time. Raises Broken if one is odd."""
    pa = arrow()
    left = start
    for batch in link.batches(query, ROWS):
        # The array itself knows: `pyarrow.compute` takes as long to load as some files to read.
        if batch.num_columns > wanted and batch.column(wanted).true_count:
            raise Broken("a number is not whole")
        names = batch.schema.names[:wanted] or ["nothing"]
        arrays = batch.columns[:wanted] or [pa.nulls(batch.num_rows, pa.int32())]
        table = pa.Table.from_arrays(arrays, names=names)
        if left >= table.num_rows:
            left -= table.num_rows
            continue
        yield table.slice(left) if left else table
        left = 0


def _read_again(
    file: Found, kind: Format, schema: Schema, wanted: Sequence[str], max_ratio: float, count: int
) -> Any:
    """The rows of a file that was read before, as a table, by an engine of its own."""
    engine = Engine()
    with closing(engine), closing(engine.link()) as link:
        pieces = list(pieces_of(link, file, kind, schema, wanted=wanted, max_ratio=max_ratio))
    if sum(len(one.columns) for one in pieces) != count or any(one.rejected for one in pieces):
        raise MisconfiguredError(
            f"{file.path} is another file than a moment ago: a file has to appear whole, as by a "
            "rename, and stay until its rows have arrived"
        )
    return Columns.join([one.columns for one in pieces]).table


def _check_size(reading: _Reading, size: int) -> None:
    """Raise DataError for a file that has shrunk: the reader takes it for one that is shorter."""
    try:
        left = os.path.getsize(reading.plain)
    except FileNotFoundError:
        return  # It was open, and what was open was read.
    if left < size:
        raise DataError(
            f"{reading.shown} shrank from {size:,} bytes to {left:,} while it was read, and what "
            "stood behind may be missing: a file appears whole, as by a rename, and stays as it is"
        )


def _check_header(header: CsvHeader, reading: _Reading) -> None:
    if any("\0" in name for name in header.names):
        raise DataError(f"{reading.shown} has a NUL in its header, as UTF-16 has: make it UTF-8")
    known = {name.lower() for name in header.names}
    for name in reading.schema:
        if name.lower() not in known:
            raise DataError(f"{reading.shown} has no column {name!r}: it has {list(header.names)}")


def _check_columns(reading: _Reading) -> None:
    found = described(reading.link, reader(reading.plain, "parquet", None))
    for name, kind in reading.schema.items():
        if name not in found:
            raise DataError(f"{reading.shown} has no column {name!r}: it has {list(found)}")
        if found[name] != kind and found[name] not in _WIDER.get(kind, ()):
            raise DataError(f"{reading.shown}: column {name!r} is {found[name]}, not {kind}")


def _short(error: Exception) -> str:
    """What a reader says, on one line of bounded length: it may show the whole of a row."""
    told = " ".join(str(error).split())
    return told if len(told) <= _SHOWN else told[:_SHOWN] + "…"


def _nothing(file: Found, why: str, at: int, link: Link, schema: Schema) -> Piece:
    """No rows, and the file, from here on, as something that could not be read."""
    names = ", ".join(f"cast(null as {kind}) as {quoted(name)}" for name, kind in schema.items())
    table = link.table(f"select {names or '1 as nothing'} limit 0")
    return Piece(Columns(table), range(at, at), [Rejected(at, file.path, DataError(why))])
