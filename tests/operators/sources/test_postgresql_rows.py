"""Rows of PostgreSQL by key, from a real server: types, lost connections, what is refused."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from thalweg import Graph, MissingExtra, Retry
from thalweg.operators import sinks, sources
from thalweg.operators.sources._pages import Selection
from thalweg.runtime.contracts import MisconfiguredError, UnavailableError

from .following import Following

pytestmark = [pytest.mark.service, pytest.mark.asyncio]

Sql = Callable[..., Awaitable[Any]]
QUICK = Retry(first=0.01, longest=0.05)


async def connected(url: str) -> Any:
    connect = cast(Any, asyncpg.connect)  # pyright: ignore[reportUnknownMemberType]
    return await connect(url)


@pytest_asyncio.fixture
async def database(postgres_url: str) -> AsyncIterator[Any]:
    connection = await connected(postgres_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def schema(database: Any) -> AsyncIterator[str]:
    name = f"Sources {uuid4().hex}"
    await database.execute(f'CREATE SCHEMA "{name}"')
    try:
        yield name
    finally:
        await database.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest_asyncio.fixture
async def table(database: Any, schema: str) -> str:
    """A table of 30 things, as SQL names it."""
    await database.execute(
        f'CREATE TABLE "{schema}".things (id bigint PRIMARY KEY, name text NOT NULL);'
        f"INSERT INTO \"{schema}\".things SELECT i, 'thing ' || i FROM generate_series(1, 30) i"
    )
    return f'"{schema}".things'


def things(*numbers: int) -> list[dict[str, object]]:
    return [{"id": number, "name": f"thing {number}"} for number in numbers]


async def read(make: Callable[[], Any], limit: int = 7) -> Following:
    reading = Following(make, limit)
    try:
        assert not await reading.read()
    finally:
        await reading.stop()
    return reading


async def test_a_table_is_read_by_its_primary_key(
    postgres_url: str, schema: str, table: str
) -> None:
    make = lambda: sources.postgresql_table(  # noqa: E731
        postgres_url, f"{schema}.things", page_size=8
    )
    reading = await read(make)
    assert reading.records == things(*range(1, 31))
    assert reading.positions == {"": list(range(30))}


async def test_a_query_is_read_by_its_key(postgres_url: str, table: str) -> None:
    query = f"SELECT 100 - id AS down, name FROM {table} WHERE id > $1 AND name <> $2 -- some"
    make = lambda: sources.sql_query(  # noqa: E731
        postgres_url, query, key="down", values=[20, "thing 25"], page_size=3, lag=0.01
    )
    reading = await read(make)
    assert reading.records == [
        {"down": 100 - n, "name": f"thing {n}"} for n in range(30, 20, -1) if n != 25
    ]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("smallint", [-3, 0, 3]),
        ("bigint", [-(2**63), 2**63 - 1]),
        ("numeric", [Decimal("-1e30"), Decimal("0.10"), Decimal("0.1000001")]),
        ("real", [-1.5, 0.10000000149011612]),
        ("double precision", [0.1, 0.30000000000000004, float("inf")]),
        ("text", ["", "'", "Z", "ü"]),
        ("char(5)", ["a    ", "b    "]),
        ("bytea", [b"", b"\x00", b"\xff"]),
        ("uuid", [UUID(int=1), UUID(int=2**100)]),
        ("date", [dt.date(1, 1, 1), dt.date(2026, 11, 21)]),
        ("timestamp", [dt.datetime(2026, 1, 1, 0, 0, 0, 1), dt.datetime(2026, 1, 1, 1)]),  # noqa: DTZ001
        ("timestamptz", [dt.datetime(2026, 1, 1, 0, 0, 0, at, tzinfo=dt.UTC) for at in (1, 2, 3)]),
    ],
)
async def test_keys_of_each_type_are_gone_on_from(
    kind: str, keys: list[Any], postgres_url: str, database: Any, schema: str
) -> None:
    name = f'{schema}.The "table".of {kind[:4]}'
    quoted = f'"{schema}"."The ""table"".of {kind[:4]}"'
    await database.execute(
        f'CREATE TABLE {quoted} ("the key" {kind} COLLATE "C" PRIMARY KEY)'
        if kind in ("text", "char(5)")
        else f'CREATE TABLE {quoted} ("the key" {kind} PRIMARY KEY)'
    )
    await database.executemany(f"INSERT INTO {quoted} VALUES ($1)", [(key,) for key in keys])
    reading = Following(lambda: sources.postgresql_table(postgres_url, name), 1)
    going = True
    while going:
        going = await reading.read(reads=1)
        await reading.stop()
    assert reading.records == [{"the key": key} for key in keys]


async def test_json_is_decoded(postgres_url: str) -> None:
    query = """SELECT 1 AS id, '{"a": [1, "ä"]}'::jsonb AS b, 'null'::json AS n, ARRAY[1, 2] AS l"""
    reading = await read(lambda: sources.sql_query(postgres_url, query, key="id"))
    assert reading.records == [{"id": 1, "b": {"a": [1, "ä"]}, "n": None, "l": [1, 2]}]


async def test_a_page_uses_the_index_of_its_key(database: Any, table: str) -> None:
    await database.execute(
        f"INSERT INTO {table} SELECT i, 'more' FROM generate_series(31, 20000) i"
    )
    await database.execute(f"ANALYZE {table}")
    page = Selection(f"SELECT * FROM {table}", "id").page("5000", "15000", "1001")
    plan = await database.fetch(f"EXPLAIN {page}")
    text = " ".join(row[0] for row in plan)
    assert "Index Scan" in text
    assert "Sort" not in text


async def test_it_polls_for_rows_that_are_added_and_goes_on_after_a_restart(
    postgres_url: str, database: Any, schema: str, table: str
) -> None:
    make = lambda: sources.postgresql_table(  # noqa: E731
        postgres_url, f"{schema}.things", poll_interval=0.05, page_size=10
    )
    reading = Following(make, 4)
    assert await reading.read(seconds=0.3)
    await database.execute(f"INSERT INTO {table} VALUES (31, 'thing 31'), (32, 'thing 32')")
    assert await reading.read(seconds=0.3)
    await reading.stop()
    await database.execute(f"INSERT INTO {table} VALUES (33, 'thing 33')")
    await database.execute(f"DELETE FROM {table} WHERE id < 33")
    assert await reading.read(seconds=0.3)
    await reading.stop()
    assert reading.records == things(*range(1, 34))


async def test_with_a_lag_a_row_that_is_committed_behind_others_is_read(
    postgres_url: str, database: Any, schema: str
) -> None:
    name = f'"{schema}".numbered'
    await database.execute(f"CREATE TABLE {name} (id bigserial PRIMARY KEY, n int)")
    other = await connected(postgres_url)
    reading = Following(
        lambda: sources.postgresql_table(
            postgres_url, f"{schema}.numbered", poll_interval=0.02, lag=0.5
        )
    )
    try:
        slow = other.transaction()
        await slow.start()
        await other.execute(f"INSERT INTO {name} (n) VALUES (1)")
        await database.execute(f"INSERT INTO {name} (n) VALUES (2)")
        await reading.read(seconds=0.2)
        assert reading.lanes == {}
        await slow.commit()
        await reading.read(seconds=1.5)
    finally:
        await reading.stop()
        await other.close()
    assert reading.records == [{"id": 1, "n": 1}, {"id": 2, "n": 2}]


async def test_a_lost_connection_is_made_again(
    postgres_url: str, database: Any, schema: str, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    make = lambda: sources.postgresql_table(  # noqa: E731
        postgres_url, f"{schema}.things", page_size=4, retry=QUICK
    )
    reading, killed = Following(make, 4), list[int]()
    try:
        going = True
        while going:
            going = await reading.read(reads=1)
            found = await database.fetch(
                "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'thalweg test/log'"
            )
            killed += [row["pid"] for row in found]
    finally:
        await reading.stop()
    assert reading.records == things(*range(1, 31))
    # Eight pages: each was read over a connection of its own. One that is known to be closed is
    # made again without a page that is asked for in vain.
    assert len(set(killed)) >= 8
    assert reading.given.counter("page_retries", "").value >= 1
    assert "trying again" in caplog.text


class Proxy:
    """Stands between a source and the server, and can be down."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname or "127.0.0.1", parts.port or 5432
        self._parts = parts
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0
        self._server: asyncio.Server | None = None

    async def up(self) -> str:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        user = self._parts.username or "postgres"
        return f"postgresql://{user}:sesame@127.0.0.1:{self._port}{self._parts.path}"

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def proxy(url: str) -> AsyncGenerator[Proxy]:
    made = Proxy(url)
    try:
        yield made
    finally:
        await made.down()


