"""The commits of one sink: ordered by the coordinator, done in the turns of the sink's actor."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from ..clock import Clock
from ..contracts import Sink
from ..errors import BusyError, StateLost, StateUnavailable, UnavailableError

__all__ = ["Commits"]

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries to reach the target."""


class Commits:
    """Prepares and commits for one sink, never while it writes.

    A target that cannot be reached is tried again for `patience` seconds. A call that has not
    returned within `timeout` seconds is a failure; to commit a large epoch takes longer than to
    write a batch, so that is never less than the patience.
    """

    def __init__(
        self,
        sink: Sink[object],
        clock: Clock,
        *,
        timeout: float,
        patience: float,
        check: Callable[[], Awaitable[None]],
        wake: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._timeout = max(timeout, patience)
        self._patience = patience
        self._check = check
        self._wake = wake
        self._orders: deque[tuple[int, bytes, asyncio.Future[None]]] = deque()

    @property
    def due(self) -> bool:
        """Whether there is something to commit."""
        return bool(self._orders)

    async def begin(self, epoch: int, prepared: bytes | None) -> None:
        """Go on from an epoch: what came after it is thrown away, what it prepared is shown."""
        await self._patiently(partial(self._sink.discard, epoch))
        if prepared is not None:
            await self._patiently(partial(self._sink.commit, epoch, prepared))

    async def prepare(self, epoch: int) -> bytes:
        """Make durable what was written since the last time."""
        return await self._patiently(partial(self._sink.prepare, epoch))

    def order(self, epoch: int, prepared: bytes) -> asyncio.Future[None]:
        """Commit this when the actor next has a turn; returns what is done then."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._orders.append((epoch, prepared, done))
        self._wake()
        return done

    async def obey(self) -> None:
        """Commit what is due."""
        while self._orders:
            epoch, prepared, done = self._orders[0]
            await self._patiently(partial(self._sink.commit, epoch, prepared))
            self._orders.popleft()
            if not done.done():
                done.set_result(None)

    def close(self) -> None:
        """Nobody will obey any more."""
        for _, _, done in self._orders:
            done.cancel()

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        pause, began = _FIRST_PAUSE, self._clock.monotonic()
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    return await call()
            except StateLost:
                # The target knows that there is another copy; the store can tell why.
                with suppress(StateUnavailable):
                    await self._check()
                raise
            except (UnavailableError, BusyError, StateUnavailable) as error:
                # The target, or the store that the fence asks, may come back.
                if self._clock.monotonic() - began + pause > self._patience:
                    raise
                advised = getattr(error, "retry_after", None)
                await asyncio.sleep(pause if advised is None else min(advised, _LONGEST_PAUSE))
                pause = min(2 * pause, _LONGEST_PAUSE)
