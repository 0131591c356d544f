"""The barriers of one source: sent behind what was read, beside a `read` that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..signals import Barrier

__all__ = ["Injection"]


class Injection:
    """Sends barriers into the stream of a source, in its place among what the source hands over.

    While `reading` is true the source's actor waits for its source and sends nothing: a barrier
    then goes at once, from a task of its own, and what the read returns waits for it. At any other
    time the actor sends it itself, before it reads again.
    """

    def __init__(
        self, send: Callable[[Barrier], Awaitable[None]], broken: Callable[[Exception], None]
    ) -> None:
        self.reading = False
        self._send = send
        self._broken = broken
        self._due: Barrier | None = None
        self._beside: asyncio.Task[None] | None = None

    @property
    def due(self) -> bool:
        """Whether a barrier is to go, or on its way."""
        return self._due is not None or self._beside is not None

    def inject(self, barrier: Barrier, loop: asyncio.AbstractEventLoop, name: str) -> None:
        """Send this one: now, or before the next read."""
        self._due = barrier
        if self.reading:
            self._beside = loop.create_task(self._go(), name=name)
            self._beside.add_done_callback(self._went)

    async def go_first(self) -> None:
        """Before anything else is sent: a barrier that is due, or on its way."""
        if self._beside is not None:
            await asyncio.wait([self._beside])
            self._beside = None
        await self._go()

    def close(self) -> None:
        """None will follow."""
        if self._beside is not None:
            self._beside.cancel()

    async def _go(self) -> None:
        barrier, self._due = self._due, None
        if barrier is not None:
            await self._send(barrier)

    def _went(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._broken(error)
