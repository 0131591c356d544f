"""`count`: how many rows there are, or values that are not NULL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add
from typing import Any

from ...runtime.contracts import arrow
from .measure import Kernel, Measure, checked_column, value_of

__all__ = ["Count", "count"]


class Count(Measure[int, int]):
    """The measure that `count` makes; see there."""

    def __init__(self, column: str | None) -> None:
        self._column = column if column is None else checked_column(column)

    def kernels(self) -> Sequence[Kernel]:
        """A count."""
        return [Kernel(self._column, "count_all" if self._column is None else "count")]

    def gather(self, values: Sequence[Any]) -> int:
        """The count."""
        return int(values[0])

    def gather_all(self, columns: Sequence[Sequence[Any]]) -> Sequence[int]:
        """The counts."""
        return columns[0]

    def merge_all(self, earlier: Sequence[int], later: Sequence[int]) -> Sequence[int]:
        """Each with its own."""
        return list(map(add, earlier, later))

    def kind(self, types: Mapping[str, Any]) -> Any:
        """A whole number."""
        return arrow().int64()

    def create(self) -> int:
        """None yet."""
        return 0

    def add(self, accumulator: int, record: object) -> int:
        """One more, unless its value is NULL."""
        if self._column is not None and value_of(record, self._column) is None:
            return accumulator
        return accumulator + 1

    def merge(self, earlier: int, later: int) -> int:
        """Both together."""
        return earlier + later

    def result(self, accumulator: int) -> int:
        """The number."""
        return accumulator


def count(column: str | None = None) -> Measure[Any, int]:
    """How many rows there are; with a `column`, how many of its values are not NULL.

    >>> measure = count("x")
    >>> measure.add(measure.add(0, {"x": 1.5}), {"x": None})
    1

    Raises TypeError for what is no name.
    """
    return Count(column)
