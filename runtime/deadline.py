"""A limit on calls that costs nothing while they are quick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Deadline"]

_LOOKS = 8


class Deadline:
    """Calls `expire` when one call lasts longer than `seconds`, at most an eighth later.

    A call costs two assignments: `calls` is raised when it begins and `calling` says whether it
    still runs. A timer looks eight times within `seconds` whether it is still the same call; it
    sleeps when it finds none, until `watch` is called again.
    """

    __slots__ = (
        "_every",
        "_expire",
        "_looks",
        "_loop",
        "_seen",
        "_timer",
        "calling",
        "calls",
        "expired",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, expire: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._every = seconds / _LOOKS
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None
        self._seen = -1
        self._looks = 0
        self.calls = 0
        self.calling = False
        self.expired = False

    @property
    def watching(self) -> bool:
        """Whether the timer runs."""
        return self._timer is not None

    def watch(self) -> None:
        """Look after the calls that begin now, until none is found."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._every, self._look)

    def close(self) -> None:
        """No call will follow."""
        self.calling = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self.calls != self._seen:
            self._seen, self._looks = self.calls, 0
        elif not self.calling:
            return
        else:
            self._looks += 1
            if self._looks >= _LOOKS and self.calling:
                self.expired = True
                self._expire()
                return
        self._timer = self._loop.call_later(self._every, self._look)
