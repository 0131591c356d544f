"""The one place that knows what time it is."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """Wall time at start plus monotonic time since: it never jumps, whatever the machine's does.

    On a loop that keeps a time of its own (`loop.virtual` is true, as in `thalweg.testing`), that
    time is the monotonic one; and it may have a wall clock, too.
    """

    __slots__ = ("_started_monotonic", "_started_wall", "monotonic")

    def __init__(self, loop: AbstractEventLoop, *, wall: float | None = None) -> None:
        virtual = bool(getattr(loop, "virtual", False))
        # uvloop's own time() is cached per turn of the loop and counts whole milliseconds.
        self.monotonic: Callable[[], float] = loop.time if virtual else time.monotonic
        wall_clock: Callable[[], float] = getattr(loop, "wall", time.time)
        self._started_wall = wall_clock() if wall is None else wall
        self._started_monotonic = self.monotonic()

    def now(self) -> float:
        """Seconds since 1970, by the wall clock as it stood when the job started."""
        return self._started_wall + (self.monotonic() - self._started_monotonic)

    @property
    def started(self) -> float:
        """The wall time at which this clock started, in seconds since 1970."""
        return self._started_wall
