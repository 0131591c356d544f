"""The files as one table of DuckDB, read once, with whatever does not fit told by file and line."""

from __future__ import annotations

import glob
import gzip
import json
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...runtime.errors import MissingExtra, ThalwegError
from .found_files import Format, FoundFiles
from .limits import Limits

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Row", "bad_line", "connect", "fill", "quoted", "refused"]

Row = tuple[Any, ...]

_MALFORMED = re.compile(r'(?:Malformed JSON|Invalid JSON).*? in file "(.+?)"')
_MISTYPED = re.compile(r'in file "(.+?)", (?:at byte \d+ )?in (?:line|record/value) (\d+): (.+)')
_CSV_LINE = re.compile(r"CSV Error on Line: (\d+)")
_CSV_FILE = re.compile(r"^\s*file = (.+)$", re.MULTILINE)
_WIDEST = 60


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
    """Make the table `seen` of all rows; return how many were passed over as unreadable."""
    reading = _reader(found.filled, found.format, skip_bad=skip_bad)
    link.execute(f"create table seen as select * from {reading}")
    if not skip_bad or found.format == "parquet":
        return 0
    if found.format == "csv":
        return _number(link, "select count(distinct (file_id, line)) from reject_errors")
    columns: list[Row] = link.execute("describe seen").fetchall()
    nothing = " and ".join(f"{quoted(str(one[0]))} is null" for one in columns)
    return _number(link, f"delete from seen where {nothing}")


def _number(link: DuckDBPyConnection, query: str) -> int:
    row: Row | None = link.execute(query).fetchone()
    return int(row[0]) if row else 0


def _reader(paths: Sequence[str], kind: Format, *, skip_bad: bool) -> str:
    # No name is taken for a pattern here: which files are meant is known by now.
    names = ", ".join(_text(glob.escape(os.path.abspath(path))) for path in paths)
    if kind == "parquet":
        return f"read_parquet([{names}], union_by_name=true)"
    if kind == "csv":
        # Not both: DuckDB cannot tell what it rejected of files with columns of their own.
        more = "store_rejects=true" if skip_bad else "union_by_name=true"
        return f"read_csv([{names}], header=true, {more})"
    bad = ", ignore_errors=true" if skip_bad else ""
    return f"read_json([{names}], format='newline_delimited', union_by_name=true{bad})"


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def refused(error: Exception, found: FoundFiles) -> ThalwegError:
    """What DuckDB could not read, in words: which file, which line, and what to do."""
    text = str(error)
    rest = "put it right, or say --skip-bad to look at the rest"
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


def _known(path: str, found: FoundFiles) -> str:
    """The name under which a file was found."""
    return next((one for one in found.paths if os.path.abspath(one) == path), path)


def bad_line(path: str) -> tuple[int, str] | None:
    """The first line of a file that is no JSON object, and what it begins with."""
    opened = gzip.open(path, "rb") if path.lower().endswith(".gz") else open(path, "rb")  # noqa: SIM115
    with opened as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                fine = isinstance(json.loads(line), dict)
            except (ValueError, RecursionError):
                fine = False
            if not fine:
                return number, _shown(line.decode("utf-8", "replace").strip())
    return None


def _shown(text: str, widest: int = _WIDEST) -> str:
    """Text from outside on one line, without what could command a terminal."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= widest else plain[: widest - 1] + "…"
