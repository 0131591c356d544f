"""`collect_values`: the values of a column, as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...runtime.contracts import arrow
from .measure import Kernel, Measure, checked_bound, checked_column, value_of

__all__ = ["CollectValues", "collect_values"]


class CollectValues(Measure[list[Any], list[Any]]):
    """The measure that `collect_values` makes; see there."""

    ordered = True

    def __init__(self, column: str, at_most: int | None) -> None:
        self._column = checked_column(column)
        self._at_most = checked_bound(at_most)
        self.grows = at_most is None

    def kernels(self) -> Sequence[Kernel]:
        """The values."""
        return [Kernel(self._column, "list")]

    def gather(self, values: Sequence[Any]) -> list[Any]:
        """The values."""
        return list(values[0][: self._at_most])

    def kind(self, types: Mapping[str, Any]) -> Any:
        """A list."""
        return arrow().list_(types[self._column])

    def create(self) -> list[Any]:
        """None yet."""
        return []

    def add(self, accumulator: list[Any], record: object) -> list[Any]:
        """One value more."""
        return self.merge(accumulator, [value_of(record, self._column)])

    def merge(self, earlier: list[Any], later: list[Any]) -> list[Any]:
        """The first list, longer by the second."""
        room = None if self._at_most is None else max(0, self._at_most - len(earlier))
        earlier.extend(later[:room])
        return earlier

    def result(self, accumulator: list[Any]) -> list[Any]:
        """A copy."""
        return list(accumulator)


def collect_values(column: str, *, at_most: int | None = None) -> Measure[Any, list[Any]]:
    """The values of a column in the order in which they came, NULL included.

    >>> measure = collect_values("n", at_most=2)
    >>> kept = measure.create()
    >>> for n in (1, None, 3):
    ...     kept = measure.add(kept, {"n": n})
    >>> measure.result(kept)
    [1, None]

    It keeps every value, so what it keeps grows with the data; with `at_most`, the first so many.

    Raises TypeError for what is no name, ValueError for a bound below 1.
    """
    return CollectValues(column, at_most)
