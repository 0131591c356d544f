"""The circuit breaker: while the other side is down, one call asks for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Breaker"]


class Breaker:
    """Closed, it lets every call go. Open, it holds them, and lets one go now and then.

    >>> breaker = Breaker(lambda: 0.0)
    >>> breaker.open("no answer within 10 s", 5.0)
    >>> breaker.is_open
    True

    When its time has come, the breaker is half open: the call that has waited longest goes, and
    the others wait for what becomes of it. `close` lets all go.
    """

    __slots__ = (
        "_again_at",
        "_asking",
        "_clock",
        "_timer",
        "_waiting",
        "is_open",
        "opened",
        "reason",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._again_at = 0.0
        self._asking = False
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.is_open = False
        self.reason: str | None = None
        """Why it is open."""
        self.opened = 0
        """How often it was opened after it had been closed."""

    def open(self, reason: str, seconds: float) -> None:
        """Hold all calls; one may ask again after so many seconds."""
        self.opened += not self.is_open
        self.is_open = True
        self.reason = reason
        self._again_at = self._clock() + seconds
        self._set_timer()

    def close(self) -> None:
        """Let all calls go."""
        self.is_open = False
        self.reason = None
        self._set_timer()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def admit(self) -> bool:
        """Wait until a call may go; return whether it asks for all, and owes a `report`."""
        while self.is_open:
            if not self._asking and self._clock() >= self._again_at:
                self._asking = True
                self._set_timer()
                return True
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[waiter] = None
            self._set_timer()
            try:
                await waiter
            finally:
                del self._waiting[waiter]
                self._set_timer()  # Whom it woke may have been cancelled meanwhile.
        return False

    def report(self) -> None:
        """The call that asked for all has returned, and has opened or closed as it found."""
        self._asking = False
        self._set_timer()

    def _set_timer(self) -> None:
        """One timer for all who wait, when there is something to wait for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.is_open and not self._asking and self._waiting:
            patience = max(0.0, self._again_at - self._clock())
            self._timer = asyncio.get_running_loop().call_later(patience, self._wake_first)

    def _wake_first(self) -> None:
        self._timer = None
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
                return
