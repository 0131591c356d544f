"""`first` and `last`: the value of the row that came first, or last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .measure import Kernel, Measure, checked_column, value_of

__all__ = ["End", "first", "last"]

Kept = tuple[Any, ...]
"""The value in a tuple, which is empty while there was no row: NULL is a value here."""


class End(Measure[Kept, Any]):
    """The measure that `first` and `last` make; see there."""

    adds = False
    ordered = True

    def __init__(self, column: str, which: Literal["first", "last"]) -> None:
        self._column = checked_column(column)
        self._which = which

    def kernels(self) -> Sequence[Kernel]:
        """The value at this end."""
        return [Kernel(self._column, self._which)]

    def gather(self, values: Sequence[Any]) -> Kept:
        """The value."""
        return (values[0],)

    def kind(self, types: Mapping[str, Any]) -> Any:
        """That of the column."""
        return types[self._column]

    def create(self) -> Kept:
        """No row yet."""
        return ()

    def add(self, accumulator: Kept, record: object) -> Kept:
        """One row more."""
        return self.merge(accumulator, (value_of(record, self._column),))

    def merge(self, earlier: Kept, later: Kept) -> Kept:
        """The one of both that came first, or last."""
        if self._which == "first":
            return earlier or later
        return later or earlier

    def result(self, accumulator: Kept) -> Any:
        """The value."""
        return accumulator[0] if accumulator else None


def first(column: str) -> Measure[Any, Any]:
    """The value that a column has in the first row, NULL included.

    >>> measure = first("n")
    >>> measure.result(measure.add(measure.add(measure.create(), {"n": 1}), {"n": 2}))
    1

    Which row is the first is known where one source is read in order. Raises TypeError for what is
    no name.
    """
    return End(column, "first")


def last(column: str) -> Measure[Any, Any]:
    """The value that a column has in the last row, NULL included.

    >>> measure = last("n")
    >>> measure.result(measure.add(measure.add(measure.create(), {"n": 1}), {"n": 2}))
    2

    Which row is the last is known where one source is read in order. Raises TypeError for what is
    no name.
    """
    return End(column, "last")
