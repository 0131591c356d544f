"""The store in PostgreSQL: leases, takeovers, lost connections, and what others do to it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar
from unittest.mock import AsyncMock
from urllib.parse import urlsplit

import pytest

from thalweg.runtime.errors import (
    MissingExtra,
    StateDamaged,
    StateError,
    StateLost,
    StateUnavailable,
)
from thalweg.runtime.stores import Held, SavedEpoch
from thalweg.runtime.stores.lease import Lease
from thalweg.runtime.stores.postgres import PostgresStore
from thalweg.runtime.stores.postgres_link import Connection, PostgresLink
from thalweg.runtime.stores.postgres_rows import PostgresRows

from . import saving
from .conftest import InPostgres
from .saving import is_as_made, made

pytestmark = pytest.mark.service

T = TypeVar("T")


class Copy:
    """A copy of the job in a process of its own, which saves when it is told to."""

    def __init__(self, place: InPostgres, lease: float) -> None:
        options = ["--schema", place.schema, "--lease", str(lease), "--paced"]
        self.process = subprocess.Popen(
            [sys.executable, saving.__file__, place.url, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def save(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


async def until(condition: Callable[[], object], *, seconds: float = 10) -> None:
    """Wait for what another connection, or a timer of the store, brings about."""
    for _ in range(round(seconds * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still not so after {seconds} s")


async def connections(place: InPostgres) -> int:
    """How many the server has for this schema, by what they asked last."""
    rows = await place.run(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1 AND pid <> pg_backend_pid()",
        f"%{place.schema}%",
    )
    assert isinstance(rows[0][0], int)
    return rows[0][0]


async def cut(place: InPostgres) -> None:
    """End all connections of the stores in this schema, as a restart of the server does."""
    await place.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE query LIKE $1 AND pid <> pg_backend_pid()",
        f"%{place.schema}%",
    )


async def let_run_out(place: InPostgres) -> None:
    """As if the copy that has the lease had said nothing for all of its time."""
    await place.run(f"UPDATE {place.schema}.jobs SET lease_until = now()")


def test_a_copy_takes_over_from_a_dead_one_when_its_lease_has_run_out(postgres: InPostgres) -> None:
    async def main() -> None:
        store = postgres.store(lease=1.0)
        began = time.monotonic()
        opening = asyncio.ensure_future(store.open("job"))
        await until(lambda: store.waiting is not None or opening.done())
        assert f"held by another copy, process {copy.process.pid} on " in (store.waiting or "")
        held = await opening
        assert 0.3 < time.monotonic() - began < 5
        assert (held.token, store.waiting) == (2, None)
        assert await store.epochs() == [SavedEpoch(1, seen=False)]
        assert is_as_made(await store.load(1))
        await store.save(made(2), keep=2)
        await store.close()

    copy = Copy(postgres, 1.0)
    assert copy.said() == "open 1 0"
    copy.save()
    assert copy.said() == "saved 1"
    copy.kill()
    asyncio.run(main())


def test_a_copy_that_stood_still_beyond_its_lease_saves_nothing(postgres: InPostgres) -> None:
    async def main() -> None:
        store = postgres.store(lease=1.0)
        await store.open("job")
        await store.load(1)
        await store.save(made(2), keep=2)
        copy.process.send_signal(signal.SIGCONT)
        copy.save()
        said = await asyncio.to_thread(copy.said)
        assert said.startswith("StateLost the state of job 'job' in ")
        assert "was taken over by another copy, process " in said
        await store.check()
        assert [one.epoch for one in await store.epochs()] == [1, 2]
        assert is_as_made(await store.load(2))
        await store.close()

    copy = Copy(postgres, 1.0)
    try:
        assert copy.said() == "open 1 0"
        copy.save()
        assert copy.said() == "saved 1"
        copy.process.send_signal(signal.SIGSTOP)
        asyncio.run(main())
    finally:
        copy.kill()


def test_a_copy_that_lives_is_waited_for_however_long_it_takes(postgres: InPostgres) -> None:
    async def main() -> None:
        first, second = postgres.store(lease=0.5), postgres.store(lease=0.5)
        await first.open("job")
        opening = asyncio.ensure_future(second.open("job"))
        await asyncio.sleep(1.5)
        assert not opening.done()
        await first.save(made(1), keep=1)
        await first.close()
        # It lets go at once, so that what is left of the lease need not be waited for.
        assert (await asyncio.wait_for(opening, 5)).token == 2
        await second.close()

    asyncio.run(main())


def test_who_waits_can_be_told_to_stop(postgres: InPostgres) -> None:
    async def main() -> None:
        first, second = postgres.store(), postgres.store()
        await first.open("job")
        opening = asyncio.ensure_future(second.open("job"))
        await until(lambda: second.waiting is not None)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert second.waiting is None
        await second.close()
        await first.save(made(1), keep=1)
        await first.close()
        assert await connections(postgres) == 0

    asyncio.run(main())


def test_the_older_copy_hears_of_its_loss_before_it_saves(postgres: InPostgres) -> None:
    async def main() -> None:
        first, second = postgres.store(lease=1.5), postgres.store()
        heard: list[StateLost] = []
        first.on_lost = heard.append
        await first.open("job")
        await let_run_out(postgres)
        await second.open("job")
        await until(lambda: heard)
        assert "was taken over by another copy" in str(heard[0])
        with pytest.raises(StateLost, match="was taken over"):
            await first.check()
        with pytest.raises(StateLost, match="was taken over"):
            await first.save(made(1), keep=1)
        with pytest.raises(StateLost, match="was taken over"):
            await first.epochs()
        await asyncio.sleep(1)
        assert len(heard) == 1
        await first.close()
        await second.save(made(1), keep=1)
        await second.close()

    asyncio.run(main())


@pytest.mark.parametrize("asks_first", [True, False])
def test_a_copy_that_was_replaced_is_refused_in_the_same_transaction(
    postgres: InPostgres, asks_first: bool
) -> None:
    """It has not heard of it, since its lease is renewed so rarely."""

    async def main() -> None:
        first, second = postgres.store(lease=300), postgres.store(lease=300)
        await first.open("job")
        await first.save(made(1), keep=2)
        await let_run_out(postgres)
        await second.open("job")
        await second.load(1)
        await second.save(made(2), keep=2)
        if asks_first:
            with pytest.raises(StateLost, match="was taken over"):
                await first.check()
        for epoch in (1, 2, 3):
            with pytest.raises(StateLost, match="was taken over"):
                await first.save(made(epoch), keep=2)
        assert is_as_made(await second.load(2))
        # To close the older one takes nothing from the other.
        await first.close()
        await second.save(made(3), keep=2)
        rows = await postgres.run(f"SELECT lease_until > now() FROM {postgres.schema}.jobs")
        assert rows == [(True,)]
        await second.close()

    asyncio.run(main())


def test_of_many_that_start_at_once_one_holds_the_state_at_a_time(postgres: InPostgres) -> None:
    """Also the very first time, when there are no tables yet."""

    async def main() -> None:
        holders: list[int] = []
        tokens: list[int] = []
        lineages: set[str] = set()

        async def copy(at: int) -> None:
            store = postgres.store(lease=2.0)
            held = await store.open("job")
            holders.append(at)
            assert holders == [at]
            tokens.append(held.token)
            lineages.add(held.lineage)
            epochs = await store.epochs()
            last = epochs[-1].epoch if epochs else 0
            assert last == held.token - 1
            if last:
                assert is_as_made(await store.load(last))
            await store.save(made(last + 1), keep=2)
            holders.remove(at)
            await store.close()

        await asyncio.gather(*(copy(at) for at in range(8)))
        assert tokens == list(range(1, 9))
        assert len(lineages) == 1

    asyncio.run(main())


def test_connections_that_are_cut_are_made_again(postgres: InPostgres) -> None:
    async def main() -> None:
        store = postgres.store()
        await store.open("job")
        for epoch in range(1, 6):
            await cut(postgres)
            await patiently(partial(store.save, made(epoch), keep=2))
            await patiently(store.check)
            assert is_as_made(await patiently(partial(store.load, epoch)))
        assert await connections(postgres) <= 2
        await store.close()
        assert await connections(postgres) == 0

    asyncio.run(main())


def test_a_save_that_is_cut_at_any_moment_is_there_in_full_or_not_at_all(
    postgres: InPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    prune = PostgresRows.prune
    cuts = 0

    async def cut_there(self: PostgresRows, connection: Connection, keep: int) -> None:
        nonlocal cuts
        cuts += 1
        if cuts % 5 == 0:
            await cut(postgres)
        await prune(self, connection, keep)

    monkeypatch.setattr(PostgresRows, "prune", cut_there)

    async def main() -> None:
        store = postgres.store()
        await store.open("job")
        for epoch in range(1, 25):
            saving = asyncio.ensure_future(store.save(made(epoch, 50_000), keep=2))
            await asyncio.sleep(epoch * 0.0005)
            await cut(postgres)
            with suppress(StateUnavailable):
                await saving
            await patiently(partial(store.save, made(epoch, 50_000), keep=2))
            saved = await patiently(partial(store.load, epoch))
            assert is_as_made(saved, 50_000)
            epochs = [one.epoch for one in await patiently(store.epochs)]
            assert epochs == [*range(1, epoch + 1)][-2:]
        assert cuts > 24
        await store.close()

    asyncio.run(main())


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """As the runtime does, with a connection that was cut and does not know of it yet."""
    for _ in range(5):
        with suppress(StateUnavailable):
            return await call()
    return await call()


def test_a_lease_is_looked_at_while_the_row_is_locked(postgres: InPostgres) -> None:
    """By a save that takes long, or by a copy that is about to take over."""

    async def main() -> None:
        store = postgres.store()
        await store.open("job")
        link = PostgresLink(postgres.url, patience=10)
        async with link.use() as connection, connection.transaction(isolation="read_committed"):
            await connection.execute(f"SELECT 1 FROM {postgres.schema}.jobs FOR UPDATE")
            async with asyncio.timeout(5):
                await store.check()
        await link.close()
        await store.close()

    asyncio.run(main())


def test_nobody_takes_over_between_the_look_at_the_token_and_the_end_of_a_save(
    postgres: InPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        first, second = postgres.store(lease=300), postgres.store(lease=0.5)
        opening: list[asyncio.Future[Held]] = []
        write = PostgresRows.write

        async def meanwhile(self: PostgresRows, *arguments: Any) -> None:
            opening.append(asyncio.ensure_future(second.open("job")))
            await asyncio.sleep(0.5)
            assert not opening[0].done()
            await write(self, *arguments)

        await first.open("job")
        await let_run_out(postgres)
        monkeypatch.setattr(PostgresRows, "write", meanwhile)
        await first.save(made(1), keep=2)
        await first.check()
        await first.close()
        assert (await opening[0]).token == 2
        assert is_as_made(await second.load(1))
        await second.close()

    asyncio.run(main())


class Wire:
    """A server between the store and PostgreSQL that can go down."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname or "127.0.0.1", parts.port or 5432
        self._parts = parts
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self.accepted = 0

    @property
    def url(self) -> str:
        user, at, _ = self._parts.netloc.rpartition("@")
        return self._parts._replace(netloc=f"{user}{at}127.0.0.1:{self._port}").geturl()

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            to, back = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(reader, back))
                    group.create_task(_copy(to, writer))
            finally:
                back.transport.abort()
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


