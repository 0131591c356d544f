"""`counting`: how many records there are."""

from __future__ import annotations

from .aggregate import Aggregate

__all__ = ["Counting", "counting"]


class Counting(Aggregate[object, int, int]):
    """The aggregate that `counting` makes; see there."""

    def create(self) -> int:
        """None yet."""
        return 0

    def add(self, accumulator: int, record: object) -> int:
        """One more."""
        return accumulator + 1

    def merge(self, earlier: int, later: int) -> int:
        """Both together."""
        return earlier + later

    def result(self, accumulator: int) -> int:
        """The number."""
        return accumulator


def counting() -> Counting:
    """An aggregate that counts records.

    >>> number = counting()
    >>> number.add(number.add(number.create(), "a"), "b")
    2
    """
    return Counting()
