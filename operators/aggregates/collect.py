"""`collect`: all records, as a list."""

from __future__ import annotations

from typing import TypeVar

from . import _known_later as later
from .aggregate import Aggregate

__all__ = ["Collect", "collect"]

R = TypeVar("R")


class Collect(Aggregate[R, list[R], list[R]]):
    """The aggregate that `collect` makes; see there."""

    def create(self) -> list[R]:
        """An empty list."""
        return []

    def add(self, accumulator: list[R], record: R) -> list[R]:
        """The same list, longer by one."""
        accumulator.append(record)
        return accumulator

    def merge(self, earlier: list[R], later: list[R]) -> list[R]:
        """The first list, longer by the second."""
        earlier.extend(later)
        return earlier

    def result(self, accumulator: list[R]) -> list[R]:
        """A copy, to which nothing is added any more."""
        return list(accumulator)


def collect() -> Collect[later.R]:
    """An aggregate that keeps all records, in the order in which they came.

    >>> words = collect()
    >>> words.result(words.add(words.add(words.create(), "a"), "b"))
    ['a', 'b']

    It takes as much memory as the records do. Where two sessions become one, the records of the
    earlier one come first.
    """
    return Collect()