@asynccontextmanager
async def wired(
    place: InPostgres, lease: float
) -> AsyncGenerator[tuple[PostgresStore, Wire], None]:
    wire = Wire(place.url)
    await wire.up()
    store = PostgresStore(wire.url, lease=lease, schema=place.schema)
    try:
        yield store, wire
    finally:
        await store.close()
        await wire.down()


def test_an_outage_longer_than_the_lease_is_survived_if_nobody_took_over(
    postgres: InPostgres,
) -> None:
    async def main() -> None:
        async with wired(postgres, 0.5) as (store, wire):
            lost: list[StateLost] = []
            store.on_lost = lost.append
            await store.open("job")
            await store.save(made(1), keep=2)
            await wire.down()
            for _ in range(3):
                with pytest.raises(StateUnavailable, match=r"cannot be reached|was lost"):
                    await store.save(made(2), keep=2)
                with pytest.raises(StateUnavailable, match=r"cannot be reached|was lost"):
                    await store.check()
                await asyncio.sleep(0.4)
            await wire.up()
            await store.save(made(2), keep=2)
            await store.check()
            # The lease is renewed again.
            other = postgres.store(lease=0.5)
            opening = asyncio.ensure_future(other.open("job"))
            await asyncio.sleep(1.2)
            assert not opening.done()
            assert lost == []
            await store.close()
            await opening
            assert is_as_made(await other.load(2))
            await other.close()
            assert wire.accepted < 40

    asyncio.run(main())


