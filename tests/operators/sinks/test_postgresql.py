from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from thalweg.operators import sinks
from thalweg.operators.sinks import Postgresql
from thalweg.operators.sinks._postgresql_staging import PostgresqlStaging
from thalweg.operators.sinks._staged_rows import Prepared as PreparedRows
from thalweg.runtime.contracts import (
    Cause,
    Context,
    DeadLetter,
    MisconfiguredError,
    MissingExtra,
    Origin,
    Outcome,
    StateLost,
    UnavailableError,
)
from thalweg.runtime.testing.conformance.committing import COMMIT_CHECKS
from thalweg.testing import SINK_CHECKS, HeldFence, SinkCase, context

pytestmark = pytest.mark.asyncio

Check = Callable[[SinkCase[Any]], Awaitable[None]]

KILLED = Path(__file__).with_name("killed.py")


class Database:
    """A schema of a test's own, and what another program sees in it."""

    def __init__(self, url: str, schema: str, connection: Any) -> None:
        self.url = url
        self.schema = schema
        self.connection = connection
        self.table = f"{schema}.t"

    async def run(self, statement: str, *values: object) -> list[Any]:
        """Rows as tuples; single columns as plain values."""
        found = await self.connection.fetch(statement, *values)
        return [row[0] if len(row) == 1 else tuple(row) for row in found]

    async def tables(self) -> list[str]:
        return await self.run(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY 1", self.schema
        )

    async def staged(self) -> list[str]:
        return [name for name in await self.tables() if name.startswith("thalweg_staged_")]

    async def cut_all_others(self) -> None:
        await self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = $1 AND pid <> pg_backend_pid()",
            self.schema,
        )


@pytest_asyncio.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    schema = f"sink_{uuid.uuid4().hex}"
    connect: Any = cast("Any", asyncpg).connect
    connection = await connect(postgres_url)
    await connection.execute(f"CREATE SCHEMA {schema}; SET search_path TO {schema}")
    # What belongs to an epoch is safe all the same, and the rest is quicker.
    url = f"{postgres_url}?application_name={schema}&synchronous_commit=off"
    database = Database(url, schema, connection)
    yield database
    await database.cut_all_others()
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


async def opened(sink: Postgresql, fence: HeldFence | None = None) -> Postgresql:
    await sink.open(context(fence=fence))
    return sink


async def write(sink: Postgresql, *records: object) -> dict[int, str]:
    outcome = await sink.write(list(records))
    return {} if outcome is None else {at: str(error) for at, error in outcome.rejected.items()}


async def begin(
    database: Database, fence: HeldFence | None = None, *, url: str | None = None, **options: Any
) -> Postgresql:
    sink = sinks.postgresql(url or database.url, database.table, **options)
    await opened(sink, fence or HeldFence())
    await sink.discard(0)
    return sink


async def start(
    database: Database, store: bool, *, url: str | None = None, **options: Any
) -> Postgresql:
    """A sink as in a job that has a store, or that has none."""
    if store:
        return await begin(database, url=url, **options)
    return await opened(sinks.postgresql(url or database.url, database.table, **options))


async def take(sink: Postgresql, epoch: int, *records: object) -> bytes:
    assert await write(sink, *records) == {}
    prepared = await sink.prepare(epoch)
    await sink.commit(epoch, prepared)
    return prepared


class WithKeysOfItsOwn(Postgresql):
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


