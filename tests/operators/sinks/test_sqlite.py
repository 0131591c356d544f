from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import json
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from thalweg.operators import sinks
from thalweg.operators.sinks import Sqlite, _sqlite_file
from thalweg.runtime.contracts import (
    BusyError,
    Cause,
    Context,
    DeadLetter,
    MisconfiguredError,
    Origin,
    Outcome,
    StateLost,
    UnavailableError,
)
from thalweg.testing import SINK_CHECKS, HeldFence, SinkCase, context, run_virtual

pytestmark = pytest.mark.asyncio

Check = Callable[[SinkCase[Any]], Awaitable[None]]

KILLED = Path(__file__).with_name("killed.py")


def query(path: Path, statement: str, *values: object) -> list[Any]:
    """What another program sees; single columns as plain values."""
    connection = sqlite3.connect(path)
    try:
        found = connection.execute(statement, values).fetchall()
        connection.commit()
    finally:
        connection.close()
    return [row[0] if len(row) == 1 else row for row in found]


def tables(path: Path) -> list[str]:
    return query(path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")


def staged(path: Path) -> list[str]:
    return [name for name in tables(path) if name.startswith("thalweg_staged_")]


async def opened(sink: Sqlite, fence: HeldFence | None = None) -> Sqlite:
    await sink.open(context(fence=fence))
    return sink


async def write(sink: Sqlite, *records: object) -> dict[int, str]:
    outcome = await sink.write(list(records))
    return {} if outcome is None else {at: str(error) for at, error in outcome.rejected.items()}


async def begin(path: Path, fence: HeldFence | None = None, **options: Any) -> Sqlite:
    sink = await opened(sinks.sqlite(path, "t", **options), fence or HeldFence())
    await sink.discard(0)
    return sink


async def take(sink: Sqlite, epoch: int, *records: object) -> bytes:
    assert await write(sink, *records) == {}
    prepared = await sink.prepare(epoch)
    await sink.commit(epoch, prepared)
    return prepared


def numbers(path: Path) -> list[dict[str, Any]]:
    if not path.exists() or "t" not in tables(path):
        return []
    found = query(path, "SELECT n, text FROM t ORDER BY rowid")
    return [{"n": n % 1_000, "text": text} for n, text in found]


class WithKeysOfItsOwn(Sqlite):
    """Each job writes other keys than the ones before, so that it adds rows to a keyed table."""

    jobs: ClassVar[dict[object, int]] = {}

    async def open(self, context: Context) -> None:
        await super().open(context)
        job = context if context.fence is None else context.fence.lineage
        self.offset = 1_000 * self.jobs.setdefault(job, len(self.jobs))

    async def write(self, records: Sequence[Any]) -> Outcome[None] | None:
        return await super().write(
            [
                {**each, "n": each["n"] + self.offset} if isinstance(each["n"], int) else each
                for each in records
            ]
        )


def case_for(path: Path, kind: str) -> SinkCase[Any]:
    if kind == "there":
        path.parent.mkdir()
        query(path, "PRAGMA journal_mode = WAL")
        query(path, "CREATE TABLE t (n INT CHECK (n >= 0), text TEXT NOT NULL) STRICT")
    make: Callable[[], Sqlite] = lambda: sinks.sqlite(path, "t")  # noqa: E731
    if kind == "keyed":
        WithKeysOfItsOwn.jobs.clear()
        make = lambda: WithKeysOfItsOwn(path, "t", key=["n"])  # noqa: E731
    return SinkCase(
        make,
        [{"n": number, "text": str(number)} for number in range(30)],
        lambda: numbers(path),
        bad=[
            {"n": 2**70, "text": ""},
            {"n": "no number", "text": ""},
            *([{"n": 1}] * (kind == "there")),
        ],
        again="appends",
    )


@pytest.mark.parametrize("kind", ["made", "there", "keyed"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(check: Check, kind: str, tmp_path: Path) -> None:
    case = case_for(tmp_path / "deep" / "out.db", kind)
    await asyncio.to_thread(run_virtual, lambda: check(case))


@pytest.mark.parametrize("kind", ["sqlite", "sqlite key"])
async def test_killed_at_any_moment_it_writes_each_row_once(kind: str, tmp_path: Path) -> None:
    path, store = tmp_path / "out.db", tmp_path / "store.json"
    command = [sys.executable, str(KILLED), kind, str(path), str(store), "30", "0.08"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    saved = json.loads(store.read_text())
    assert query(path, "SELECT n FROM records ORDER BY rowid") == list(range(saved["count"]))
    assert saved["count"] > 100
    assert staged(path) == []


class Color(enum.StrEnum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float


class Pair(NamedTuple):
    left: int
    right: str


VALUES: list[tuple[object, str, object]] = [
    (7, "INTEGER", 7),
    (True, "INTEGER", 1),
    (0.5, "REAL", 0.5),
    (float("nan"), "REAL", None),
    (dt.timedelta(seconds=1.5), "REAL", 1.5),
    ("ä", "TEXT", "ä"),
    (Color.RED, "TEXT", "red"),
    (b"\x00", "BLOB", b"\x00"),
    (bytearray(b"a"), "BLOB", b"a"),
    (dt.datetime(2020, 1, 2, tzinfo=dt.UTC), "TEXT", "2020-01-02T00:00:00+00:00"),
    (dt.datetime(2020, 1, 2, 3), "TEXT", "2020-01-02T03:00:00"),  # noqa: DTZ001
    (dt.date(2020, 1, 2), "TEXT", "2020-01-02"),
    (dt.time(1, 2), "TEXT", "01:02:00"),
    (uuid.UUID(int=1), "TEXT", str(uuid.UUID(int=1))),
    (decimal.Decimal("1.10"), "TEXT", "1.10"),
    ({"a": [1]}, "TEXT", '{"a":[1]}'),
    ([1, None], "TEXT", "[1,null]"),
    (Point(1, 2.5), "TEXT", '{"x":1,"y":2.5}'),
    (None, "ANY", None),
]


@pytest.mark.parametrize(("value", "declared", "kept"), VALUES, ids=[repr(v[0]) for v in VALUES])
async def test_a_table_is_made_with_the_types_of_the_first_records(
    value: object, declared: str, kept: object, tmp_path: Path
) -> None:
    path = tmp_path / "out.db"
    sink = await opened(sinks.sqlite(path, "t"))
    assert await write(sink, {"value": None}, {"value": value}) == {}
    await sink.close()
    assert query(path, "SELECT type FROM pragma_table_info('t')") == [declared]
    assert query(path, "SELECT value FROM t") == [None, kept]


async def test_the_types_of_a_table_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    types = {"i": int, "f": float, "s": str, "b": bytes, "j": dict, "at": dt.datetime, "ok": bool}
    sink = await opened(sinks.sqlite(path, "t", columns=types, key=["s", "i"]))
    await sink.close()
    assert query(path, "SELECT name, type, pk FROM pragma_table_info('t')") == [
        ("i", "INTEGER", 2),
        ("f", "REAL", 0),
        ("s", "TEXT", 1),
        ("b", "BLOB", 0),
        ("j", "TEXT", 0),
        ("at", "TEXT", 0),
        ("ok", "INTEGER", 0),
    ]


async def test_rows_are_made_of_what_has_fields(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sink = await opened(sinks.sqlite(path, "t", columns={"x": int, "y": float, "left": int}))
    assert await write(sink, {"x": 1, "other": "passed over"}, Point(2, 0.5), Pair(3, "r")) == {}
    await sink.close()
    assert query(path, "SELECT x, y, left FROM t") == [
        (1, None, None),
        (2, 0.5, None),
        (None, None, 3),
    ]


@pytest.mark.parametrize("record", [{"a": 1}, b"\xff", object(), "text", None])
async def test_a_dead_letter_is_always_a_row(record: object, tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    letter = DeadLetter("g", "n", Origin("s", "", 7), record, Cause("ValueError", "no"), 2)
    sink = await opened(sinks.sqlite(path, "t"))
    assert await write(sink, letter) == {}
    await sink.close()
    ((graph, node, origin, kept, error, attempts),) = query(
        path, "SELECT graph, node, origin, record, error, attempts FROM t"
    )
    assert (graph, node, attempts) == ("g", "n", 2)
    assert json.loads(origin)["position"] == 7
    assert json.loads(error)["message"] == "no"
    assert kept == ('{"a":1}' if record == {"a": 1} else kept)
    assert json.loads(kept) is None or json.loads(kept)


BAD: list[tuple[object, str | None]] = [
    ({"n": "text", "s": ""}, "cannot store TEXT value in INTEGER column"),
    ({"n": 2**63, "s": ""}, "too large"),
    ({"n": 1, "s": "\ud800"}, "surrogates not allowed"),
    ({"n": 1, "s": object()}, "not JSON serializable"),
    ({"n": 1, "s": "", "more": 1}, "no column for the field 'more' in \"t\": name the columns"),
    (5, "a row is made of a dict, a dataclass or a named tuple, not of 5"),
    ((1, 2), "not of (1, 2)"),
    ({}, None),
    ({7: 1}, "no column for the field 7"),
]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(("bad", "told"), BAD, ids=range(len(BAD)))
async def test_a_record_that_is_no_row_is_rejected_alone(
    bad: object, told: str | None, store: bool, tmp_path: Path
) -> None:
    path = tmp_path / "out.db"
    sink = await begin(path) if store else await opened(sinks.sqlite(path, "t"))
    good = [{"n": n, "s": str(n)} for n in range(3)]
    assert await write(sink, good[0]) == {}
    rejected = await write(sink, bad, good[1], bad)
    if told is None:
        assert rejected == {}
    else:
        assert list(rejected) == [0, 2]
        assert told in rejected[0]
    assert await write(sink, good[2]) == {}
    if store:
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    assert query(path, "SELECT n FROM t WHERE n IS NOT NULL") == [0, 1, 2]


async def test_a_table_is_made_when_there_is_a_record_that_says_how(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sink = await opened(sinks.sqlite(path, "t", key=["n"]))
    assert await write(sink, 5, {"s": "no key"}, {}, {"": 1}) == {
        0: "a row is made of a dict, a dataclass or a named tuple, not of 5",
        1: "the record has no 'n', which is part of its key",
        2: "the record has no 'n', which is part of its key",
        3: "there is no column for the field '' in \"t\": name the columns to be written with columns=",  # noqa: E501
    }
    assert tables(path) == []
    assert await write(sink, {"n": 1}) == {}
    await sink.close()
    assert query(path, "SELECT n FROM t") == [1]


@pytest.mark.parametrize("store", [False, True])
async def test_what_a_constraint_refuses_is_rejected_alone(store: bool, tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    query(path, "CREATE TABLE t (n INT UNIQUE CHECK (n < 10), s TEXT NOT NULL)")
    query(path, "INSERT INTO t VALUES (0, 'there')")
    sink = await begin(path) if store else await opened(sinks.sqlite(path, "t"))
    rejected = await write(
        sink,
        {"n": 1, "s": "a"},
        {"n": 11, "s": "a"},
        {"n": 2},
        {"n": 0, "s": "a"},
        {"n": 1, "s": "b"},
    )
    assert {at: text.partition(":")[0] for at, text in rejected.items()} == {
        1: "CHECK constraint failed",
        2: "NOT NULL constraint failed",
        3: "UNIQUE constraint failed",
        4: "UNIQUE constraint failed",
    }
    if store:
        assert query(path, "SELECT n FROM t") == [0]
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    assert query(path, "SELECT n, s FROM t") == [(0, "there"), (1, "a")]


async def test_what_two_staged_rows_violate_together_stays_and_passes_with_a_key(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.db"
    query(path, "CREATE TABLE t (n INT UNIQUE, s TEXT)")
    fence = HeldFence()
    sink = await begin(path, fence)
    await take(sink, 1, {"n": 0, "s": "first"})
    assert await write(sink, {"n": 1, "s": "a"}) == {}
    assert await write(sink, {"n": 1, "s": "b"}) == {}
    prepared = await sink.prepare(2)
    for _ in range(2):
        with pytest.raises(MisconfiguredError, match=r"UNIQUE constraint failed: t.n.*key="):
            await sink.commit(2, prepared)
        assert query(path, "SELECT n FROM t") == [0]
    await sink.close()
    sink = await opened(sinks.sqlite(path, "t", key=["n"]), fence.taken_over())
    await sink.discard(1)
    await sink.commit(2, prepared)
    await sink.close()
    assert query(path, "SELECT n, s FROM t") == [(0, "first"), (1, "b")]


@pytest.mark.parametrize("store", [False, True])
async def test_with_a_key_the_last_record_of_each_counts(store: bool, tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    options: dict[str, Any] = {"key": ["word", "year"]}
    sink = (
        await begin(path, **options) if store else await opened(sinks.sqlite(path, "t", **options))
    )

    def row(word: str, year: int, n: int | None) -> dict[str, Any]:
        return {"word": word, "year": year, "n": n}

    batches = [
        [row("a", 1, 1), row("b", 1, 2), row("a", 1, 3)],
        [row("a", 2, 4), row("b", 1, 5)],
        [row("b", 1, None)],
    ]
    for epoch, batch in enumerate(batches, start=1):
        if store:
            await take(sink, epoch, *batch)
        else:
            assert await write(sink, *batch) == {}
    assert await write(sink, {"word": "a", "n": 9}) == {
        0: "the record has no 'year', which is part of its key"
    }
    await sink.close()
    assert query(path, "SELECT word, year, n FROM t ORDER BY 1, 2") == [
        ("a", 1, 3),
        ("a", 2, 4),
        ("b", 1, None),
    ]


async def test_a_table_of_nothing_but_its_key_holds_each_once(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sink = await begin(path, key=["word"])
    await take(sink, 1, {"word": "a"}, {"word": "b"}, {"word": "a"})
    await take(sink, 2, {"word": "b"})
    await sink.close()
    assert query(path, "SELECT word FROM t ORDER BY 1") == ["a", "b"]


async def test_columns_with_a_default_keep_it_unless_they_are_named(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    query(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, at TEXT DEFAULT 'now', "
        "twice INT GENERATED ALWAYS AS (2 * n))",
    )
    sink = await opened(sinks.sqlite(path, "t"))
    assert await write(sink, {"n": 4}) == {}
    (told,) = (await write(sink, {"n": 4, "at": "then"})).values()
    assert "no column for the field 'at'" in told
    await sink.close()
    sink = await opened(sinks.sqlite(path, "t", columns=["at", "n"]))
    assert await write(sink, {"n": 5, "at": "then"}) == {}
    await sink.close()
    assert query(path, "SELECT * FROM t") == [(1, 4, "now", 8), (2, 5, "then", 10)]


async def test_names_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    query(path, "CREATE TABLE victim (n INT)")
    table, column = 'a"; DROP TABLE victim; --', 'c") VALUES (1); DROP TABLE victim; --'
    sink = await opened(sinks.sqlite(path, table, key=[column]), HeldFence("o'clock\""))
    await sink.discard(0)
    await take(sink, 1, {column: 1, "select": 2})
    await sink.close()
    assert set(tables(path)) == {table, "victim", "thalweg_epochs"}
    assert query(path, 'SELECT * FROM "' + table.replace('"', '""') + '"') == [(1, 2)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": ["n", "m"]}, r"no column 'm' that can be written, only \['n', 's'\]"),
        ({"key": ["m"]}, "no column 'm'"),
        ({"key": ["s"]}, "does not match any PRIMARY KEY or UNIQUE"),
        ({"table": "v"}, '"v" is no table, but view'),
    ],
)
async def test_what_does_not_fit_the_table_is_told_at_the_start(
    options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "out.db"
    query(path, "CREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT)")
    query(path, "CREATE VIEW v AS SELECT 1")
    sink = sinks.sqlite(path, **{"table": "t", **options})
    with pytest.raises(MisconfiguredError, match=told) as caught:
        await sink.open(context())
    assert str(path) in str(caught.value)
    await sink.close()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    path.write_text("not a database" * 100)
    for wrong, told in (
        (path, "not a database"),
        (tmp_path, "unable to open"),
        (path / "x", "write"),
    ):
        sink = sinks.sqlite(wrong, "t")
        with pytest.raises(MisconfiguredError, match=told) as caught:
            await sink.open(context())
        assert str(path if wrong != tmp_path else tmp_path) in str(caught.value)
        await sink.close()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"path": ""}, "path names the file of a database, and is ''"),
        ({"path": ":memory:"}, "is ':memory:'"),
        ({"table": ""}, "table is the name of a table, not ''"),
        ({"table": 5}, "not 5"),
        ({"columns": "abc"}, "columns takes a list of names, not 'abc'"),
        ({"columns": []}, "names of columns, each once"),
        ({"columns": ["a", "a"]}, "each once"),
        ({"columns": {"a": object}}, "column 'a' has no type <class 'object'>: give one of bool"),
        ({"columns": {"a": "int"}}, "column 'a' has no type 'int'"),
        ({"columns": ["a"], "key": ["b"]}, r"key names 'b', which is none of the columns \['a'\]"),
        ({"key": "word"}, "key takes a list of names, not 'word'"),
    ],
)
async def test_what_makes_no_sense_is_told_when_it_is_written(
    wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        sinks.sqlite(**{"path": "out.db", "table": "t", **wrong})


@pytest.mark.parametrize("store", [False, True])
async def test_a_lock_is_waited_for_and_the_batch_written_once(
    store: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.operators.sinks._sqlite_file._PATIENCE", 0.05)
    path = tmp_path / "out.db"
    sink = await begin(path) if store else await opened(sinks.sqlite(path, "t"))
    assert await write(sink, {"n": 0}) == {}
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    batch: list[object] = [{"n": 1}]
    for _ in range(2):
        with pytest.raises(BusyError, match="locked; another program writes to it"):
            await sink.write(batch)
    if store:
        with pytest.raises(BusyError):
            await sink.prepare(1)
    other.execute("ROLLBACK")
    other.close()
    assert await sink.write(batch) is None
    assert await sink.write(batch) is None
    if store:
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    assert query(path, "SELECT n FROM t") == [0, 1, 1]


@pytest.mark.parametrize("store", [False, True])
async def test_a_full_disk_is_waited_for_and_the_batch_written_once(
    store: bool, small_disk: Path
) -> None:
    path, filler = small_disk / "out.db", small_disk / "filler"
    sink = await begin(path) if store else await opened(sinks.sqlite(path, "t"))
    assert await write(sink, {"n": 0, "s": ""}) == {}
    filler.write_bytes(b"x" * 700_000)
    batch: list[object] = [{"n": 1, "s": "y" * 400_000}]
    for _ in range(2):
        with pytest.raises(UnavailableError, match="disk is full") as caught:
            await sink.write(batch)
        assert str(path) in str(caught.value)
    filler.unlink()
    if store:
        # Three times: in the log, staged, and moved.
        batch = [{"n": 1, "s": "y" * 50_000}]
    assert await sink.write(batch) is None
    if store:
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    assert query(path, "SELECT n FROM t") == [0, 1]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("again", [True, False], ids=["repeated", "given up"])
async def test_a_write_that_was_cancelled_half_way_counts_once(
    again: bool, store: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thalweg.operators.sinks._sqlite_table import SqliteTable

    path, whole = tmp_path / "out.db", SqliteTable.write
    reached, go_on = threading.Event(), threading.Event()

    def slow(*given: Any, **options: Any) -> Any:
        reached.set()
        assert go_on.wait(10)
        return whole(*given, **options)

    sink = await begin(path) if store else await opened(sinks.sqlite(path, "t"))
    assert await write(sink, {"n": 0}) == {}
    batch: list[object] = [{"n": 1}, {"m": "bad"}]
    with monkeypatch.context() as patch:
        patch.setattr(SqliteTable, "write", slow)
        writing = asyncio.create_task(sink.write(batch))
        assert await asyncio.to_thread(reached.wait, 10)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    go_on.set()
    if again:
        outcome = await sink.write(batch)
        assert outcome is not None
        assert list(outcome.rejected) == [1]
    assert await write(sink, {"n": 2}) == {}
    if store:
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    # Without a store, what was given up stands in the table all the same.
    assert query(path, "SELECT n FROM t") == ([0, 1, 2] if again or not store else [0, 2])


async def test_a_copy_with_a_smaller_token_is_refused_by_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    older, newer = HeldFence(token=1), HeldFence(token=2)
    first = await begin(path, older)
    await take(first, 1, {"n": 1})
    await write(first, {"n": 2})
    prepared = await first.prepare(2)
    await write(first, {"n": 3})
    second = await opened(sinks.sqlite(path, "t"), newer)
    await second.discard(1)
    with pytest.raises(StateLost, match="with token 2; this one has 1"):
        await first.commit(2, prepared)
    with pytest.raises(StateLost):
        await first.prepare(3)
    await take(second, 2, {"n": 2})
    with pytest.raises(StateLost):  # Its table of staged rows is gone.
        await first.write([{"n": 4}])
    with pytest.raises(StateLost):
        await first.discard(1)
    await first.close()
    await second.close()
    assert query(path, "SELECT n FROM t") == [1, 2]


async def test_going_back_is_refused_with_what_to_do_and_possible_after_it(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    fence = HeldFence("it's mine")
    sink = await begin(path, fence)
    early = await take(sink, 1, {"n": 1})
    await take(sink, 2, {"n": 2})
    await sink.close()
    sink = await opened(sinks.sqlite(path, "t"), fence.taken_over())
    with pytest.raises(MisconfiguredError, match=r"has committed epoch 2 of 'test'") as caught:
        await sink.discard(1)
    assert str(path) in str(caught.value)
    query(path, "DELETE FROM t WHERE n = 2")
    _, _, statement = str(caught.value).partition("then ")
    query(path, statement)
    await sink.discard(1)
    await sink.commit(1, early)
    await take(sink, 3, {"n": 3})
    await sink.close()
    assert query(path, "SELECT n FROM t") == [1, 3]


async def test_another_database_than_the_one_of_the_state_is_refused(tmp_path: Path) -> None:
    path, copy = tmp_path / "out.db", tmp_path / "copy.db"
    fence = HeldFence()
    sink = await begin(path, fence)
    await take(sink, 1, {"n": 1})
    query(path, "VACUUM INTO ?", str(copy))
    await take(sink, 2, {"n": 2})
    await write(sink, {"n": 3})
    prepared = await sink.prepare(3)
    await sink.close()
    later = fence.taken_over()
    sink = await opened(sinks.sqlite(copy, "t"), later)
    await sink.discard(3)
    with pytest.raises(
        MisconfiguredError, match=r"epoch 3 comes after epoch 2, but .*epoch 1 last"
    ):
        await sink.commit(3, prepared)
    await sink.close()
    query(path, f"DELETE FROM {staged(path)[0]}")
    sink = await opened(sinks.sqlite(path, "t"), later)
    await sink.discard(3)
    with pytest.raises(MisconfiguredError, match=r"1 rows were staged for epoch 3, but .* holds 0"):
        await sink.commit(3, prepared)
    query(path, "DELETE FROM thalweg_epochs")
    with pytest.raises(MisconfiguredError, match=r"has no row for .* any more"):
        await sink.commit(3, prepared)
    await sink.close()


async def test_what_a_crash_left_goes_and_what_others_stage_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    fence = HeldFence()
    left = await begin(path, fence)
    await take(left, 1, {"n": 1})
    await write(left, {"n": 2})
    prepared = await left.prepare(2)
    await write(left, {"n": "never prepared"[:0] or 3})
    others = await begin(path, HeldFence("another state"))
    await write(others, {"n": 10})
    assert len(staged(path)) == 2
    later = await opened(sinks.sqlite(path, "t"), fence.taken_over())
    await later.discard(2)
    await later.commit(2, prepared)
    assert query(path, "SELECT n FROM t") == [1, 2]
    assert len(staged(path)) == 1
    await take(others, 1)
    assert query(path, "SELECT n FROM t") == [1, 2, 10]
    for sink in (others, later):
        await sink.close()
    assert staged(path) == []
    await left.close()


async def test_a_file_that_keeps_its_journal_is_written_in_its_own_way(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    query(path, "CREATE TABLE t (n INT)")
    fence = HeldFence()
    sink = await begin(path, fence)
    assert query(path, "PRAGMA journal_mode") == ["delete"]
    await take(sink, 1, {"n": 1})
    await write(sink, {"n": 2})
    prepared = await sink.prepare(2)
    later = await opened(sinks.sqlite(path, "t"), fence.taken_over())
    await later.discard(2)
    await later.commit(2, prepared)
    await later.close()
    await sink.close()
    assert query(path, "SELECT n FROM t") == [1, 2]


async def test_what_a_job_left_before_its_first_epoch_goes_when_it_begins_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.db"
    fence = HeldFence()
    left = await begin(path, fence)
    await write(left, {"n": 1})
    assert len(staged(path)) == 1
    later = await begin(path, fence.taken_over())
    assert staged(path) == []
    await take(later, 1, {"n": 1})
    assert query(path, "SELECT n FROM t") == [1]
    await later.close()
    await left.close()


@pytest.mark.parametrize("store", [False, True])
async def test_a_table_that_could_not_be_made_is_made_by_the_next_write(
    store: bool, small_disk: Path
) -> None:
    path, filler = small_disk / "out.db", small_disk / "filler"
    sink = await begin(path) if store else await opened(sinks.sqlite(path, "t"))
    filler.write_bytes(b"x" * 600_000)
    with pytest.raises(UnavailableError, match="disk is full"):
        await sink.write([{"n": 1, "s": "y" * 500_000}])
    assert "t" not in tables(path)
    filler.unlink()
    assert await write(sink, {"n": 2}) == {}
    if store:
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    assert query(path, "SELECT n FROM t") == [2]


async def test_two_sinks_of_a_job_may_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    several = [sinks.sqlite(path, name) for name in ("a", "b", "c")]
    fence = HeldFence()
    for sink, node in zip(several, "xyz", strict=True):
        await sink.open(context(node=node, fence=fence))
        await sink.discard(0)

    async def work(sink: Sqlite, n: int) -> None:
        for epoch in range(1, 4):
            await take(sink, epoch, *[{"n": n}] * 50)
        await sink.close()

    await asyncio.gather(*(work(sink, n) for n, sink in enumerate(several)))
    for n, name in enumerate(("a", "b", "c")):
        assert query(path, f"SELECT n FROM {name}") == [n] * 150


async def test_others_read_while_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    sink = await begin(path)
    await take(sink, 1, {"n": 1})
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    await take(sink, 2, {"n": 2})
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (2,)
    reader.close()
    await sink.close()


async def test_sinks_of_one_file_take_turns_and_none_finds_it_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else each would sleep and ask again, for up to so long.
    monkeypatch.setattr(_sqlite_file, "_PATIENCE", 0.0)
    path = tmp_path / "a.db"
    opened = [sinks.sqlite(path, f"t{number}") for number in range(6)]
    for sink in opened:
        await sink.open(context())

    async def fill(sink: Sqlite) -> None:
        for number in range(10):
            await sink.write([{"n": number}] * 100)

    await asyncio.gather(*map(fill, opened))
    for sink in opened:
        await sink.close()
    for number in range(6):
        assert query(path, f"SELECT count(*) FROM t{number}") == [1_000]
