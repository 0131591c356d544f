"""`hopping`: windows that overlap."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from ...runtime.contracts import Duration, Operator, in_seconds
from .windower import Clock, Windower

if TYPE_CHECKING:
    from ..aggregates.aggregate import Aggregate
    from ._aligned_windows import AlignedWindows, Stretch
    from .emission import Emit
    from .result import Window

__all__ = ["Hopping", "hopping"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")


class Hopping(Windower):
    """The windower that `hopping` makes; see there."""

    def __init__(self, length: Duration, every: Duration, offset: Duration) -> None:
        self.length = in_seconds(length, "the length of a window")
        self.every = in_seconds(every, "the distance of windows")
        self.offset = in_seconds(offset, "the offset of windows")
        if not 0 < self.every <= self.length:
            raise ValueError(
                f"windows start each {self.every:g} s and last {self.length:g} s: the distance is "
                "more than 0 and no more than the length, or times between would be in none"
            )

    def around(self, at: float) -> Stretch:
        """The windows of a time, the oldest first."""
        last = math.floor((at - self.offset) / self.every)
        # Division rounds: the bounds that are told are the ones that decide.
        while self._start(last) > at:
            last -= 1
        while self._start(last + 1) <= at:
            last += 1
        first = last
        while self._start(first - 1) + self.length > at:
            first -= 1
        starts = [self._start(number) for number in range(first, last + 1)]
        since = max(starts[-1], self._start(first - 1) + self.length)
        until = min(self._start(last + 1), starts[0] + self.length)
        return since, until, [(start, start + self.length) for start in starts]

    def _start(self, number: int) -> float:
        return self.offset + number * self.every

    def operator(
        self, aggregate: Aggregate[R, A, V], emit: Emit, clock: Clock | None
    ) -> Operator[tuple[K, R], Window[K, V]]:
        """The operator that keeps these windows."""
        # Of records: rows in columns go into windows without it.
        from ._aligned_windows import AlignedWindows

        made: AlignedWindows[K, R, A, V] = AlignedWindows(self, aggregate, emit, clock or "event")
        return made


def hopping(length: Duration, every: Duration, *, offset: Duration = 0.0) -> Hopping:
    """Windows of one length of which one starts each `every`, so that they overlap.

    >>> [start for start, _ in hopping("1h", "20min").around(7300.0)[2]]
    [4800.0, 6000.0, 7200.0]

    A record is added to each of its windows: about `length / every` of them, at so many times the
    cost of one.

    Parameters: `length` and `every`, in seconds or as text such as "15min"; `every` is no more than
    `length`. `offset` (0): by how much later than at 1970-01-01T00:00Z windows start.

    Raises ValueError and TypeError for what is no length of time.
    """
    return Hopping(length, every, offset)