async def test_a_server_that_is_down_for_a_while_is_waited_for(
    postgres_url: str, schema: str, table: str
) -> None:
    async with proxy(postgres_url) as between:
        url = await between.up()
        make = lambda: sources.postgresql_table(  # noqa: E731
            url, f"{schema}.things", page_size=10, retry=QUICK
        )
        reading = Following(make, 100)
        try:
            await reading.read(reads=1)
            await between.down()
            assert await reading.read(seconds=0.5)
            assert len(reading.records) == 10
            await between.up()
            assert not await reading.read()
        finally:
            await reading.stop()
    assert reading.records == things(*range(1, 31))


async def test_a_server_that_stays_down_fails_the_job_where_that_is_wanted(
    postgres_url: str, schema: str, table: str
) -> None:
    async with proxy(postgres_url) as between:
        url = await between.up()
        retry = Retry(attempts=3, first=0.01, when_down="fail")
        reading = Following(
            lambda: sources.postgresql_table(url, f"{schema}.things", page_size=10, retry=retry)
        )
        try:
            await reading.read(reads=1)
            await between.down()
            with pytest.raises(UnavailableError, match=r"cannot be reached|was lost") as caught:
                await reading.read()
        finally:
            await reading.stop()
    assert "sesame" not in f"{caught.value} {caught.value.__cause__!r} {reading.source!r}"


