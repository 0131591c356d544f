"""What the times of some records were: the least, the greatest, their mean."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["SeenTimes"]


class SeenTimes:
    """Times in seconds since 1970, noted by the batch for whoever looks.

    >>> seen = SeenTimes()
    >>> seen.note([3.0, 1.0])
    >>> seen.count, seen.least, seen.greatest, seen.mean
    (2, 1.0, 3.0, 2.0)
    """

    __slots__ = ("_sum", "count", "greatest", "least")

    def __init__(self) -> None:
        self.count = 0
        self.least = float("inf")
        self.greatest = float("-inf")
        self._sum = 0.0

    def note(self, times: Sequence[float]) -> None:
        """The times of the next records, of which there are some."""
        self.least = min(self.least, min(times))
        self.greatest = max(self.greatest, max(times))
        self._sum += sum(times)
        self.count += len(times)

    @property
    def mean(self) -> float:
        """The mean of all times so far, of which there are some."""
        return self._sum / self.count
