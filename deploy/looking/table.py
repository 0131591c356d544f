"""The files as one table of DuckDB, read once, with whatever does not fit told by file and line."""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, cast

from ...operators.sources._csv_header import csv_header, records
from ...operators.sources._even_lines import evened, is_uneven
from ...operators.sources._file_schema import narrowed, quoted
from ...operators.sources._tame_lines import wild
from ...runtime.columns import arrow
from ...runtime.errors import MissingExtra, ThalwegError
from .found_files import PACKED, Format, FoundFiles
from .fractions import fractional, huge
from .limits import Limits

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Row", "bad_line", "bad_row", "connect", "fill", "quoted", "refused"]

Row = tuple[Any, ...]

_MALFORMED = re.compile(r'(?:Malformed JSON|Invalid JSON).*? in file "(.+?)"')
_MISTYPED = re.compile(r'in file "(.+?)", (?:at byte \d+ )?in (?:line|record/value) (\d+): (.+)')
_CSV_LINE = re.compile(r"CSV Error on Line: (\d+)")
_CSV_FILE = re.compile(r"^\s*file = (.+)$", re.MULTILINE)
_WIDEST = 60
_SAMPLE = 20_480
"""Lines by which DuckDB tells the columns of a file."""


def connect(folder: str, limits: Limits) -> DuckDBPyConnection:
    """A database in a folder, which may hold so much in memory, and loads no extension.

    Raises MissingExtra, and ThalwegError for an amount of memory that is none.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtra("thalweg look", "sql") from None
    try:
        return duckdb.connect(
            os.path.join(folder, "look.duckdb"),
            config={
                "memory_limit": limits.memory,
                "temp_directory": os.path.join(folder, "spilled"),
                "preserve_insertion_order": True,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
            },
        )
    except duckdb.Error:
        raise ThalwegError(
            f"--memory is an amount such as 500MB or 2GB, not {limits.memory!r}"
        ) from None


def fill(link: DuckDBPyConnection, found: FoundFiles, *, skip_bad: bool) -> int:
    """Make the table `seen` of all rows; return how many were passed over as unreadable.

    Raises ThalwegError where the first lines of NDJSON are not all objects.
    """
    reading = _reader(found.filled, found.format, skip_bad=skip_bad)
    link.execute(f"create table seen as select * from {reading}")
    if found.format == "ndjson":
        columns = _columns(link)
        if "json" in columns:
            # That is the name which DuckDB gives to what has none.
            for path in found.filled:
                _check_objects(path)
        if any(_is_numbered(name, columns) for name in columns):
            _check_names(found.filled)
    if found.format != "parquet":
        _widen(link, found, skip_bad=skip_bad)
    if not skip_bad or found.format == "parquet":
        return 0
    if found.format == "csv":
        return _number(link, "select count(distinct (file_id, line)) from reject_errors")
    nothing = " and ".join(f"{quoted(name)} is null" for name in _columns(link))
    return _number(link, f"delete from seen where {nothing}")


def _check_objects(path: str) -> None:
    """Raise ThalwegError where one of the lines that tell the columns is JSON, and no object."""
    with _opened(path) as lines:
        for number, line in enumerate(islice(lines, _SAMPLE), 1):
            if line.strip()[:1] in (b"", b"{"):
                continue
            try:
                odd = json.loads(line) is not None
            except (ValueError, RecursionError):
                odd = False  # It is torn, which is told elsewhere.
            if odd and number == 1:
                raise ThalwegError(
                    f"{path} holds no JSON objects, one a line: is it one array over many lines, "
                    "or another format? Say --format"
                )
            if odd:
                shown = _shown(line.decode("utf-8", "replace").strip())
                told = f"{path}, line {number} is no JSON object ({shown}): put it right"
                raise ThalwegError(told)


def _is_numbered(name: str, columns: dict[str, str]) -> bool:
    """Whether DuckDB may have put a number behind this name, since another is like it."""
    base, _, number = name.rpartition("_")
    return number.isdecimal() and any(base.lower() == one.lower() for one in columns)


def _check_names(paths: Sequence[str]) -> None:
    """Raise ThalwegError where names differ only in case: to a stream of files they are one."""
    names: dict[str, str] = {}
    for path in paths:
        with _opened(path) as lines:
            for line in islice(lines, _SAMPLE):
                try:
                    row: Any = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                for name in cast("dict[str, Any]", row) if isinstance(row, dict) else ():
                    alike = names.setdefault(name.lower(), name)
                    if alike != name:
                        raise ThalwegError(
                            f"{path} has {_shown(name)!r}, and there is {_shown(alike)!r} too: "
                            "names of columns that differ only in case are one, so put it right. "
                            "A stream of files reads one of them, if its schema says which"
                        )


def _opened(path: str) -> IO[bytes]:
    ending = os.path.splitext(path)[1].lower()
    if ending == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    plain = open(path, "rb")  # noqa: SIM115  whoever reads it closes it
    if ending not in PACKED:
        return plain
    packed: Any = arrow().CompressedInputStream(plain, "zstd")
    return cast("IO[bytes]", io.BufferedReader(packed))


def _columns(link: DuckDBPyConnection) -> dict[str, str]:
    described: list[Row] = link.execute("describe seen").fetchall()
    return {str(name): str(kind) for name, kind, *_ in described}


def _widen(link: DuckDBPyConnection, found: FoundFiles, *, skip_bad: bool) -> None:
    """Read anew what would be rounded, as fractions; what is of several types is text."""
    schema = _columns(link)

    def reading(types: dict[str, str]) -> str:
        return _reader(found.filled, found.format, skip_bad=skip_bad, types=types)

    wider = dict.fromkeys(fractional(link, schema, reading), "DOUBLE")
    if found.format == "ndjson":
        wider |= dict.fromkeys(huge(link, schema, reading), "HUGEINT")
    if wider:
        link.execute(
            f"create or replace table seen as select * from {reading({**schema, **wider})}"
        )
    for name, kind in schema.items():
        if kind == "JSON":
            column = quoted(name)
            link.execute(f"alter table seen alter {column} type varchar using {column} ->> '$'")
    _narrow(link)


def _narrow(link: DuckDBPyConnection) -> None:
    """Where 64 bits are enough, take no more: DuckDB does for what holds both 1 and -1."""
    import duckdb

    for name, kind in _columns(link).items():
        narrow = narrowed(kind)
        if narrow != kind:
            with suppress(duckdb.ConversionException):  # It holds numbers that are as large.
                link.execute(f"alter table seen alter {quoted(name)} type {narrow}")


def _number(link: DuckDBPyConnection, query: str) -> int:
    row: Row | None = link.execute(query).fetchone()
    return int(row[0]) if row else 0


def _reader(
    paths: Sequence[str], kind: Format, *, skip_bad: bool, types: dict[str, str] | None = None
) -> str:
    # No name is taken for a pattern here: which files are meant is known by now.
    names = ", ".join(_text(glob.escape(os.path.abspath(path))) for path in paths)
    if kind == "parquet":
        return f"read_parquet([{names}], union_by_name=true)"
    if kind == "csv":
        # Not both: DuckDB cannot tell what it rejected of files with columns of their own.
        more = "store_rejects=true" if skip_bad else "union_by_name=true"
        more += f", types={_typed(types)}" if types else ""
        plain = [path for path in paths if os.path.splitext(path)[1].lower() not in PACKED]
        # The header decides, not the rows: a torn one must not make one column of all.
        header = csv_header(plain[0]) if plain else None
        if header is not None:
            # Nor must it make the rows above it be passed over, as if they were no table.
            more += f", delim={_text(header.delimiter)}, skip={header.above}"
        return f"read_csv([{names}], header=true, quote='\"', escape='\"', {more})"
    bad = ", ignore_errors=true" if skip_bad else ""
    # Many columns of one type are columns all the same, and no map.
    held = "union_by_name=true, map_inference_threshold=-1"
    if types:
        held = f"columns={_typed(types)}, records=true"
    return f"read_json([{names}], format='newline_delimited', {held}{bad})"


def _typed(types: dict[str, str]) -> str:
    return "{" + ", ".join(f"{_text(name)}: {_text(kind)}" for name, kind in types.items()) + "}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def refused(error: Exception, found: FoundFiles) -> ThalwegError:
    """What DuckDB could not read, in words: which file, which line, and what to do."""
    text = str(error)
    if found.format == "csv" and (odd := _odd_csv(found.filled, text)):
        return ThalwegError(odd)
    rest = "put it right, or say --skip-bad to look at the rest"
    if "recursion depth" in text or "sniffing" in text:
        for path in found.filled:
            bad = bad_line(path) if found.format == "ndjson" else bad_row(path)
            if bad is not None:
                return ThalwegError(f"{path}, line {bad[0]} does not fit ({bad[1]}): {rest}")
    if malformed := _MALFORMED.search(text):
        path = _known(malformed[1], found)
        bad = bad_line(path)
        if bad is not None:
            return ThalwegError(f"{path}, line {bad[0]} is no JSON object ({bad[1]}): {rest}")
        return ThalwegError(f"{path} has a line that is no JSON object: {rest}")
    if mistyped := _MISTYPED.search(text):
        path = _known(mistyped[1], found)
        return ThalwegError(
            f"{path}, line {mistyped[2]} has another type than the lines before it "
            f"({_shown(mistyped[3])}): {rest}"
        )
    if line := _CSV_LINE.search(text):
        named = _CSV_FILE.search(text)
        path = _known(named[1].strip(), found) if named else "a file"
        why = next((one for one in text.splitlines() if one.startswith("Error when")), "")
        why = why or (text.splitlines()[2] if len(text.splitlines()) > 2 else "")
        return ThalwegError(f"{path}, line {line[1]} does not fit ({_shown(why, 120)}): {rest}")
    first = text.partition("\n")[0]
    return ThalwegError(f"the files cannot be read as {found.format}: {_shown(first, 300)}")


def _odd_csv(paths: Sequence[str], told: str) -> str | None:
    """What is odd about the whole of a plain CSV file, of which no line is to blame."""
    for path in paths:
        header = None if os.path.splitext(path)[1].lower() in PACKED else csv_header(path)
        if header is None:
            continue
        if any("\0" in name for name in header.names):
            return f"{path} has a NUL in its header, as UTF-16 has: make it UTF-8"
        if "sniffing" not in told and not is_uneven(told):
            continue
        with evened(path, header) as copy:
            if copy is not None:
                return (
                    f"{path} has lines that end in CRLF, and others that do not: put it right. "
                    "A stream of files reads it as it is"
                )
    return None


def _known(path: str, found: FoundFiles) -> str:
    """The name under which a file was found."""
    return next((one for one in found.paths if os.path.abspath(one) == path), path)


def bad_line(path: str) -> tuple[int, str] | None:
    """The first line of a file that is no JSON object, and what it begins with."""
    with _opened(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                fine = not wild(line) and isinstance(json.loads(line), dict)
            except (ValueError, RecursionError):
                fine = False
            if not fine:
                return number, _shown(line.decode("utf-8", "replace").strip())
    return None


def bad_row(path: str) -> tuple[int, str] | None:
    """The first row of a plain CSV file that has other cells than its header, and how it begins."""
    header = None if os.path.splitext(path)[1].lower() in PACKED else csv_header(path)
    if header is None:
        return None
    for _, line, row in records(path, header):
        try:
            cells = next(csv.reader([row], delimiter=header.delimiter, strict=True), list[str]())
        except csv.Error:
            return line, _shown(row)
        if len(cells) != len(header.names):
            return line, _shown(row)
    return None


def _shown(text: str, widest: int = _WIDEST) -> str:
    """Text from outside on one line, without what could command a terminal."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= widest else plain[: widest - 1] + "…"