async def test_a_read_that_was_cancelled_loses_nothing(
    postgres_url: str, database: Any, schema: str, table: str
) -> None:
    make = lambda: sources.postgresql_table(  # noqa: E731
        postgres_url, f"{schema}.things", page_size=10
    )
    reading = Following(make, 100)
    try:
        await reading.read(reads=1)
        async with database.transaction():
            await database.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            assert await reading.read(seconds=0.2)
        assert not await reading.read()
    finally:
        await reading.stop()
    assert reading.records == things(*range(1, 31))


async def test_a_page_that_takes_too_long_fails(
    postgres_url: str, database: Any, schema: str, table: str
) -> None:
    reading = Following(
        lambda: sources.postgresql_table(
            postgres_url, f"{schema}.things", page_size=10, timeout=0.2
        )
    )
    try:
        await reading.read(reads=1)
        async with database.transaction():
            await database.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(MisconfiguredError, match=r"took longer than timeout=0\.2 s"):
                await reading.read()
    finally:
        await reading.stop()


@pytest.mark.parametrize(
    ("query", "key", "told"),
    [
        ("SELECT * FROM no_such_table", "id", 'relation "no_such_table" does not exist'),
        ("SELECT 1 AS id FROM", "id", "syntax error"),
        ("SELECT 1 AS id", "idd", r"did you mean 'id'\?\); it has \['id'\]"),
        ("SELECT 1 AS id WHERE $1 > 0", "id", "expects 1 argument"),
        ("SELECT NULL::int AS id", "id", "rows without a 'id'"),
        ("SELECT 1 AS id FROM generate_series(1, 2)", "id", "several rows have the key id=1"),
        ("SELECT true AS id", "id", "key='id' holds True"),
        ("SELECT nextval('{}') AS id", "id", "read-only transaction"),
        ("SELECT 1 AS id, '20000-01-01'::date AS far", "id", "cannot be used so: .*"),
    ],
)
async def test_a_query_that_cannot_be_read_by_its_key_is_refused(
    query: str, key: str, told: str, postgres_url: str, database: Any, schema: str
) -> None:
    if "{}" in query:
        await database.execute(f'CREATE SEQUENCE "{schema}".numbers')
        query = query.format(f'"{schema}".numbers')
    with pytest.raises(MisconfiguredError, match=told):
        await read(lambda: sources.sql_query(postgres_url, query, key=key))


@pytest.mark.parametrize(
    ("declaration", "told"),
    [
        ("TABLE {} (id int)", "has no primary key: name one column"),
        ("VIEW {} AS SELECT 1 AS id", "has no primary key: name one column"),
        ("TABLE {} (a int, id int, PRIMARY KEY (id, a))", r"several columns, \['id', 'a'\]"),
    ],
)
async def test_a_table_without_a_key_of_one_column_is_refused(
    declaration: str, told: str, postgres_url: str, database: Any, schema: str
) -> None:
    await database.execute("CREATE " + declaration.format(f'"{schema}".things'))
    with pytest.raises(MisconfiguredError, match=told):
        await read(lambda: sources.postgresql_table(postgres_url, f"{schema}.things"))
    make = lambda: sources.postgresql_table(postgres_url, f"{schema}.things", key="id")  # noqa: E731
    assert len((await read(make)).lanes) <= 1


async def test_a_table_that_is_not_there_is_refused(postgres_url: str, schema: str) -> None:
    with pytest.raises(MisconfiguredError, match=r"there is no table 'Sources .*nothing'"):
        await read(lambda: sources.postgresql_table(postgres_url, f"{schema}.nothing"))


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("127.0.0.1:1/test", UnavailableError),
        ("nowhere.invalid/test", UnavailableError),
        ("127.0.0.1:x/test", MisconfiguredError),
        ("{}/no_such_database", MisconfiguredError),
        ("{}/test?sslmode=nonsense", MisconfiguredError),
        ("{}/test?sslmode=require", UnavailableError),
    ],
)
async def test_what_cannot_be_reached_is_told_without_the_password(
    place: str, kind: type[Exception], postgres_url: str
) -> None:
    host = urlsplit(postgres_url).netloc.rpartition("@")[2]
    user = urlsplit(postgres_url).username
    source = sources.sql_query(
        f"postgresql://{user}:sesame@{place.format(host)}", "SELECT 1 AS id", key="id"
    )
    with pytest.raises(kind) as caught:
        await read(lambda: source)
    assert "PostgreSQL at " in str(caught.value)
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "sesame" not in f"{seen!r} {source!r}"
        seen = seen.__cause__


async def test_without_asyncpg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
    source = sources.postgresql_table("postgresql://localhost/test", "things")
    with pytest.raises(MissingExtra, match=r"thalweg\[postgres\]"):
        await read(lambda: source)


async def test_in_a_job_rows_are_records(postgres_url: str, schema: str, table: str) -> None:
    graph, seen = Graph("rows"), list[Any]()
    rows = graph.read("things", sources.postgresql_table(postgres_url, f"{schema}.things"))
    rows.to("out", sinks.collect(seen))
    async with graph.start() as job:
        await job.wait()
    assert seen == things(*range(1, 31))
