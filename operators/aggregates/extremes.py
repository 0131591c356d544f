"""`min` and `max`: the least and the greatest value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from .measure import Kernel, Measure, checked_column, value_of

__all__ = ["Extreme", "max", "min"]

_least: Callable[[Any, Any], Any] = min
_greatest: Callable[[Any, Any], Any] = max


class Extreme(Measure[Any, Any]):
    """The measure that `min` and `max` make; see there."""

    adds = False

    def __init__(self, column: str, which: Literal["min", "max"]) -> None:
        self._column = checked_column(column)
        self._which = which
        self._choose = _least if which == "min" else _greatest

    def kernels(self) -> Sequence[Kernel]:
        """The extreme."""
        return [Kernel(self._column, self._which)]

    def gather(self, values: Sequence[Any]) -> Any:
        """The extreme."""
        return values[0]

    def kind(self, types: Mapping[str, Any]) -> Any:
        """That of the column."""
        return types[self._column]

    def create(self) -> Any:
        """None yet."""
        return None

    def add(self, accumulator: Any, record: object) -> Any:
        """One value more."""
        return self.merge(accumulator, value_of(record, self._column))

    def merge(self, earlier: Any, later: Any) -> Any:
        """The one of both."""
        if earlier is None or later is None:
            return later if earlier is None else earlier
        if later != later:  # NaN, which has no place in an order.
            return later if self._which == "max" else earlier
        if earlier != earlier:
            return earlier if self._which == "max" else later
        return self._choose(earlier, later)

    def result(self, accumulator: Any) -> Any:
        """The value."""
        return accumulator


def min(column: str) -> Measure[Any, Any]:  # noqa: A001
    """The least value of a column, NULL where it has none; NaN is greater than all numbers.

    >>> measure = min("n")
    >>> measure.add(measure.add(measure.create(), {"n": 3}), {"n": 2})
    2

    Raises TypeError for what is no name.
    """
    return Extreme(column, "min")


def max(column: str) -> Measure[Any, Any]:  # noqa: A001
    """The greatest value of a column, NULL where it has none; NaN is greater than all numbers.

    >>> measure = max("word")
    >>> measure.add(measure.add(measure.create(), {"word": "a"}), {"word": "b"})
    'b'

    Raises TypeError for what is no name.
    """
    return Extreme(column, "max")
