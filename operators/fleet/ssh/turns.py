"""The limits on how many targets are in which part of a probe at once."""

from __future__ import annotations

import asyncio

__all__ = ["Turn"]


class Turn:
    """The place of one target: it leaves one part only when there is room for it in the next.

    So what waits is bounded everywhere: while no command can start, none more is connected, and
    while none can be connected, none more is tested.
    """

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: asyncio.Semaphore | None = None

    def is_in(self, part: asyncio.Semaphore) -> bool:
        """Whether it has its place in this part."""
        return self._at is part

    async def enter(self, part: asyncio.Semaphore) -> None:
        """Wait for room in this part, and take it."""
        await part.acquire()
        self.leave()
        self._at = part

    def leave(self) -> None:
        """Give up the place."""
        at, self._at = self._at, None
        if at is not None:
            at.release()
