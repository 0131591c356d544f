"""`tumbling`: windows that follow one another."""

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

__all__ = ["Tumbling", "tumbling"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")


class Tumbling(Windower):
    """The windower that `tumbling` makes; see there."""

    def __init__(self, length: Duration, offset: Duration) -> None:
        self.length = in_seconds(length, "the length of a window")
        self.offset = in_seconds(offset, "the offset of windows")
        if not self.length:
            raise ValueError("the length of a window is more than 0 seconds")

    def around(self, at: float) -> Stretch:
        """The one window of a time."""
        number = math.floor((at - self.offset) / self.length)
        # Division rounds: the bounds that are told are the ones that decide.
        while self._start(number) > at:
            number -= 1
        while self._start(number + 1) <= at:
            number += 1
        start, end = self._start(number), self._start(number + 1)
        return start, end, [(start, end)]

    def _start(self, number: int) -> float:
        return self.offset + number * self.length

    def operator(
        self, aggregate: Aggregate[R, A, V], emit: Emit, clock: Clock | None
    ) -> Operator[tuple[K, R], Window[K, V]]:
        """The operator that keeps these windows."""
        # Of records: rows in columns go into windows without it.
        from ._aligned_windows import AlignedWindows

        made: AlignedWindows[K, R, A, V] = AlignedWindows(self, aggregate, emit, clock or "event")
        return made


def tumbling(length: Duration, *, offset: Duration = 0.0) -> Tumbling:
    """Windows of one length that follow one another: each time is in just one of them.

    >>> tumbling("15min").around(1424686735.0)[:2]
    (1424686500.0, 1424687400.0)

    Parameters: `length`, in seconds or as text such as "15min", more than 0; `offset` (0), by how
    much later than at 1970-01-01T00:00Z windows start, so `tumbling("1d", offset="6h")` are days
    from 6 to 6, in UTC.

    Raises ValueError and TypeError for what is no length of time.
    """
    return Tumbling(length, offset)
