"""`variance` and `stddev`: by number, mean and squared distances, merged so that digits stay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...runtime.contracts import arrow
from .measure import Kernel, Measure, checked_column, value_of

__all__ = ["Variance", "stddev", "variance"]

Moments = tuple[int, float, float]
"""How many values, their mean, and the sum of their squared distances from it."""


class Variance(Measure[Moments, float | None]):
    """The measure that `variance` and `stddev` make; see there."""

    def __init__(self, column: str, *, root: bool, sample: bool) -> None:
        self._column = checked_column(column)
        self._root = root
        self._less = 1 if sample else 0

    def kernels(self) -> Sequence[Kernel]:
        """The number, the sum and the variance of all."""
        return [Kernel(self._column, one) for one in ("count", "sum", "variance")]

    def gather(self, values: Sequence[Any]) -> Moments:
        """The moments."""
        number, total, spread = values
        return (int(number), float(total / number), spread * number) if number else (0, 0.0, 0.0)

    def kind(self, types: Mapping[str, Any]) -> Any:
        """A fraction."""
        return arrow().float64()

    def create(self) -> Moments:
        """None yet."""
        return 0, 0.0, 0.0

    def add(self, accumulator: Moments, record: object) -> Moments:
        """One value more."""
        value = value_of(record, self._column)
        return accumulator if value is None else self.merge(accumulator, (1, float(value), 0.0))

    def merge(self, earlier: Moments, later: Moments) -> Moments:
        """Both together, by Chan's formula: large means cost no digits."""
        first, mean, squares = earlier
        second, other, more = later
        if not first or not second:
            return earlier if first else later
        number, apart = first + second, other - mean
        return (
            number,
            mean + apart * second / number,
            squares + more + apart * apart * first * second / number,
        )

    def result(self, accumulator: Moments) -> float | None:
        """The variance or its root, NULL of too few values."""
        number, _, squares = accumulator
        if number <= self._less:
            return None
        found = squares / (number - self._less)
        return math.sqrt(found) if self._root else found


def variance(column: str, *, sample: bool = True) -> Measure[Any, float | None]:
    """The variance of a column: of a sample, which needs two values, or of all (`sample=False`).

    >>> measure = variance("x")
    >>> kept = measure.create()
    >>> for x in (1.0, 2.0, 3.0):
    ...     kept = measure.add(kept, {"x": x})
    >>> measure.result(kept)
    1.0

    Raises TypeError for what is no name.
    """
    return Variance(column, root=False, sample=sample)


def stddev(column: str, *, sample: bool = True) -> Measure[Any, float | None]:
    """The standard deviation of a column: the root of its `variance`.

    >>> measure = stddev("x", sample=False)
    >>> measure.result(measure.add(measure.create(), {"x": 4.0}))
    0.0

    Raises TypeError for what is no name.
    """
    return Variance(column, root=True, sample=sample)
