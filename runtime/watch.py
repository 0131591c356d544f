"""Time limits on many calls at once, with one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Watch"]

K = TypeVar("K", bound=Hashable)
"""What stands for a call."""


class Watch(Generic[K]):
    """Calls `expire` with each call that has not been stopped within `seconds`.

    All calls have the same limit, so they stand in the order of their deadlines, and one timer is
    enough: a call costs an entry in a dict, not a timer of its own.
    """

    __slots__ = ("_clock", "_expire", "_loop", "_seconds", "_timer", "_until")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        seconds: float,
        expire: Callable[[K], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._seconds = seconds
        self._expire = expire
        self._until: dict[K, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, call: K) -> None:
        """This call begins."""
        self._until[call] = self._clock() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self, call: K) -> None:
        """This call has returned."""
        self._until.pop(call, None)

    def close(self) -> None:
        """No call will follow."""
        self._until.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._clock()
        for call, until in list(self._until.items()):
            if until > now + 0.0005:
                self._timer = self._loop.call_later(until - now, self._look)
                return
            del self._until[call]
            self._expire(call)
