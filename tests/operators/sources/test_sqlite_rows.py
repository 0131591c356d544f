"""Rows of SQLite by key: once, by polling, over restarts, and what is refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from thalweg import Graph, Retry
from thalweg.operators import sinks, sources
from thalweg.operators.sources import _keys
from thalweg.runtime.contracts import Bookmark, MisconfiguredError, UnavailableError
from thalweg.testing import run_virtual

from .following import Following

Sql = Callable[..., list[Any]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


@pytest.fixture
def sql(path: Path) -> Sql:
    def run(statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    return run


def fill(sql: Sql, count: int, kind: str = "INTEGER PRIMARY KEY") -> None:
    sql(f"CREATE TABLE things (id {kind}, name TEXT)")
    if count:
        add(sql, 1, count)


def add(sql: Sql, first: int, last: int) -> None:
    sql(
        "WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO things SELECT i, 'thing ' || i FROM n",
        first,
        last,
    )


def things(*numbers: int) -> list[dict[str, object]]:
    return [{"id": number, "name": f"thing {number}"} for number in numbers]


def read(make: Callable[[], Any], limit: int = 7) -> Following:
    async def main() -> Following:
        reading = Following(make, limit)
        try:
            assert not await reading.read()
        finally:
            await reading.stop()
        return reading

    return run_virtual(main)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30])
def test_a_table_is_read_by_its_primary_key(count: int, path: Path, sql: Sql) -> None:
    fill(sql, count)
    reading = read(lambda: sources.sqlite_table(path, "things", page_size=10))
    if not count:
        assert reading.lanes == {}
        return
    assert reading.records == things(*range(1, count + 1))
    assert reading.positions == {"": list(range(count))}


def test_a_query_is_read_by_its_key_whatever_its_order_and_its_end(path: Path, sql: Sql) -> None:
    fill(sql, 30)
    query = "SELECT -id AS down, name FROM things WHERE id > ? AND id < ?\nORDER BY name; -- so;"
    query = query.replace("; -- so;", " -- a comment")
    make = lambda: sources.sql_query(  # noqa: E731
        f"sqlite:///{path}", query, key="down", values=[10, 20], page_size=4
    )
    assert read(make).records == [{"down": -n, "name": f"thing {n}"} for n in range(19, 10, -1)]
    make = lambda: sources.sql_query(path, "SELECT * FROM things ; ", key="id")  # noqa: E731
    assert len(read(make).records) == 30


def test_a_page_uses_the_index_of_its_key(path: Path, sql: Sql) -> None:
    fill(sql, 10)
    seen: list[str] = []

    async def main() -> None:
        source = sources.sqlite_table(path, "things", page_size=3)
        reading = Following(lambda: source)
        await reading.start()
        pages: Any = reading.source
        pages._pages._connection.set_trace_callback(seen.append)
        await reading.read()
        await reading.stop()

    run_virtual(main)
    page = next(text for text in seen if ">" in text)
    plan = " ".join(str(row) for row in sql(f"EXPLAIN QUERY PLAN {page}"))
    assert "SEARCH" in plan
    assert "PRIMARY KEY" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    "keys",
    [
        [-5, 0, 2**62],
        [-1.5, 0.1, 1e300],
        ["", "'\"", "Zürich"],
        [b"", b"\x00\xff", b"a"],
        [7, "7", b"7"],
    ],
)
def test_keys_of_each_type_are_gone_on_from(keys: list[Any], path: Path, sql: Sql) -> None:
    sql('CREATE TABLE "a ""b" ("the key" PRIMARY KEY)')
    for key in keys:
        sql('INSERT INTO "a ""b" VALUES (?)', key)

    async def main() -> list[object]:
        reading = Following(lambda: sources.sqlite_table(path, 'a "b'), 1)
        going = True
        while going:
            going = await reading.read(reads=1)
            await reading.stop()
        return reading.records

    assert run_virtual(main) == [{"the key": key} for key in keys]


@pytest.mark.parametrize(
    "key",
    [
        Decimal("-0.10"),
        UUID(int=7),
        dt.date(2026, 11, 21),
        dt.datetime(2026, 11, 21, 1, 2, 3, 4),  # noqa: DTZ001
        dt.datetime(2026, 11, 21, 1, 2, 3, 4, tzinfo=dt.UTC),
        float("inf"),
        2**80,
    ],
)
def test_a_key_is_the_same_when_it_is_read_back(key: Any) -> None:
    again = _keys.decode_key(*_keys.encode_key(key, "k"))
    assert again == key
    assert type(again) is type(key)
    assert str(again) == str(key)


@pytest.mark.parametrize("key", [None, True, dt.timedelta(1), [1]])
def test_a_key_of_another_type_is_refused(key: object) -> None:
    with pytest.raises(MisconfiguredError, match=r"key='k' holds .* cast it in the query"):
        _keys.encode_key(key, "k")


def test_it_polls_for_rows_that_are_added_and_goes_on_after_a_restart(path: Path, sql: Sql) -> None:
    fill(sql, 5)

    async def main() -> None:
        make = lambda: sources.sqlite_table(path, "things", poll_interval=60, page_size=3)  # noqa: E731
        reading = Following(make, 2)
        await reading.read(seconds=600)
        add(sql, 6, 9)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await reading.read(reads=1, seconds=600)
        assert loop.time() - asked <= 60
        await reading.stop()
        add(sql, 10, 12)
        sql("DELETE FROM things WHERE id < 8")
        await reading.read(seconds=600)
        await reading.stop()
        assert reading.records == things(*range(1, 13))
        assert reading.positions == {"": list(range(12))}

    run_virtual(main)


def test_with_a_lag_a_row_that_shows_up_behind_others_is_read(path: Path, sql: Sql) -> None:
    fill(sql, 0)

    async def main(lag: float) -> list[Any]:
        reading = Following(
            lambda: sources.sql_query(
                path, "SELECT * FROM things", key="id", poll_interval=1, lag=lag, page_size=2
            )
        )
        await reading.start()
        loop = asyncio.get_running_loop()
        # What transactions do that take their numbers in order and commit in another.
        for at, number in ((10, 1), (11, 3), (14, 2), (20, 6), (21, 5), (22, 4), (300, 7)):
            loop.call_at(at, add, sql, number, number)
        await reading.read(seconds=100)
        read_by_300 = len(reading.records)
        await reading.read(seconds=400)
        await reading.stop()
        sql("DELETE FROM things")
        return [read_by_300, *reading.records]

    assert run_virtual(lambda: main(5)) == [6, *things(1, 2, 3, 4, 5, 6, 7)]
    assert run_virtual(lambda: main(0)) == [3, *things(1, 3, 6, 7)]


def test_with_a_lag_it_ends_with_what_was_there_at_first(path: Path, sql: Sql) -> None:
    fill(sql, 25)

    async def main() -> None:
        reading = Following(
            lambda: sources.sql_query(path, "SELECT * FROM things", key="id", lag=30, page_size=10)
        )
        asyncio.get_running_loop().call_at(20, add, sql, 26, 27)
        assert not await reading.read(seconds=40)
        await reading.stop()
        assert reading.records == things(*range(1, 26))

    run_virtual(main)


def test_a_locked_file_is_waited_for(
    path: Path, sql: Sql, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(sql, 5)
    monkeypatch.setattr("thalweg.operators.sources._sqlite_pages._PATIENCE", 0.01)

    async def main(retry: Retry | None) -> list[object]:
        reading = Following(lambda: sources.sqlite_table(path, "things", page_size=2, retry=retry))
        await reading.read(reads=1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            try:
                assert await reading.read(seconds=300)
                assert len(reading.records) == 2
                other.execute("COMMIT")
                assert not await reading.read(seconds=300)
            finally:
                await reading.stop()
        assert reading.given.counter("page_retries", "").value > 10
        return reading.records

    assert run_virtual(lambda: main(None)) == things(*range(1, 6))
    assert "log: " in caplog.text
    assert "database is locked; trying again" in caplog.text
    with pytest.raises(UnavailableError, match="database is locked"):
        run_virtual(lambda: main(Retry(attempts=3, when_down="fail")))


def test_a_page_that_takes_too_long_fails(path: Path, sql: Sql) -> None:
    fill(sql, 3)
    slow = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"
        " WHERE i < 0"
    )
    with pytest.raises(MisconfiguredError, match=r"took longer than timeout=0\.05 s"):
        read(lambda: sources.sql_query(path, slow, key="id", timeout=0.05))


def test_a_text_that_is_not_utf_8_rejects_its_row(path: Path, sql: Sql) -> None:
    fill(sql, 12)
    sql("UPDATE things SET name = CAST(x'61ff62' AS TEXT) WHERE id IN (1, 5, 12)")
    reading = read(lambda: sources.sqlite_table(path, "things", page_size=5))
    assert reading.records == things(*(n for n in range(2, 12) if n != 5))
    assert reading.positions == {"": [1, 2, 3, 5, 6, 7, 8, 9, 10]}
    assert reading.rejected == ["column 'name' is a text that is not UTF-8"] * 3


def test_a_key_that_is_not_utf_8_is_refused(path: Path, sql: Sql) -> None:
    fill(sql, 0, "TEXT PRIMARY KEY")
    sql("INSERT INTO things VALUES (CAST(x'61ff62' AS TEXT), 'x')")
    with pytest.raises(MisconfiguredError, match="cannot be read by 'id'"):
        read(lambda: sources.sqlite_table(path, "things"))


@pytest.mark.parametrize(
    ("statement", "query", "key", "told"),
    [
        ("SELECT 1", "SELECT * FROM none", "id", "no such table: none"),
        ("SELECT 1", "SELECT FROM", "id", "syntax error"),
        ("SELECT 1", "DELETE FROM things RETURNING id", "id", "syntax error"),
        ("SELECT 1", "SELECT * FROM things", "idd", r"'idd' is not .*did you mean 'id'"),
        ("SELECT 1", "SELECT * FROM things WHERE id = ?", "id", "bindings"),
        ("INSERT INTO things VALUES (NULL, 'x')", "SELECT * FROM things", "id", "without a 'id'"),
        ("INSERT INTO things VALUES ('2', 'x')", "SELECT * FROM things", "id", "have the key id=2"),
        ("SELECT 1", "SELECT 1 = 1 AND id AS id FROM things LIMIT 0", "id", ""),
    ],
)
def test_a_query_that_cannot_be_read_by_its_key_is_refused(
    statement: str, query: str, key: str, told: str, path: Path, sql: Sql
) -> None:
    fill(sql, 3, "INTEGER")
    sql(statement)
    make = lambda: sources.sql_query(path, query, key=key, page_size=2)  # noqa: E731
    if not told:
        assert read(make).lanes == {}
        return
    with pytest.raises(MisconfiguredError, match=told):
        read(make)


def test_rows_with_the_same_key_are_found_where_a_page_ends(path: Path, sql: Sql) -> None:
    fill(sql, 4, "INTEGER")
    sql("INSERT INTO things VALUES (2, 'another')")
    with pytest.raises(MisconfiguredError, match="several rows have the key id=2"):
        read(lambda: sources.sqlite_table(path, "things", key="id", page_size=2))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("id INTEGER", "has no primary key: name one column"),
        ("a, b, PRIMARY KEY (b, a)", r"several columns, \['b', 'a'\]"),
    ],
)
def test_a_table_without_a_key_of_one_column_is_refused(
    columns: str, told: str, path: Path, sql: Sql
) -> None:
    sql(f"CREATE TABLE things ({columns})")
    with pytest.raises(MisconfiguredError, match=told):
        read(lambda: sources.sqlite_table(path, "things"))
    with pytest.raises(MisconfiguredError, match="there is no table 'thing'"):
        read(lambda: sources.sqlite_table(path, "thing"))


def test_a_file_that_is_no_database_is_refused_and_none_is_made(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database at all\n" * 100)
    for path, told in ((text, "not a database"), (tmp_path / "none.db", "no such file")):
        with pytest.raises(MisconfiguredError, match=told) as caught:
            read(lambda path=path: sources.sqlite_table(path, "things"))  # type: ignore[misc]
        assert str(path) in str(caught.value)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"database": ""}, "an SQLite database is a file, and its path is ''"),
        ({"database": ":memory:"}, "an SQLite database is a file"),
        ({"database": "mysql://me:secret@host/db"}, "not one of mysql://"),
        ({"database": "postgresql://me:sec@ret/@host/db"}, "the URL .* cannot be read"),
        ({"query": " ; "}, "query is empty"),
        ({"key": ""}, "key is the name of one column"),
        ({"page_size": 0}, "page_size is in rows"),
        ({"poll_interval": 0}, "poll_interval is in seconds"),
        ({"lag": -1}, "lag is in seconds"),
        ({"timeout": 0}, "timeout is in seconds"),
        ({"retry": Retry(when_down="failed")}, "when_down of a source is 'wait' or 'fail'"),
        ({"rate": -1}, "rate is in records a second"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], told: str) -> None:
    given: dict[str, Any] = {"database": "a.db", "query": "SELECT 1 AS id", "key": "id", **options}
    with pytest.raises(ValueError, match=told) as caught:
        sources.sql_query(**given)
    assert "secret" not in str(caught.value)
    assert "ret" not in str(caught.value).replace("retry", "").replace("return", "")


def test_a_text_in_the_place_of_the_values_is_refused() -> None:
    with pytest.raises(TypeError, match="values is a list"):
        sources.sql_query("a.db", "SELECT ?", key="id", values="x")


def test_another_key_than_before_is_refused(path: Path, sql: Sql) -> None:
    fill(sql, 3)

    async def main(note: bytes | None) -> None:
        reading = Following(lambda: sources.sqlite_table(path, "things"), 1)
        await reading.read(reads=1)
        await reading.stop()
        if note is not None:
            reading.marks = {"": Bookmark(0, note)}
        reading.make = lambda: sources.sqlite_table(path, "things", key="name")
        try:
            await reading.read()
        finally:
            await reading.stop()

    with pytest.raises(MisconfiguredError, match="was read by key='id', and now is by 'name'"):
        run_virtual(lambda: main(None))
    with pytest.raises(MisconfiguredError, match="another kind of source wrote it"):
        run_virtual(lambda: main(b'{"kind":"csv"}'))


def test_in_a_job_rows_are_records(path: Path, sql: Sql) -> None:
    fill(sql, 2_500)
    graph, seen = Graph("rows"), list[Any]()
    graph.read("things", sources.sqlite_table(path, "things")).to("out", sinks.collect(seen))
    graph.run()
    assert seen == things(*range(1, 2_501))
