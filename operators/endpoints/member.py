"""One of several endpoints: what is under way there, and whether it is left out for a while."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from ...runtime.contracts import BusyError, EndpointStatistics, MisconfiguredError
from .endpoint import Endpoint

__all__ = ["Member"]

_LONGEST_ADVICE = 600.0
"""Seconds: what is advised beyond is not believed."""

_LONGEST_ERROR = 300


class Member:
    """An opened endpoint and its health.

    Parameters: `endpoint`, which is this member's own; `first` and `longest`, the ceilings in
    seconds of the first time and of any time that it is left out for; `chance`, for the jitter.
    """

    __slots__ = (
        "_chance",
        "_first",
        "_longest",
        "_loop",
        "_out_until",
        "calls",
        "endpoint",
        "failures",
        "in_flight",
        "last_error",
        "opened",
        "reason",
        "row",
        "turn",
    )

    def __init__(
        self, endpoint: Endpoint, *, first: float, longest: float, chance: random.Random
    ) -> None:
        self.endpoint = endpoint
        self.opened = False
        self.in_flight: int = 0
        self.calls: int = 0
        self.failures: int = 0
        self.row: int = 0
        """Failures with no success between them."""
        self.turn: int = 0
        """When it was chosen last, as the number of that choice."""
        self.reason: Exception | None = None
        """Why it is left out, if it is."""
        self.last_error: str | None = None
        """Why it was left out the last time."""
        self._out_until = 0.0
        self._first = first
        self._longest = longest
        self._chance = chance
        self._loop = asyncio.get_running_loop()

    @property
    def out_for(self) -> float:
        """The seconds for which it is still left out."""
        return max(0.0, self._out_until - self._loop.time()) if self.reason is not None else 0.0

    @property
    def takes_calls(self) -> bool:
        """Whether a call may go there: it is healthy, or due for the one call that tries it."""
        if self.reason is None:
            return True
        # What is still under way there will tell, so one more is not needed.
        return self.opened and not self.in_flight and self.out_for <= 0.0

    @property
    def is_busy(self) -> bool:
        """Whether it is left out because it asked for patience."""
        return isinstance(self.reason, BusyError)

    @property
    def is_misconfigured(self) -> bool:
        """Whether it is left out because no call can succeed there."""
        return isinstance(self.reason, MisconfiguredError)

    def works(self, failures: int) -> None:
        """A call passed that began after so many `failures`: it is left out no longer."""
        if failures == self.failures:
            self.reason = None
            self.row = 0

    def fails(self, reason: Exception, failures: int) -> None:
        """A call failed that began after so many `failures`: leave it out, with jitter, each time
        in a row for twice as long, and a busy one for as long as it asks.
        """
        told = _advised(reason)
        now = self._loop.time()
        self.last_error = f"{type(reason).__name__}: {reason}"[:_LONGEST_ERROR]
        if failures != self.failures:
            # It was under way when another one failed, and of these one counts.
            if told is not None:
                self.reason = reason
                self._out_until = max(self._out_until, now + told)
            return
        self.failures += 1
        self.row += 1
        self.reason = reason
        ceiling = min(self._longest, self._first * 2.0 ** min(self.row - 1, 60))
        pause = self._chance.uniform(ceiling / 2.0, ceiling)
        self._out_until = now + (pause if told is None else max(told, pause / 2.0))

    def statistics(self) -> EndpointStatistics:
        """How it stands."""
        return EndpointStatistics(
            endpoint=repr(self.endpoint),
            in_flight=self.in_flight,
            calls=self.calls,
            failures=self.failures,
            healthy=self.reason is None,
            last_error=self.last_error,
            out_for=self.out_for,
        )


def _advised(reason: Exception) -> float | None:
    """The seconds of patience that an answer asks for."""
    if not isinstance(reason, BusyError):
        return None
    told = reason.retry_after
    if told is None and reason.retry_at is not None:
        wall: Callable[[], float] = getattr(asyncio.get_running_loop(), "wall", time.time)
        told = reason.retry_at - wall()
    return None if told is None else min(max(told, 0.0), _LONGEST_ADVICE)
