"""Looking at files: what is asked of them, and in which order."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...runtime.errors import ThalwegError
from ...runtime.nodes import nearest
from .findings import ColumnFindings, Counts, Findings
from .found_files import Format, FoundFiles, find_files
from .limits import Limits, Watched
from .table import Row, connect, fill, quoted, refused
from .unpacking import check_packed

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["look"]

_EXACT = 1_000_000
"""Up to so many rows distinct values are counted; of more they are estimated."""

_AT_ONCE = 10
"""Columns that are summed up in one pass: each takes memory."""

_MOST_GROUPS = 50
"""Combinations of values that are told."""

_JSON = re.compile(r"(?<![\w\"'])JSON(?=[\[\],)]|\Z)")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_INTEGERS = (*_WHOLE, *(f"U{name}" for name in _WHOLE))
_FLOATS = ("FLOAT", "DOUBLE")


def look(
    patterns: Sequence[str],
    *,
    format: Format | None = None,  # noqa: A002
    by: Sequence[Sequence[str]] = (),
    rows: int = 5,
    skip_bad: bool = False,
    limits: Limits | None = None,
) -> Findings:
    """What is in these files.

    Parameters: `patterns`, names, patterns with `*` and folders; `format`, else what the names
    tell; `by`, the columns by which rows are counted, for each count; `rows` to show; `skip_bad`,
    whether to pass over what cannot be read; `limits`. Raises ThalwegError where there are no such
    files or columns, where something cannot be read, and where a limit is reached.
    """
    limits = limits or Limits()
    found = find_files(patterns, format)
    with tempfile.TemporaryDirectory(prefix="thalweg-look-") as folder:
        link = connect(folder, limits)
        watched = Watched(limits.seconds, link.interrupt)
        try:
            with watched.running():
                for path in found.packed:
                    watched.step(f"unpacking {path}")
                    check_packed(path, limits.max_ratio, watched.check)
                return _findings(
                    link, found, watched, tuple(patterns), by=by, rows=rows, skip_bad=skip_bad
                )
        finally:
            link.close()


def _findings(
    link: DuckDBPyConnection,
    found: FoundFiles,
    watched: Watched,
    patterns: tuple[str, ...],
    *,
    by: Sequence[Sequence[str]],
    rows: int,
    skip_bad: bool,
) -> Findings:
    import duckdb

    try:
        unread, schema, total = 0, dict[str, str](), 0
        if found.filled:
            watched.step(f"reading {len(found.paths)} files")
            unread = fill(link, found, skip_bad=skip_bad)
            schema = _schema(link)
            watched.step("counting")
            total = int(_one(link, "select count(*) from seen")[0])
        wanted = [_columns_named(one, schema) for one in by]
        counts = [_counts(link, columns, schema) for columns in wanted]
        watched.step("looking for duplicates")
        duplicates = total and total - int(
            _one(link, "select count(*) from (select distinct * from seen)")[0]
        )
        watched.step("summing up the columns")
        columns: list[ColumnFindings] = []
        names = list(schema) if total else []
        for at in range(0, len(names), _AT_ONCE):
            some = {name: schema[name] for name in names[at : at + _AT_ONCE]}
            columns += _summary(link, some, exact=total <= _EXACT)
        shown = ", ".join(_plain(name, kind) for name, kind in schema.items())
        sample: list[Row] = (
            link.execute(f"select {shown} from seen limit {rows}").fetchall() if schema else []
        )
    except duckdb.InterruptException:
        raise ThalwegError(watched.message) from None
    except duckdb.OutOfMemoryException:
        raise ThalwegError(
            f"the look needs more memory than it may have while {watched.what}: "
            "say --memory, or look at fewer files"
        ) from None
    except duckdb.Error as error:
        if watched.expired:
            raise ThalwegError(watched.message) from None
        raise refused(error, found) from None
    return Findings(
        patterns=patterns,
        format=found.format,
        files=len(found.paths),
        bytes=found.size,
        passed_over=found.passed_over,
        empty=found.empty,
        schema=schema,
        rows=total,
        unread=unread,
        duplicates=duplicates,
        estimated=total > _EXACT,
        sample=tuple(tuple(map(_finite, row)) for row in sample),
        columns=tuple(columns),
        counts=tuple(counts),
    )


def _schema(link: DuckDBPyConnection) -> dict[str, str]:
    """The columns and their types."""
    described: list[Row] = link.execute("describe seen").fetchall()
    schema = {str(name): str(kind) for name, kind, *_ in described}
    # A column of which the sample holds no value has no type of its own; what is of several types
    # inside of lists and objects is text for a stream of files.
    return {
        name: "VARCHAR" if kind in ('"NULL"', "NULL") else _JSON.sub("VARCHAR", kind)
        for name, kind in schema.items()
    }


def _one(link: DuckDBPyConnection, query: str) -> Row:
    row: Row | None = link.execute(query).fetchone()
    assert row is not None
    return row


def _columns_named(names: Sequence[str], schema: dict[str, str]) -> tuple[str, ...]:
    """The columns that are meant, whatever their case. Raises ThalwegError for one that is none."""
    known = {name.lower(): name for name in schema}
    for name in names:
        if name.lower() not in known:
            raise ThalwegError(
                f"there is no column {name!r}; there is {', '.join(schema) or 'none'}."
                + nearest(name, schema)
            )
    return tuple(known[name.lower()] for name in names)


def _counts(link: DuckDBPyConnection, columns: tuple[str, ...], schema: dict[str, str]) -> Counts:
    shown = ", ".join(_plain(name, schema[name]) for name in columns)
    grouped = ", ".join(quoted(name) for name in columns)
    groups = int(_one(link, f"select count(*) from (select 1 from seen group by {grouped})")[0])
    rows: list[Row] = link.execute(
        f"select {shown}, count(*) as n from seen group by {grouped} "
        f"order by n desc, {grouped} limit {_MOST_GROUPS}"
    ).fetchall()
    return Counts(columns, groups, tuple((tuple(map(_finite, row[:-1])), row[-1]) for row in rows))


def _plain(name: str, kind: str) -> str:
    """A column as Python has a value for it: other than numbers and text it is text."""
    if kind in (*_INTEGERS, *_FLOATS, "BOOLEAN", "VARCHAR"):
        return quoted(name)
    return f"cast({quoted(name)} as varchar)"


def _summary(
    link: DuckDBPyConnection, schema: dict[str, str], *, exact: bool
) -> list[ColumnFindings]:
    """What there is to say of each of these columns, in one pass over all rows."""
    asked: list[str] = []
    for name, kind in schema.items():
        column, plain = quoted(name), _plain(name, kind)
        number = kind in (*_INTEGERS, *_FLOATS) or kind.startswith("DECIMAL")
        finite = f" filter (isfinite({column}))" if kind in _FLOATS else ""
        nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "JSON"))
        distinct = plain if nested else column
        extreme = "null" if nested else "cast({}({}){} as varchar)"
        if kind in (*_INTEGERS, *_FLOATS, "BOOLEAN", "VARCHAR"):
            extreme = "{}({}){}"
        asked += [
            f"count({column})",
            f"count(distinct {distinct})" if exact else f"approx_count_distinct({distinct})",
            f"avg(cast({column} as double)){finite}" if number else "null",
            f"stddev_samp(cast({column} as double)){finite}" if number else "null",
            extreme.format("min", column, finite),
            extreme.format("max", column, finite),
            f"count(*) filter (not isfinite({column}))" if finite else "0",
        ]
    answers = _one(link, f"select count(*), {', '.join(asked)} from seen")
    total, found = int(answers[0]), iter(answers[1:])
    each = [[next(found) for _ in range(7)] for _ in schema]
    return [
        ColumnFindings(
            name=name,
            type=kind,
            count=count,
            nulls=total - count,
            distinct=distinct,
            mean=mean,
            stddev=stddev,
            min=least,
            max=most,
            not_finite=strange,
        )
        for (name, kind), (count, distinct, mean, stddev, least, most, strange) in zip(
            schema.items(), each, strict=True
        )
    ]


def _finite(value: object) -> object:
    """A value that JSON has a form for: NaN and infinities are text."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