@pytest.mark.service
@pytest.mark.parametrize(
    ("check", "kind"),
    [
        *((check, "made") for check in SINK_CHECKS),
        *((check, "there") for check in SINK_CHECKS if check not in COMMIT_CHECKS),
        *((check, "keyed") for check in SINK_CHECKS if "crash" not in check.__name__),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_it_keeps_the_contract(check: Check, kind: str, database: Database) -> None:
    bad: list[object] = [{"n": 2**70, "text": ""}, {"n": "no number", "text": ""}]
    if kind == "there":
        await database.run("CREATE TABLE t (n int CHECK (n >= 0), text text NOT NULL)")
        bad += [{"n": 1}, {"n": -1, "text": ""}]
    make: Callable[[], Postgresql] = lambda: sinks.postgresql(database.url, database.table)  # noqa: E731
    if kind == "keyed":
        WithKeysOfItsOwn.jobs.clear()
        make = lambda: WithKeysOfItsOwn(database.url, database.table, key=["n"])  # noqa: E731

    async def read_back() -> list[dict[str, Any]]:
        if "t" not in await database.tables():
            return []
        order = "n" if kind == "keyed" else "ctid"
        found = await database.run(f"SELECT n, text FROM t ORDER BY {order}")
        return [{"n": n % 1_000, "text": text} for n, text in found]

    records = [{"n": number, "text": str(number)} for number in range(30)]
    await check(SinkCase(make, records, read_back, bad=bad, again="appends"))


@pytest.mark.service
@pytest.mark.parametrize("kind", ["postgresql", "postgresql key"])
async def test_killed_at_any_moment_it_writes_each_row_once(
    kind: str, database: Database, tmp_path: Path
) -> None:
    store = tmp_path / "store.json"
    target = f"{database.url} {database.schema}.records"
    command = [sys.executable, str(KILLED), kind, target, str(store), "30", "0.15"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    saved = json.loads(store.read_text())
    order = "n" if kind.endswith("key") else "ctid"
    assert await database.run(f"SELECT n FROM records ORDER BY {order}") == list(
        range(saved["count"])
    )
    assert saved["count"] > 100
    assert await database.staged() == []


class Proxy:
    """Between a sink and the server: cuts the connection when the client says COMMIT."""

    def __init__(self, host: str, port: int) -> None:
        self.place = host, port
        self.cut: Literal["before", "after", "stall"] | None = None
        self.cuts = 0
        self.stalled: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self.place)
        back = asyncio.create_task(self.copy(from_server, writer))
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if b"COMMIT" in data and self.cut:
                    break
                to_server.write(data)
            else:
                data = b""
            if data:
                self.cuts += 1
                cut, self.cut = self.cut, None
                back.cancel()
                await asyncio.wait([back])
                if cut == "after":
                    to_server.write(data)
                    await from_server.read(1)  # The server has answered: it is done.
                writer.transport.abort()
                if cut == "stall":
                    self.stalled, self.held = to_server, data
                    return
        to_server.transport.abort()
        writer.close()

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()


@asynccontextmanager
async def proxied(database: Database) -> AsyncGenerator[tuple[Proxy, str]]:
    parts = urlsplit(database.url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user, _, _ = parts.netloc.rpartition("@")
    netloc = f"{user}@127.0.0.1:{port}"
    url = parts._replace(netloc=netloc, query=f"{parts.query}&sslmode=disable").geturl()
    try:
        yield proxy, url
    finally:
        server.close()
        if proxy.stalled is not None:
            proxy.stalled.transport.abort()


@pytest.mark.service
@pytest.mark.parametrize("key", [None, ["n"]], ids=["added", "by key"])
@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_batch_whose_connection_was_lost_counts_once(
    cut: Literal["before", "after"], store: bool, key: list[str] | None, database: Database
) -> None:
    await database.run("CREATE TABLE t (n bigint UNIQUE, s text NOT NULL)")
    async with proxied(database) as (proxy, url):
        sink = await start(database, store, url=url, key=key)
        assert await write(sink, {"n": 0, "s": ""}) == {}
        proxy.cut = cut
        batch = [{"n": 1, "s": ""}, {"n": 2}, {"n": 3, "s": ""}]
        with pytest.raises(UnavailableError, match=r"lost|closed|reset"):
            await sink.write(batch)
        again = await sink.write(batch)
        assert again is not None
        assert list(again.rejected) == [1]
        assert await write(sink, {"n": 4, "s": ""}) == {}
        if store:
            prepared = await sink.prepare(1)
            proxy.cut = cut
            with pytest.raises(UnavailableError):
                await sink.commit(1, prepared)
            await sink.commit(1, prepared)
        assert proxy.cuts == 1 + store
        await sink.close()
    assert await database.run("SELECT n FROM t ORDER BY n") == [0, 1, 3, 4]


@pytest.mark.service
@pytest.mark.parametrize("store", [False, True])
async def test_a_table_whose_making_was_lost_is_made_by_the_next_write(
    store: bool, database: Database
) -> None:
    async with proxied(database) as (proxy, url):
        sink = await start(database, store, url=url)
        proxy.cut = "before"
        batch = [{"n": 1}]
        with pytest.raises(UnavailableError):
            await sink.write(batch)
        assert "t" not in await database.tables()
        assert await sink.write(batch) is None
        if store:
            await sink.commit(1, await sink.prepare(1))
        await sink.close()
    assert await database.run("SELECT n FROM t") == [1]


@pytest.mark.service
@pytest.mark.parametrize("store", [False, True])
async def test_what_was_given_up_is_not_staged_with_what_comes_next(
    store: bool, database: Database
) -> None:
    async with proxied(database) as (proxy, url):
        sink = await start(database, store, url=url)
        assert await write(sink, {"n": 0}) == {}
        proxy.cut = "after"
        with pytest.raises(UnavailableError):
            await sink.write([{"n": 1}])
        assert await write(sink, {"n": 2}) == {}
        if store:
            await sink.commit(1, await sink.prepare(1))
        await sink.close()
    # Without a store, what was given up stands in the table all the same.
    assert await database.run("SELECT n FROM t ORDER BY n") == ([0, 2] if store else [0, 1, 2])


@pytest.mark.service
@pytest.mark.parametrize("store", [False, True])
async def test_a_write_that_still_runs_in_a_lost_connection_is_waited_for(
    store: bool, database: Database
) -> None:
    async with proxied(database) as (proxy, url):
        sink = await start(database, store, url=url)
        assert await write(sink, {"n": 0}) == {}
        proxy.cut = "stall"
        batch = [{"n": 1}]
        with pytest.raises(UnavailableError):
            await sink.write(batch)
        assert proxy.stalled is not None
        again = asyncio.create_task(sink.write(batch))
        if store:
            # It meets the rows of the other one, which are neither there nor not there.
            await asyncio.wait([again], timeout=0.2)
            assert not again.done()
        else:
            with pytest.raises(UnavailableError, match="has not ended the write before this"):
                await again
        proxy.stalled.write(proxy.held)
        await proxy.stalled.drain()
        if store:
            with pytest.raises(UnavailableError, match="only just ended a write"):
                await again
        for _ in range(100):
            try:
                assert await sink.write(batch) is None
                break
            except UnavailableError:
                await asyncio.sleep(0.01)
        if store:
            await sink.commit(1, await sink.prepare(1))
        await sink.close()
    assert await database.run("SELECT n FROM t ORDER BY n") == [0, 1]


@pytest.mark.service
async def test_a_connection_that_was_cut_in_between_is_made_anew(database: Database) -> None:
    sink = await begin(database)
    batches: list[list[object]] = [[{"n": n}] for n in range(4)]

    async def patiently(call: Callable[..., Awaitable[Any]], *values: object) -> Any:
        await database.cut_all_others()
        with suppress(UnavailableError):
            return await call(*values)
        return await call(*values)

    for epoch, batch in enumerate(batches, start=1):
        assert await patiently(sink.write, batch) is None
        prepared = await patiently(sink.prepare, epoch)
        await patiently(sink.commit, epoch, prepared)
    await sink.close()
    assert await database.run("SELECT n FROM t") == [0, 1, 2, 3]


@pytest.mark.service
@pytest.mark.parametrize("store", [False, True])
async def test_a_write_that_is_cancelled_lets_go_at_once_and_counts_once(
    store: bool, database: Database
) -> None:
    sink = await start(database, store)
    assert await write(sink, {"n": 0}) == {}
    table = (await database.staged())[0] if store else "t"
    batch = [{"n": 1}]
    async with database.connection.transaction():
        await database.run(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        writing = asyncio.create_task(sink.write(batch))
        await asyncio.wait([writing], timeout=0.1)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert await sink.write(batch) is None
    if store:
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    assert await database.run("SELECT n FROM t") == [0, 1]


@dataclass
class Point:
    x: int
    y: float


AT = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
NAIVE = dt.datetime(2020, 1, 2, 3)  # noqa: DTZ001
VALUES: list[tuple[object, str, object]] = [
    (7, "bigint", 7),
    (True, "boolean", True),
    (0.5, "double precision", 0.5),
    ("ä", "text", "ä"),
    (b"\x00", "bytea", b"\x00"),
    (bytearray(b"a"), "bytea", b"a"),
    (AT, "timestamp with time zone", AT),
    (NAIVE, "timestamp without time zone", NAIVE),
    (dt.date(2020, 1, 2), "date", dt.date(2020, 1, 2)),
    (dt.time(1, 2), "time without time zone", dt.time(1, 2)),
    (dt.timedelta(seconds=1.5), "interval", dt.timedelta(seconds=1.5)),
    (uuid.UUID(int=1), "uuid", uuid.UUID(int=1)),
    (decimal.Decimal("1.10"), "numeric", decimal.Decimal("1.10")),
    ({"a": [1]}, "jsonb", '{"a": [1]}'),
    ([1, None], "jsonb", "[1, null]"),
    (Point(1, 2.5), "jsonb", '{"x": 1, "y": 2.5}'),
    (None, "text", None),
]


@pytest.mark.service
@pytest.mark.parametrize("key", [None, ["n"]], ids=["added", "by key"])
@pytest.mark.parametrize("store", [False, True])
async def test_a_table_is_made_with_the_types_of_the_first_records(
    store: bool, key: list[str] | None, database: Database
) -> None:
    sink = await start(database, store, key=key)
    record = {f"c{at}": value for at, (value, _, _) in enumerate(VALUES)}
    assert await write(sink, {"n": 1}, {"n": 2, **record}) == {}
    if store:
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    types = await database.run(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = 't'::regclass AND attnum > 1 ORDER BY attnum"
    )
    assert types == [declared for _, declared, _ in VALUES]
    (kept,) = await database.run("SELECT * FROM t WHERE n = 2")
    assert list(kept[1:]) == [value for _, _, value in VALUES]


@pytest.mark.service
async def test_values_are_those_of_the_columns_that_are_there(database: Database) -> None:
    await database.run("CREATE TYPE mood AS ENUM ('good', 'bad')")
    await database.run("CREATE DOMAIN small AS int CHECK (VALUE < 10)")
    await database.run(
        "CREATE TABLE t (i smallint, f real, n numeric(6, 2), s varchar(3), t text, j json, "
        "jb jsonb, a int[], m mood, d small)"
    )
    record = {
        "i": 1,
        "f": 2,
        "n": 1.5,
        "s": "abc",
        "t": {"a": 1},
        "j": "text",
        "jb": [1],
        "a": [1, 2],
        "m": "good",
        "d": 3,
    }
    sink = await begin(database)
    bad = [
        {"i": 2**15},
        {"s": "abcd"},
        {"m": "none"},
        {"d": 11},
        {"t": 5},
        {"t": "a\x00"},
        {"t": "\ud800"},
        {"jb": object()},
        {"n": 10**6},
        {"a": ["x"]},
    ]
    rejected = await write(sink, record, *bad, record)
    assert list(rejected) == list(range(1, 11))
    assert all(rejected.values())
    await sink.commit(1, await sink.prepare(1))
    await sink.close()
    expected = (
        1,
        2.0,
        decimal.Decimal("1.50"),
        "abc",
        '{"a":1}',
        '"text"',
        "[1]",
        [1, 2],
        "good",
        3,
    )
    assert await database.run("SELECT * FROM t") == [expected, expected]


@pytest.mark.service
@pytest.mark.parametrize("record", [{"a": 1}, b"\xff", object(), "text", None])
async def test_a_dead_letter_is_always_a_row(record: object, database: Database) -> None:
    letter = DeadLetter("g", "n", Origin("s", "", 7), record, Cause("ValueError", "no"), 2)
    sink = await start(database, store=False)
    assert await write(sink, letter, letter) == {}
    await sink.close()
    found = await database.run(
        "SELECT graph, node, origin->>'position', error->>'message', attempts, record FROM t"
    )
    assert [row[:5] for row in found] == [("g", "n", "7", "no", 2)] * 2
    if isinstance(record, dict | str):
        assert json.loads(found[0][5]) == record


@pytest.mark.service
@pytest.mark.parametrize("count", [1, 7, 64])
@pytest.mark.parametrize("key", [None, ["n"]], ids=["added", "by key"])
@pytest.mark.parametrize("store", [False, True])
async def test_what_a_constraint_refuses_is_rejected_alone(
    store: bool, key: list[str] | None, count: int, database: Database
) -> None:
    await database.run("CREATE TABLE t (n int PRIMARY KEY CHECK (n < 1000), s text NOT NULL)")
    sink = await start(database, store, key=key)
    good = [{"n": n, "s": str(n)} for n in range(count)]
    batch: list[object] = []
    for n, record in enumerate(good):
        if n % 3 == 0:
            batch += [{"n": 1000 + n, "s": "too large"}, {"n": n}]
        batch.append(record)
    bad = [at for at, record in enumerate(batch) if record not in good]
    rejected = await write(sink, *batch)
    assert sorted(rejected) == bad
    assert all("violates" in text for text in rejected.values())
    if store:
        assert await database.run("SELECT n FROM t") == []
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    assert await database.run("SELECT n FROM t ORDER BY n") == list(range(count))


@pytest.mark.service
async def test_without_a_store_a_row_that_is_there_already_is_rejected_alone(
    database: Database,
) -> None:
    await database.run("CREATE TABLE t (n int UNIQUE)")
    sink = await start(database, store=False)
    rejected = await write(sink, {"n": 1}, {"n": 2}, {"n": 1})
    assert list(rejected) == [2]
    assert "Key (n)=(1) already exists" in rejected[2]
    await sink.close()
    assert await database.run("SELECT n FROM t") == [1, 2]


@pytest.mark.service
async def test_what_two_staged_rows_violate_together_stays_and_passes_with_a_key(
    database: Database,
) -> None:
    await database.run("CREATE TABLE t (n int UNIQUE, s text)")
    fence = HeldFence()
    sink = await begin(database, fence)
    await take(sink, 1, {"n": 0, "s": "first"})
    assert await write(sink, {"n": 1, "s": "a"}) == {}
    assert await write(sink, {"n": 1, "s": "b"}) == {}
    prepared = await sink.prepare(2)
    for _ in range(2):
        with pytest.raises(MisconfiguredError, match=r"(?s)unique constraint.*\(n\)=\(1\).*key="):
            await sink.commit(2, prepared)
        assert await database.run("SELECT n FROM t") == [0]
    await sink.close()
    sink = await opened(
        sinks.postgresql(database.url, database.table, key=["n"]), fence.taken_over()
    )
    await sink.discard(1)
    await sink.commit(2, prepared)
    await sink.close()
    assert await database.run("SELECT n, s FROM t ORDER BY n") == [(0, "first"), (1, "b")]


@pytest.mark.service
@pytest.mark.parametrize("store", [False, True])
async def test_with_a_key_the_last_record_of_each_counts(store: bool, database: Database) -> None:
    sink = await start(database, store, key=["word", "year"])

    def row(word: str, year: int, n: int | None) -> dict[str, Any]:
        return {"word": word, "year": year, "n": n}

    batches = [
        [row("a", 1, 1), row("b", 1, 2), row("a", 1, 3)],
        [row("a", 2, 4), row("b", 1, 5)],
        [row("b", 1, None)],
    ]
    for epoch, batch in enumerate(batches, start=1):
        if store:
            assert await write(sink, *batch[:1]) == {}
            await take(sink, epoch, *batch[1:])
        else:
            assert await write(sink, *batch) == {}
    assert await write(sink, {"word": "a", "n": 9}) == {
        0: "the record has no 'year', which is part of its key"
    }
    await sink.close()
    assert await database.run("SELECT word, year, n FROM t ORDER BY 1, 2") == [
        ("a", 1, 3),
        ("a", 2, 4),
        ("b", 1, None),
    ]


@pytest.mark.service
async def test_a_table_of_nothing_but_its_key_holds_each_once(database: Database) -> None:
    sink = await begin(database, key=["word"])
    await take(sink, 1, {"word": "a"}, {"word": "b"}, {"word": "a"})
    await take(sink, 2, {"word": "b"})
    await sink.close()
    assert await database.run("SELECT word FROM t ORDER BY 1") == ["a", "b"]


@pytest.mark.service
@pytest.mark.parametrize("store", [False, True])
async def test_columns_with_a_default_keep_it_unless_they_are_named(
    store: bool, database: Database
) -> None:
    await database.run(
        "CREATE TABLE t (id serial PRIMARY KEY, n int, at text NOT NULL DEFAULT 'now', "
        "twice int GENERATED ALWAYS AS (2 * n) STORED, "
        "number int GENERATED ALWAYS AS IDENTITY)"
    )
    sink = await start(database, store)
    assert await write(sink, {"n": 4}) == {}
    (told,) = (await write(sink, {"n": 4, "at": "then"})).values()
    assert "no column for the field 'at'" in told
    if store:
        await sink.commit(1, await sink.prepare(1))
    await sink.close()
    sink = await opened(sinks.postgresql(database.url, database.table, columns=["at", "n"]))
    assert await write(sink, {"n": 5, "at": "then", "passed": "over"}) == {}
    await sink.close()
    assert await database.run("SELECT * FROM t") == [(1, 4, "now", 8, 1), (2, 5, "then", 10, 2)]


@pytest.mark.service
async def test_names_are_only_names(database: Database) -> None:
    await database.run("CREATE TABLE victim (n int)")
    table, column = 'a"; DROP TABLE victim; --', 'c") VALUES (1); DROP TABLE victim; --'
    sink = sinks.postgresql(database.url, f"{database.schema}.{table}", key=[column])
    await opened(sink, HeldFence("o'clock\""))
    await sink.discard(0)
    await take(sink, 1, {column: 1, "select": 2})
    await sink.close()
    assert set(await database.tables()) == {table, "victim", "thalweg_epochs"}
    assert await database.run('SELECT * FROM "' + table.replace('"', '""') + '"') == [(1, 2)]


@pytest.mark.service
async def test_a_table_without_a_schema_is_found_in_the_search_path(
    database: Database, postgres_url: str
) -> None:
    url = f"{postgres_url}?search_path={database.schema}"
    sink = await opened(sinks.postgresql(url, "t"), HeldFence())
    await sink.discard(0)
    await take(sink, 1, {"n": 1})
    await sink.close()
    assert await database.tables() == ["t", "thalweg_epochs"]
    sink = sinks.postgresql(f"{postgres_url}?search_path=nowhere", "t")
    with pytest.raises(MisconfiguredError, match=r"has no schema for .*: name one"):
        await sink.open(context())
    await sink.close()


@pytest.mark.service
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": ["n", "m"]}, r"no column 'm' that can be written, only \['n', 's'\]"),
        ({"key": ["m"]}, "no column 'm'"),
        ({"key": ["s"]}, "no unique or exclusion constraint matching"),
        ({"table": "v"}, "is no table"),
        ({"table": "missing", "columns": {"a": int}, "schema": "none"}, "none.* does not exist"),
    ],
)
async def test_what_does_not_fit_the_table_is_told_at_the_start(
    options: dict[str, Any], told: str, database: Database
) -> None:
    await database.run(
        "CREATE TABLE t (n int PRIMARY KEY, s text, g int GENERATED ALWAYS AS (n) STORED)"
    )
    await database.run("CREATE VIEW v AS SELECT 1")
    schema, table = options.pop("schema", database.schema), options.pop("table", "t")
    sink = sinks.postgresql(database.url, f"{schema}.{table}", **options)
    with pytest.raises(MisconfiguredError, match=told) as caught:
        await sink.open(context())
    assert "127.0.0.1" in str(caught.value)
    await sink.close()


SECRET = "s3cr%2Ft"


async def test_no_password_is_ever_shown(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    url = f"postgresql://flow:{SECRET}@127.0.0.1:{unused_tcp_port}/db?password=0ther"
    sink = sinks.postgresql(url, "t")
    shown = [repr(sink)]
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{unused_tcp_port}/db cannot") as caught:
        await sink.open(context())
    shown += [str(caught.value), repr(caught.value.__cause__)]

    async def refuses(*_: object, **__: object) -> None:
        raise ValueError("password s3cr/t is wrong")

    monkeypatch.setattr(asyncpg, "connect", refuses)
    with pytest.raises(MisconfiguredError) as told:
        await sink.open(context())
    shown += [str(told.value), repr(told.value.__cause__)]
    await sink.close()
    for text in shown:
        assert "s3cr" not in text
        assert "0ther" not in text
    assert shown[0] == f"postgresql('postgresql://127.0.0.1:{unused_tcp_port}/db', 't')"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"url": "mysql://u:s3cret@h/d"}, "url begins with 'postgresql://'"),
        ({"url": "postgresql://u:s3@cret/x@h/d"}, "cannot be read"),
        ({"url": "postgresql://u:[s3cret@h/d"}, "cannot be read"),
        ({"url": ""}, "url begins with"),
        ({"table": "a."}, "table is the name of a table, not 'a.'"),
        ({"columns": {"a": complex}}, "column 'a' has no type"),
        ({"key": "word"}, "key takes a list of names"),
    ],
)
async def test_what_makes_no_sense_is_told_when_it_is_written(
    wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=told) as caught:
        sinks.postgresql(**{"url": "postgresql://h/d", "table": "t", **wrong})
    assert "s3" not in str(caught.value)


