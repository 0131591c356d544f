"""`count_distinct`: how many different values there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...runtime.contracts import arrow
from .measure import NAN, Kernel, Measure, checked_bound, checked_column, value_of

__all__ = ["CountDistinct", "count_distinct"]


class CountDistinct(Measure[set[Any], int]):
    """The measure that `count_distinct` makes; see there."""

    adds = False

    def __init__(self, column: str, at_most: int | None) -> None:
        self._column = checked_column(column)
        self._at_most = checked_bound(at_most)
        self.grows = at_most is None

    def kernels(self) -> Sequence[Kernel]:
        """The different values."""
        return [Kernel(self._column, "distinct")]

    def gather(self, values: Sequence[Any]) -> set[Any]:
        """The different values."""
        return self._bounded({NAN if one != one else one for one in values[0]})

    def kind(self, types: Mapping[str, Any]) -> Any:
        """A whole number."""
        return arrow().int64()

    def create(self) -> set[Any]:
        """None yet."""
        return set()

    def add(self, accumulator: set[Any], record: object) -> set[Any]:
        """One value more."""
        value = value_of(record, self._column)
        if value is not None and (self._at_most is None or len(accumulator) < self._at_most):
            accumulator.add(NAN if value != value else value)
        return accumulator

    def merge(self, earlier: set[Any], later: set[Any]) -> set[Any]:
        """The values of both."""
        if self._at_most is None or len(earlier) < self._at_most:
            earlier |= later
        return self._bounded(earlier)

    def _bounded(self, values: set[Any]) -> set[Any]:
        while self._at_most is not None and len(values) > self._at_most:
            values.pop()  # It only matters that there are so many.
        return values

    def result(self, accumulator: set[Any]) -> int:
        """How many there are."""
        return len(accumulator)


def count_distinct(column: str, *, at_most: int | None = None) -> Measure[Any, int]:
    """How many different values a column has; NULL is none, and NaN is one.

    >>> measure = count_distinct("word")
    >>> kept = measure.create()
    >>> for word in ("a", "b", "a", None):
    ...     kept = measure.add(kept, {"word": word})
    >>> measure.result(kept)
    2

    It keeps every value, so what it keeps grows with the data. With `at_most` it stops counting
    there: the result `at_most` means that many, or more.

    Raises TypeError for what is no name, ValueError for a bound below 1.
    """
    return CountDistinct(column, at_most)
