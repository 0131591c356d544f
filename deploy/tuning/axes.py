"""Axes of a drawing: from values to places, and which values are written beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ...runtime.dataclass import dataclass

__all__ = ["Doubling", "Linear"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Linear:
    """An axis that begins at 0: `value` is at `start`, and `top` at `stop`.

    >>> axis = Linear.over([0.031, 0.18], 100.0, 0.0)
    >>> axis.top, axis.place(0.1), axis.ticks
    (0.2, 50.0, (0.0, 0.05, 0.1, 0.15, 0.2))
    """

    start: float
    stop: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Iterable[float], start: float, stop: float) -> Linear:
        """One on which all these values have a place, with four to six ticks."""
        most = max([*values, 1e-9])
        step = 10.0 ** math.floor(math.log10(most / 4.0))
        step *= next(factor for factor in _STEPS if step * factor * 4.999 >= most)
        count = math.ceil(most / step - 1e-9)
        return cls(start, stop, tuple(round(step * number, 12) for number in range(count + 1)))

    @property
    def top(self) -> float:
        """The largest value."""
        return self.ticks[-1]

    def place(self, value: float) -> float:
        """Where a value is."""
        return self.start + (self.stop - self.start) * value / self.top


@dataclass(frozen=True, slots=True)
class Doubling:
    """An axis on which each doubling is as long: `low` is at `start`, and `high` at `stop`.

    >>> axis = Doubling.over([64, 1000], 0.0, 100.0)
    >>> axis.low, axis.high, axis.ticks
    (64.0, 1024.0, (64, 128, 256, 512, 1024))
    """

    start: float
    stop: float
    low: float
    high: float
    ticks: tuple[int, ...]

    @classmethod
    def over(cls, values: Sequence[int], start: float, stop: float) -> Doubling:
        """One on which all these values have a place, with eight ticks at most."""
        first = math.floor(math.log2(min(values)))
        last = max(first + 1, math.ceil(math.log2(max(values))))
        step = -(-(last - first + 1) // 8)
        ticks = tuple(2**power for power in range(first, last + 1, step))
        return cls(start, stop, 2.0**first, 2.0**last, ticks)

    def place(self, value: float) -> float:
        """Where a value is."""
        share = math.log2(value / self.low) / math.log2(self.high / self.low)
        return self.start + (self.stop - self.start) * share