async def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    sink = sinks.postgresql("postgresql://h/d", "t")
    with pytest.raises(MissingExtra, match=r"thalweg\[postgres\]"):
        await sink.open(context())
    await sink.close()


@pytest.mark.service
async def test_a_copy_that_is_replaced_while_it_commits_hears_of_that(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await begin(database, HeldFence(token=1))
    await take(first, 1, {"n": 1})
    await write(first, {"n": 2})
    prepared = await first.prepare(2)
    staged = [PreparedRows.decode(prepared).staged]
    second = await opened(sinks.postgresql(database.url, database.table), HeldFence(token=2))
    await second.discard(1)
    await take(second, 2, {"n": 2})  # It drops what the first has staged.

    async def just_before(self: PostgresqlStaging, connection: object) -> list[str]:
        return staged

    monkeypatch.setattr(PostgresqlStaging, "_tables", just_before)
    with pytest.raises(StateLost, match="with token 2; this one has 1"):
        await first.commit(2, prepared)
    monkeypatch.undo()
    await first.close()
    await second.close()


@pytest.mark.service
async def test_a_copy_with_a_smaller_token_is_refused_by_the_database_itself(
    database: Database,
) -> None:
    older, newer = HeldFence(token=1), HeldFence(token=2)
    first = await begin(database, older)
    await take(first, 1, {"n": 1})
    await write(first, {"n": 2})
    prepared = await first.prepare(2)
    await write(first, {"n": 3})
    second = await opened(sinks.postgresql(database.url, database.table), newer)
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
    assert await database.run("SELECT n FROM t") == [1, 2]


@pytest.mark.service
async def test_going_back_is_refused_with_what_to_do_and_possible_after_it(
    database: Database,
) -> None:
    fence = HeldFence("it's mine")
    sink = await begin(database, fence)
    early = await take(sink, 1, {"n": 1})
    await take(sink, 2, {"n": 2})
    await sink.close()
    sink = await opened(sinks.postgresql(database.url, database.table), fence.taken_over())
    with pytest.raises(MisconfiguredError, match=r"has committed epoch 2 of 'test'") as caught:
        await sink.discard(1)
    await database.run("DELETE FROM t WHERE n = 2")
    _, _, statement = str(caught.value).partition("then ")
    await database.run(statement)
    await sink.discard(1)
    await sink.commit(1, early)
    await take(sink, 3, {"n": 3})
    await sink.close()
    assert await database.run("SELECT n FROM t") == [1, 3]


@pytest.mark.service
async def test_rows_that_are_gone_are_named(database: Database) -> None:
    fence = HeldFence()
    sink = await begin(database, fence)
    await take(sink, 1, {"n": 1})
    await write(sink, {"n": 2})
    prepared = await sink.prepare(2)
    (table,) = await database.staged()
    await database.run(f"DELETE FROM {table}")
    with pytest.raises(MisconfiguredError, match=r"1 rows were staged for epoch 2, but .* holds 0"):
        await sink.commit(2, prepared)
    await database.run(f"DROP TABLE {table}")
    with pytest.raises(MisconfiguredError, match=r"1 rows were staged for epoch 2, but .* holds 0"):
        await sink.commit(2, prepared)
    await database.run("UPDATE thalweg_epochs SET epoch = 0")
    with pytest.raises(MisconfiguredError, match=r"comes after epoch 1, but .* epoch 0 last"):
        await sink.commit(2, prepared)
    await database.run("DELETE FROM thalweg_epochs")
    with pytest.raises(MisconfiguredError, match=r"has no row for .* any more"):
        await sink.commit(2, prepared)
    await sink.close()


@pytest.mark.service
async def test_what_a_crash_left_goes_and_what_others_stage_stays(database: Database) -> None:
    fence = HeldFence()
    left = await begin(database, fence)
    await take(left, 1, {"n": 1})
    await write(left, {"n": 2})
    prepared = await left.prepare(2)
    await write(left, {"n": 3})
    others = await begin(database, HeldFence("another state"))
    await write(others, {"n": 10})
    assert len(await database.staged()) == 2
    later = await opened(sinks.postgresql(database.url, database.table), fence.taken_over())
    await later.discard(2)
    await later.commit(2, prepared)
    assert await database.run("SELECT n FROM t") == [1, 2]
    assert len(await database.staged()) == 1
    await take(others, 1)
    assert await database.run("SELECT n FROM t") == [1, 2, 10]
    for sink in (others, later):
        await sink.close()
    assert await database.staged() == []
    await left.close()


@pytest.mark.service
async def test_what_a_job_left_before_its_first_epoch_goes_when_it_begins_anew(
    database: Database,
) -> None:
    fence = HeldFence()
    left = await begin(database, fence)
    await write(left, {"n": 1})
    assert len(await database.staged()) == 1
    later = await begin(database, fence.taken_over())
    assert await database.staged() == []
    await take(later, 1, {"n": 1})
    assert await database.run("SELECT n FROM t") == [1]
    await later.close()
    await left.close()


@pytest.mark.service
async def test_a_copy_that_stands_still_in_a_write_holds_up_nobody(database: Database) -> None:
    fence = HeldFence()
    left = await begin(database, fence)
    await take(left, 1, {"n": 1})
    await write(left, {"n": 2})
    prepared = await left.prepare(2)
    (table,) = await database.staged()
    async with database.connection.transaction():
        # As if it had not come to the end of its next write.
        await database.run(f"INSERT INTO {table} VALUES (99, 0, 99)")
        later = await opened(sinks.postgresql(database.url, database.table), fence.taken_over())
        async with asyncio.timeout(20):
            await later.discard(2)
            await later.commit(2, prepared)
        await take(later, 3, {"n": 3})
        await later.close()
    assert await database.run("SELECT n FROM t") == [1, 2, 3]
    await left.close()
    assert await database.staged() == [table]
    last = await opened(sinks.postgresql(database.url, database.table), HeldFence(token=9))
    await last.discard(3)
    await take(last, 4)
    await last.close()
    assert await database.staged() == []


@pytest.mark.service
async def test_sinks_of_a_job_may_write_to_one_schema_and_begin_together(
    database: Database,
) -> None:
    async def work(node: str) -> None:
        sink = sinks.postgresql(database.url, f"{database.schema}.{node}")
        await sink.open(context(node=node, fence=HeldFence()))
        await sink.discard(0)
        for epoch in range(1, 4):
            await take(sink, epoch, *[{"node": node}] * 50)
        await sink.close()

    await asyncio.gather(*(work(node) for node in "abcdef"))
    for node in "abcdef":
        assert await database.run(f"SELECT node FROM {node}") == [node] * 150
