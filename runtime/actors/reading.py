"""The reads of one source: as many records as its rate and its credit allow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ..contracts import Read, Source
from ..counts import ActorCounts
from ..signals import Barrier, Trigger, Watermark
from .surroundings import Surroundings

__all__ = ["Reading", "Something"]

T = TypeVar("T")

Something = Sequence[object] | Read[object] | Watermark | Trigger | Barrier | None
"""What a source returns when it is read."""

_WAIT = 0.0005
"""Seconds: a read that takes less is work, not a wait."""

_PACED_READS = 20
"""A paced source is read at most so many times a second, and at least once a record."""


class Reading:
    """Reads one source, no faster than its `rate` and no further than its `max_unsettled`.

    `under_way` tells how many records were read and have not arrived; `resumed` hears of it when a
    wait is over.
    """

    def __init__(
        self,
        source: Source[object],
        around: Surroundings,
        counts: ActorCounts,
        *,
        under_way: Callable[[], int],
        resumed: Callable[[float], None],
    ) -> None:
        self.waits_for_credit = False
        self._source = source
        self._around = around
        self._counts = counts
        self._monotonic = around.clock.monotonic
        self._under_way = under_way
        self._resumed = resumed
        self._credit: asyncio.Future[None] | None = None
        self._next = 0.0

    @property
    def paced(self) -> bool:
        """Whether the next read is not due yet, because of the rate."""
        return bool(self._source.rate) and self._next > self._monotonic()

    def begin(self) -> None:
        """The time from which the rate counts is now."""
        self._next = self._monotonic()

    def took(self, count: int, now: float) -> None:
        """So many records were read: the next ones are due when the rate says so."""
        rate = self._source.rate
        if rate:
            self._next = max(self._next, now - 1.0) + count / rate

    def freed(self) -> None:
        """Some of what was under way has arrived."""
        if self._credit is not None and not self._credit.done():
            self._credit.set_result(None)

    async def read(self, limit: int) -> Something:
        """What the source hands over next, when it is due: up to `limit` records."""
        if self._source.max_unsettled is not None:
            limit = min(limit, await self._await_credit(self._source.max_unsettled))
        rate = self._source.rate
        if rate:
            limit = min(limit, max(1, int(rate / _PACED_READS)))
            delay = self._next - self._monotonic()
            if delay > 0:
                await self._waiting(asyncio.sleep(delay))
        return await self._waiting(self._source.read(limit))

    async def _waiting(self, something: Awaitable[T]) -> T:
        """Await what is counted as a wait for input, unless it is over at once."""
        began, waits = self._monotonic(), self._counts.input
        waits.begin(began)
        try:
            result = await something
        finally:
            now = self._monotonic()
            if now - began > _WAIT:
                waits.end(now)
                self._resumed(now)
            else:
                waits.forget()
        return result

    async def _await_credit(self, most: int) -> int:
        """Wait until fewer than `most` records are under way; return how many more may be."""
        while (free := most - self._under_way()) <= 0:
            self.waits_for_credit = True
            self._credit = self._around.loop.create_future()
            self._around.credit_changed()
            self._counts.output.begin(self._monotonic())
            try:
                await self._credit
            finally:
                self._credit = None
                self.waits_for_credit = False
                self._counts.output.end(self._monotonic())
        return free
