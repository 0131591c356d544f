"""What came out of the graph that is killed, in a form that two runs can be compared by."""

from __future__ import annotations

import asyncio
import importlib
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["Results", "by_lane", "committed", "leftovers", "results", "rows_of", "statements"]

Record = dict[str, Any]
Results = dict[str, Any]

_COLUMNS = ("lane", "n", "user", "count", "amount")


def results(folder: Path, rows: Iterable[Record] | None = None) -> Results:
    """All that the sinks that commit have written; `rows` are those of PostgreSQL."""
    found: Results = {
        "lines": by_lane(lines(folder / "counts.ndjson")),
        "files": by_lane(
            one for part in sorted((folder / "counts").glob("part-*")) for one in lines(part)
        ),
        "rows": by_lane(table(folder / "counts.db", "counts", "rowid")),
        "latest": list(table(folder / "latest.db", "latest", "lane, user")),
        "windows": list(lines(folder / "windows.ndjson")),
        "late": list(lines(folder / "late.ndjson")),
        "failed": [
            (one["record"], one["origin"]["position"]) for one in lines(folder / "failed.ndjson")
        ],
    }
    if (folder / "columns").exists():
        found["columns"] = by_lane(parquet(folder / "columns"))
    if rows is not None:
        found["table"] = by_lane(rows)
    return found


def by_lane(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each lane, in order: two that are equal have the same ones as often."""
    lanes: dict[str, list[Record]] = {}
    for record in records:
        lanes.setdefault(record["lane"], []).append(record)
    return lanes


def lines(path: Path) -> Iterable[Record]:
    """The records of a file; each of its lines must be whole."""
    for line in path.read_bytes().splitlines(keepends=True):
        assert line.endswith(b"\n"), f"{path} ends within a line: {line!r}"
        yield json.loads(line)


def committed(path: Path) -> dict[str, int]:
    """The last record of each lane that is in the output by now; a torn line is not."""
    last: dict[str, int] = {}
    if path.exists():
        for line in path.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            last[record["lane"]] = record["n"]
    return last


def table(path: Path, name: str, order: str) -> Iterable[Record]:
    """The rows of a table of SQLite."""
    names = ", ".join(f'"{column}"' for column in _COLUMNS)
    with closing(sqlite3.connect(path)) as connection:
        for row in connection.execute(f'SELECT {names} FROM "{name}" ORDER BY {order}'):
            yield dict(zip(_COLUMNS, row, strict=True))


def parquet(folder: Path) -> Iterable[Record]:
    """The rows of all files of a folder."""
    read_table = importlib.import_module("pyarrow.parquet").read_table
    for part in sorted(folder.glob("*.parquet")):
        yield from read_table(part).to_pylist()


def leftovers(folder: Path) -> list[str]:
    """What should not be there when a job has ended: hidden files, and tables of staged rows."""
    found = [str(one.relative_to(folder)) for one in folder.rglob(".*")]
    for path in folder.glob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
        found += [f"{path.name}: {name}" for name in names if "staged" in name]
    return found


def statements(url: str, *texts: str) -> list[list[Record]]:
    """The rows that each of these statements of PostgreSQL returns."""

    async def ask() -> list[list[Record]]:
        connection = await importlib.import_module("asyncpg").connect(url)
        try:
            return [[dict(row) for row in await connection.fetch(text)] for text in texts]
        finally:
            await connection.close()

    return asyncio.run(ask())


def rows_of(url: str, schema: str) -> list[Record]:
    """The rows of the table of PostgreSQL, in the order in which they were committed."""
    names = ", ".join(f'"{column}"' for column in _COLUMNS)
    staged = "SELECT tablename FROM pg_tables WHERE schemaname = '{}' AND tablename LIKE '%staged%'"
    rows, left = statements(
        url, f"SELECT {names} FROM {schema}.counts ORDER BY id", staged.format(schema)
    )
    assert not left, f"tables of staged rows are left: {left}"
    return rows