def test_who_was_replaced_in_an_outage_hears_of_it_when_it_is_over(postgres: InPostgres) -> None:
    async def main() -> None:
        async with wired(postgres, 0.5) as (store, wire):
            lost: list[StateLost] = []
            store.on_lost = lost.append
            await store.open("job")
            await store.save(made(1), keep=2)
            await wire.down()
            other = postgres.store(lease=0.5)
            assert (await other.open("job")).token == 2
            await wire.up()
            await until(lambda: lost)
            with pytest.raises(StateLost):
                await store.save(made(2), keep=2)
            await other.close()

    asyncio.run(main())


def test_to_close_in_an_outage_takes_no_time_and_raises_nothing(postgres: InPostgres) -> None:
    async def main() -> None:
        async with wired(postgres, 30) as (store, wire):
            await store.open("job")
            await wire.down()
            began = time.monotonic()
            await store.close()
            assert time.monotonic() - began < 6
            await wire.up()

    asyncio.run(main())


@pytest.mark.parametrize("limited", [True, False])
def test_a_copy_that_stands_still_in_a_save_does_not_hold_up_the_others(
    postgres: InPostgres, monkeypatch: pytest.MonkeyPatch, limited: bool
) -> None:
    """The server ends the transaction of who says nothing between two statements. Within one no
    limit of the server counts: there the copy that waits ends it.
    """

    async def main() -> None:
        first, second = postgres.store(lease=1.0), postgres.store(lease=1.0)
        # A process that stands still renews nothing.
        monkeypatch.setattr(Lease, "_renew", AsyncMock())
        await first.open("job")
        await first.save(made(1), keep=2)
        write = PostgresRows.write

        async def still(self: PostgresRows, *arguments: Any) -> None:
            await write(self, *arguments)
            if not limited:
                connection: Connection = arguments[0]
                off = "SELECT set_config('idle_in_transaction_session_timeout', '0', true)"
                await connection.execute(off)
            await asyncio.sleep(4)

        monkeypatch.setattr(PostgresRows, "write", still)
        await let_run_out(postgres)
        saving = asyncio.ensure_future(first.save(made(2), keep=2))
        held = await asyncio.wait_for(second.open("job"), 10)
        assert held.token == 2
        assert [one.epoch for one in await second.epochs()] == [1]
        with pytest.raises((StateUnavailable, StateLost)):
            await saving
        monkeypatch.setattr(PostgresRows, "write", write)
        with pytest.raises(StateLost):
            await first.save(made(2), keep=2)
        await second.load(1)
        await second.save(made(2), keep=2)
        await second.close()
        await first.close()

    asyncio.run(main())


