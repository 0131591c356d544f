"""What calls took, and what holds them up: plain numbers, kept for a while."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from ..dataclass import dataclass

__all__ = ["CallMeter", "CallStatistics", "Observer", "quantile"]

_KEPT = 512
"""Calls that are kept."""

_EVERY = 32
"""Calls between two looks at the clocks of the thread."""


class Observer(Protocol):
    """Who wants to know how calls fare, as a controller does."""

    def answered(self, records: int, seconds: float) -> None:
        """A call for so many records was answered after so many seconds."""

    def refused(self) -> None:
        """A call was told to wait."""

    def failed(self) -> None:
        """A call came to nothing: no answer, or none of use."""


@dataclass(frozen=True, slots=True)
class CallStatistics:
    """How the last few hundred calls of a node fared, times in seconds.

    `rate` is in records a second, `batch` the records of a call on average, `at_once` how many
    calls ran at once on average, `client` the share of the time for which this process's loop was
    busy. `refused` and `failed` count calls since the start.
    """

    answered: int
    refused: int
    failed: int
    rate: float
    batch: float
    p50: float
    p99: float
    at_once: float
    client: float


class CallMeter:
    """Notes each call; who asks pays for what is worked out.

    >>> meter = CallMeter(lambda: 10.0)
    >>> meter.answered(64, 0.25)
    >>> meter.statistics().p99
    0.25
    """

    __slots__ = (
        "_clock", "_looked", "_thread", "_until_look", "answered_calls", "calls", "client",
        "failures", "listener", "refusals",
    )  # fmt: skip

    def __init__(
        self,
        clock: Callable[[], float],
        thread: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._thread = thread
        self._looked = clock(), thread()
        self._until_look = _EVERY
        self.calls: deque[tuple[float, int, float]] = deque(maxlen=_KEPT)
        """When a call was answered, its records, and the seconds it took."""
        self.answered_calls = 0
        self.refusals = 0
        self.failures = 0
        self.client = 0.0
        self.listener: Observer | None = None
        """Who is told of each call too."""

    def answered(self, records: int, seconds: float) -> None:
        """A call for so many records was answered after so many seconds."""
        now = self._clock()
        self.calls.append((now, records, seconds))
        self.answered_calls += 1
        self._until_look -= 1
        if not self._until_look:
            self._until_look = _EVERY
            worked = self._thread()
            passed = now - self._looked[0]
            if passed > 0.05:
                self.client = min(1.0, (worked - self._looked[1]) / passed)
                self._looked = now, worked
        if self.listener is not None:
            self.listener.answered(records, seconds)

    def refused(self) -> None:
        """A call was told to wait."""
        self.refusals += 1
        if self.listener is not None:
            self.listener.refused()

    def failed(self) -> None:
        """A call came to nothing."""
        self.failures += 1
        if self.listener is not None:
            self.listener.failed()

    def statistics(self) -> CallStatistics:
        """The last calls, summed up. Safe to ask from any thread."""
        calls = list(self.calls)
        took = sorted(seconds for _, _, seconds in calls)
        records = sum(count for _, count, _ in calls)
        span = 0.0
        if calls:
            # From when the first of them was begun: it may be the only one.
            span = calls[-1][0] - min(at - seconds for at, _, seconds in calls)
        return CallStatistics(
            answered=self.answered_calls,
            refused=self.refusals,
            failed=self.failures,
            rate=records / span if span > 0.0 else 0.0,
            batch=records / len(calls) if calls else 0.0,
            p50=quantile(took, 0.5),
            p99=quantile(took, 0.99),
            at_once=sum(took) / span if span > 0.0 else 0.0,
            client=self.client,
        )


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed; 0 of nothing.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    if not ascending:
        return 0.0
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]
