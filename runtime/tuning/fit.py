"""How long a call takes by its size: a line through what was measured."""

from __future__ import annotations

__all__ = ["Fit"]

_SIZES = 16
"""The sizes that are remembered, the latest."""


class Fit:
    """`seconds = each · records + base`, by least squares over the sizes that were tried.

    >>> fit = Fit()
    >>> fit.note(100, 0.007)
    >>> fit.note(200, 0.009)
    >>> round(fit.seconds(400), 6)
    0.013

    Of each size only the latest measurement counts, since the other side may have changed. With
    one size alone, time is taken to grow with the records.
    """

    __slots__ = ("_took", "base", "each")

    def __init__(self) -> None:
        self._took: dict[int, float] = {}
        self.each = 0.0
        self.base = 0.0

    def note(self, records: int, seconds: float) -> None:
        """Calls for so many records take so long."""
        self._took.pop(records, None)
        self._took[records] = seconds
        if len(self._took) > _SIZES:
            del self._took[next(iter(self._took))]
        count = len(self._took)
        mean = sum(self._took) / count
        took = sum(self._took.values()) / count
        spread = sum((size - mean) ** 2 for size in self._took)
        if not spread:
            self.each, self.base = seconds / records, 0.0
            return
        slope = sum((s - mean) * (t - took) for s, t in self._took.items()) / spread
        # Neither is negative: then the measurements say no more than the other one.
        self.each = max(0.0, slope)
        self.base = max(0.0, took - self.each * mean)

    def seconds(self, records: float) -> float:
        """What a call for so many records should take."""
        return self.each * records + self.base
