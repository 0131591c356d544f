"""A lease on the state of a job in PostgreSQL, renewed for as long as the copy runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import StateError, StateLost
from .postgres_link import PostgresLink
from .store import Held

__all__ = ["Lease"]

# One statement that waits for nobody: while a save or a copy that takes over has the row locked,
# nothing is renewed, and what was there before is told.
_RENEW = """
WITH mine AS (SELECT name FROM {schema}.jobs WHERE name = $1 FOR UPDATE SKIP LOCKED),
renewed AS (
    UPDATE {schema}.jobs SET lease_until = clock_timestamp() + make_interval(secs => $4)
    FROM mine WHERE jobs.name = mine.name AND lineage = $2 AND token = $3
)
SELECT lineage, token, holder FROM {schema}.jobs WHERE name = $1
"""
_RELEASE = """
UPDATE {schema}.jobs SET lease_until = clock_timestamp()
WHERE name = $1 AND lineage = $2 AND token = $3
"""


_PATIENCE = 5.0
"""Seconds that a copy which ends waits for the server."""


class Lease:
    """Renews a lease each third of its time, on a connection of its own.

    An outage does not end it: when the server is back and nobody has taken over, it goes on, also
    after its time. When somebody has, `on_lost` is called once.
    """

    def __init__(
        self, link: PostgresLink, schema: str, job: str, held: Held, seconds: float
    ) -> None:
        self.job = job
        self._link = link
        self._schema = schema
        self._mine = (job, held.lineage, held.token)
        self._seconds = seconds
        self._lost: str | None = None
        self._task: asyncio.Task[None] | None = None

    def keep(self, on_lost: Callable[[StateLost], None]) -> None:
        """Renew it from now on, in a task."""
        self._task = asyncio.get_running_loop().create_task(
            self._renew(on_lost), name=f"thalweg:{self._mine[0]}/lease"
        )

    async def _renew(self, on_lost: Callable[[StateLost], None]) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                await self.look()
            except StateLost as error:
                on_lost(error)
                return
            except StateError:
                # Out of reach: whether the lease is still ours will be seen when it is back.
                continue

    async def look(self) -> None:
        """Renew it now. Raises StateLost, StateUnavailable."""
        self.check()
        async with self._link.use() as connection:
            row = await connection.fetchrow(
                _RENEW.format(schema=self._schema), *self._mine, self._seconds
            )
        self.compare(row)

    def check(self) -> None:
        """Raise StateLost if it is known to be lost."""
        if self._lost is not None:
            raise StateLost(self._lost)

    def compare(self, row: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Raise StateLost unless this row of the job is there and says that it is still ours."""
        what = f"the state of job {self._mine[0]!r} in {self._link.where}"
        if row is None:
            self._lost = f"{what} was deleted while the job ran: this copy stops"
        elif (row["lineage"], row["token"]) != self._mine[1:]:
            self._lost = (
                f"{what} was taken over by another copy, {row['holder']}, after the lease of "
                f"{self._seconds:g} s had run out: this copy stops"
            )
        else:
            return row
        raise StateLost(self._lost)

    async def release(self) -> None:
        """Let the next copy have it at once; where the server is out of reach, it must wait."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            if self._lost is None:
                async with asyncio.timeout(_PATIENCE), self._link.use() as connection:
                    await connection.execute(_RELEASE.format(schema=self._schema), *self._mine)
        except (StateError, TimeoutError):
            pass
        finally:
            await self._link.close()