def test_a_save_that_takes_longer_than_the_lease_keeps_it(
    postgres: InPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        first, second = postgres.store(lease=0.6), postgres.store(lease=0.6)
        await first.open("job")
        write = PostgresRows.write

        async def slow(self: PostgresRows, connection: Connection, *arguments: Any) -> None:
            for _ in range(6):
                await asyncio.sleep(0.3)
                await connection.execute("SELECT 1")
            await write(self, connection, *arguments)

        monkeypatch.setattr(PostgresRows, "write", slow)
        opening = asyncio.ensure_future(second.open("job"))
        await first.save(made(1), keep=2)
        await first.check()
        assert not opening.done()
        await first.close()
        assert (await opening).token == 2
        assert is_as_made(await second.load(1))
        await second.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {}.epochs SET head = 'x'",
        "UPDATE {}.epochs SET seen = 0",
        "UPDATE {}.epochs SET epoch = epoch + 1 WHERE epoch = 4",
        "UPDATE {}.segments SET data = 'x' WHERE part = 'delta' AND epoch = 3",
        "UPDATE {}.segments SET since = since + 1 WHERE part = 'delta'",
        "UPDATE {}.segments SET part = part || 'x'",
        "DELETE FROM {}.segments WHERE epoch = 1",
        "DELETE FROM {}.segments WHERE epoch = 2",
        "DELETE FROM {}.segments WHERE part = 'whole'",
        "DELETE FROM {}.segments",
        "DELETE FROM {}.epochs",
        "DELETE FROM {}.epochs WHERE epoch = 4",
        "UPDATE {}.jobs SET lineage = 'another'",
    ],
)
def test_a_row_that_was_changed_is_found(postgres: InPostgres, change: str) -> None:
    async def main() -> None:
        store = postgres.store()
        await store.open("job")
        for epoch in range(1, 5):
            await store.save(made(epoch), keep=2)
        await store.close()
        await postgres.run(change.format(postgres.schema))
        await store.open("job")
        last = (await store.epochs())[-1]
        assert last.epoch >= 4
        assert last.seen
        with pytest.raises(StateDamaged, match=f"epoch {last.epoch} of job 'job' in .* is damaged"):
            await store.load(last.epoch)
        await store.close()

    asyncio.run(main())


