"""A store in PostgreSQL, for jobs that may start again on another machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from ..errors import StateDamaged, StateLost
from ..handover import Handover
from .chain import Chain, verified
from .lease import Lease
from .mark import Mark
from .postgres_link import Connection, PostgresLink
from .postgres_rows import PostgresRows
from .postgres_tables import make_tables
from .store import Checkpoint, Held, Saved, SavedEpoch, Store

__all__ = ["PostgresStore"]

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE = 60.0
"""Seconds that a statement may take."""
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
# A copy that stands still must not keep a lock, and one that saves must be safe from power cuts,
# however the server is set.
_LIMITS = """
SELECT set_config('idle_in_transaction_session_timeout', $1, true),
    set_config('statement_timeout', $2, true),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true),
    set_config('application_name', $3, true)
"""
# Between the messages of one statement no limit of the server counts: a copy that stands still
# there would keep its lock until its connection breaks.
_STANDS_STILL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()
    AND wait_event = 'ClientRead' AND query_start < clock_timestamp() - make_interval(secs => $2)
"""


class PostgresStore(Store):
    """Keeps the epochs in PostgreSQL: a job may start again on any machine that can reach it.

    >>> PostgresStore("postgresql://flow:secret@db.example/flows")
    PostgresStore('postgresql://flow:***@db.example/flows')

    One copy of a job holds its state at a time, by a lease which it renews. Another one waits, and
    takes over when the lease has run out by the clock of the server, as when the first is dead or
    out of reach; if that one comes back, it can save no more. A copy that ends lets go at once.

    The tables are made in a schema of their own, when the first job opens it. To forget a job,
    `DELETE FROM thalweg.jobs WHERE name = '…'`. For encryption say `?sslmode=verify-full` in the
    URL; without it the server is not verified.

    Parameters: `url`, as libpq has it; `lease` (10), seconds after which another copy takes over
    from one that says nothing; `schema` ("thalweg"), lower case letters, digits and `_`. Raises
    ValueError for any other. What a call raises: see `Store`; at `open`, also MissingExtra without
    asyncpg.
    """

    def __init__(self, url: str, *, lease: float = 10.0, schema: str = "thalweg") -> None:
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("url begins with 'postgresql://', such as 'postgresql://user@host/db'")
        if not 0.1 <= lease <= 86_400:
            raise ValueError(f"lease is a number of seconds from 0.1 to 86400, not {lease!r}")
        if not _SCHEMA.fullmatch(schema):
            raise ValueError(f"schema is lower case letters, digits and '_', not {schema!r}")
        self._url = url
        self._where = PostgresLink(url, patience=_PATIENCE).where
        self._seconds = lease
        self._schema = schema
        self._job: str | None = None
        self._lease: Lease | None = None
        self._chain: Chain | None = None

    def __repr__(self) -> str:
        return f"PostgresStore({self._where!r})"

    def describe(self) -> str:
        """The URL without its password, and the schema."""
        return f"schema {self._schema!r} of {self._where}"

    async def open(self, job: str) -> Held:
        self._named(job)
        if self._job not in (None, job):
            raise RuntimeError(
                f"this store is open for job {self._job!r}: give job {job!r} a copy of its own"
            )
        await self.close()
        self._job = job
        self._link = PostgresLink(self._url, patience=_PATIENCE)
        try:
            async with self._link.use() as connection:
                await make_tables(connection, self._schema, self._where)
            held = await self._hold(job)
            self._lineage = held.lineage
            self._rows = PostgresRows(self._schema, job, held.lineage)
            self._chain = None if await self.epochs() else Chain(held.lineage)
        except BaseException:
            await self.close()
            raise
        finally:
            self.waiting = None
        return held

    async def _hold(self, job: str) -> Held:
        while True:
            held = await self._take(job)
            if held is not None:
                break
            await asyncio.sleep(min(0.5, self._seconds / 10))
        patience = min(_PATIENCE, max(5.0, self._seconds))
        link = PostgresLink(self._url, patience=patience)
        self._lease = Lease(link, self._schema, job, held, self._seconds)
        self._lease.keep(self._tell)
        return held

    def _tell(self, error: StateLost) -> None:
        if self.on_lost is not None:
            self.on_lost(error)

    async def _take(self, job: str) -> Held | None:
        """Take the lease; or say in `waiting` who has it and for how long, and return None."""
        asked = (
            "SELECT lineage, token, holder, extract(epoch FROM lease_until - clock_timestamp())"
            f"::float8 AS left_of_it FROM {self._schema}.jobs WHERE name = $1"
        )
        async with self._link.use() as connection:
            if self._is_held(job, await connection.fetchrow(asked, job)):
                return None
            async with self._change(connection, job):
                await connection.execute(
                    f"INSERT INTO {self._schema}.jobs VALUES ($1, $2, 0, '', 'epoch', 0, 0) "
                    "ON CONFLICT DO NOTHING",
                    job, uuid.uuid4().hex,
                )  # fmt: skip
                # Whoever has it locked is saving, or takes it: look again later.
                row = await connection.fetchrow(f"{asked} FOR UPDATE SKIP LOCKED", job)
                if row is None:
                    await connection.execute(_STANDS_STILL, self._called(job), self._still)
                    return None
                if self._is_held(job, row):
                    return None
                await connection.execute(
                    f"UPDATE {self._schema}.jobs SET token = token + 1, holder = $2, "
                    "lease_until = clock_timestamp() + make_interval(secs => $3) WHERE name = $1",
                    job, f"process {os.getpid()} on {socket.gethostname()}", self._seconds,
                )  # fmt: skip
        return Held(row["lineage"], row["token"] + 1)

    def _is_held(self, job: str, row: Mapping[str, Any] | None) -> bool:
        if row is None or row["left_of_it"] <= 0:
            return False
        self.waiting = (
            f"the state of job {job!r} is held by another copy, {row['holder']}, for "
            f"{row['left_of_it']:.1f} s more unless it goes on: {self._where}"
        )
        return True

    async def epochs(self) -> Sequence[SavedEpoch]:
        self._held()
        async with self._link.use() as connection:
            return await self._rows.epochs(connection)

    async def load(self, epoch: int) -> Saved:
        self._held()
        # One look at all of it: whoever takes over meanwhile may prune what is being read.
        async with self._link.use() as connection, _glance(connection):
            row = await self._rows.epoch(connection, epoch)
            segments = await self._rows.segments(connection, epoch)
        try:
            if row is None:
                raise StateDamaged("it is gone")
            # In a thread: digests of large segments take their time.
            saved, self._chain = await _in_thread(verified, self._lineage, row, segments)
        except StateDamaged as error:
            where = f"epoch {epoch} of job {self._job!r} in {self.describe()}"
            raise StateDamaged(f"{where} is damaged: {error}") from error
        return saved

    async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        lease = self._held()
        before = self._chain
        if before is None:
            raise ValueError(f"job {self._job!r} has epochs: load the one to go on from")
        if await _in_thread(before.has, checkpoint, keep=keep):
            await lease.look()
            return
        head, rows, chain = await _in_thread(before.extend, checkpoint, keep=keep)
        asked = f"SELECT * FROM {self._schema}.jobs WHERE name = $1 FOR UPDATE"
        async with self._link.use() as connection, self._change(connection, lease.job):
            row = lease.compare(await connection.fetchrow(asked, lease.job))
            await self._rows.write(connection, before, head, rows)
            await self._rows.prune(connection, keep)
            mark = Mark(row["lineage"], row["last"], row["seen"])
            mark = mark.lowered(before.last).after(checkpoint)
            # While the row was locked the lease could not be renewed.
            await connection.execute(
                f"UPDATE {self._schema}.jobs SET last = $2, seen = $3, "
                "lease_until = clock_timestamp() + make_interval(secs => $4) WHERE name = $1",
                lease.job, mark.last, mark.seen, self._seconds,
            )  # fmt: skip
        self._chain = chain

    @asynccontextmanager
    async def _change(self, connection: Connection, job: str) -> AsyncGenerator[None, None]:
        async with connection.transaction(isolation="read_committed"):
            limits = f"{self._still:.3f}s", f"{_PATIENCE:.0f}s", self._called(job)
            await connection.execute(_LIMITS, *limits)
            yield

    @property
    def _still(self) -> float:
        """Seconds that a copy may stand still while it has the row locked."""
        return max(1.0, self._seconds)

    def _called(self, job: str) -> str:
        """What a connection is called while it changes this job."""
        return f"thalweg {hashlib.sha256(f'{self._schema} {job}'.encode()).hexdigest()[:32]}"

    async def check(self) -> None:
        await self._held().look()

    async def close(self) -> None:
        lease, self._lease = self._lease, None
        try:
            if lease is not None:
                await lease.release()
        finally:
            if self._job is not None:
                await self._link.close()
            self._job, self._chain = None, None

    def _held(self) -> Lease:
        if self._lease is None:
            raise RuntimeError("a store is used between open and close")
        self._lease.check()
        return self._lease


def _glance(connection: Connection) -> AbstractAsyncContextManager[object]:
    """A transaction that sees everything as it is at one moment."""
    return connection.transaction(isolation="repeatable_read", readonly=True)


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    with Handover(asyncio.get_running_loop()):
        return await asyncio.to_thread(function, *args, **kwargs)