def test_large_segments_are_cut_and_put_together(
    postgres: InPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.runtime.stores.chain.PIECE", 1000)
    monkeypatch.setattr("thalweg.runtime.stores.postgres_rows._GROUP", 2500)

    async def main() -> None:
        store = postgres.store()
        await store.open("job")
        for epoch in range(1, 8):
            await store.save(made(epoch), keep=2)
        for one in await store.epochs():
            assert is_as_made(await store.load(one.epoch))
        await store.close()

    asyncio.run(main())


def test_a_later_version_is_refused(postgres: InPostgres) -> None:
    async def main() -> None:
        store = postgres.store()
        await store.open("job")
        await store.close()
        await postgres.run(f"UPDATE {postgres.schema}.version SET version = 2")
        with pytest.raises(StateError, match="are of version 2, and this Thalweg reads 1"):
            await store.open("job")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"path": "/no_such_database"}, StateError, "does not exist"),
        ({"netloc": "no_such_user:hush-hush@{}"}, StateError, "refuses"),
        ({"netloc": "postgres:hush-hush@127.0.0.1:1"}, StateUnavailable, "cannot be reached"),
        ({"netloc": "postgres:hush-hush@[::1"}, ValueError, "cannot be read"),
        ({"netloc": "postgres:hush-hush@127.0.0.1:hush"}, StateError, "cannot be used"),
        ({"query": "sslmode=nonsense&password=hush-hush"}, StateError, "cannot be used"),
    ],
)
def test_what_is_wrong_with_the_url_is_told_without_the_password(
    postgres_url: str, change: dict[str, str], kind: type[Exception], says: str
) -> None:
    parts = urlsplit(postgres_url)
    place = f"{parts.hostname}:{parts.port or 5432}"
    url = parts._replace(**{key: value.format(place) for key, value in change.items()}).geturl()

    async def main() -> None:
        store = PostgresStore(url)
        assert "hush-hush" not in repr(store) + store.describe()
        await store.open("job")

    with pytest.raises(kind, match=says) as caught:
        asyncio.run(main())
    assert "hush-hush" not in str(caught.value)
    shown: BaseException = caught.value
    while shown.__cause__ is not None:
        shown = shown.__cause__
        assert "hush-hush" not in str(shown)


def test_an_error_that_shows_the_password_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(url: str, **options: object) -> None:
        raise OSError(f"cannot connect to {url}")

    monkeypatch.setattr("asyncpg.connect", connect)
    store = PostgresStore("postgresql://flow:hush%2Fhush@h/d")
    with pytest.raises(StateUnavailable) as caught:
        asyncio.run(store.open("job"))
    said = "postgresql://flow:***@h/d cannot be reached: OSError"
    assert (str(caught.value), caught.value.__cause__) == (said, None)


def test_without_asyncpg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'thalweg\[postgres\]'"):
        asyncio.run(PostgresStore("postgresql://127.0.0.1/x").open("job"))


def test_options_that_make_no_sense_are_refused() -> None:
    for wrong in ("mysql://h/d", "postgresql:/h"):
        with pytest.raises(ValueError, match="url begins with"):
            PostgresStore(wrong)
    for lease in (0, 0.01, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="lease is a number of seconds"):
            PostgresStore("postgresql://h/d", lease=lease)
    for schema in ("", "Upper", "a b", 'a"b', "1a", "x" * 64):
        with pytest.raises(ValueError, match="schema is lower case"):
            PostgresStore("postgresql://h/d", schema=schema)
