"""`reduce`: two records become one, again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast

from . import _known_later as later
from .aggregate import Aggregate

__all__ = ["Reduce", "reduce"]

R = TypeVar("R")

_NOTHING: Final = object()
"""The accumulator of no records. None is kept: a group has at least one."""


class Reduce(Aggregate[R, R, R]):
    """The aggregate that `reduce` makes; see there."""

    def __init__(self, function: Callable[[R, R], R]) -> None:
        if not callable(function):
            raise TypeError(f"reduce takes a function of two records, not {function!r}")
        self._function = function

    def create(self) -> R:
        """Nothing yet."""
        return cast("R", _NOTHING)

    def add(self, accumulator: R, record: R) -> R:
        """The first record, or what the function makes of both."""
        return record if accumulator is _NOTHING else self._function(accumulator, record)

    def merge(self, earlier: R, later: R) -> R:
        """What the function makes of both."""
        return self._function(earlier, later)

    def result(self, accumulator: R) -> R:
        """The one that is left."""
        return accumulator


def reduce(function: Callable[[later.R, later.R], later.R]) -> Reduce[later.R]:
    """An aggregate of one function, which makes one record of two.

    >>> largest = reduce(max)
    >>> largest.add(largest.add(largest.create(), 3), 5)
    5

    `function(earlier, later)` returns a record of the same kind, and does not change the two. It
    must not matter how records are grouped: `f(f(a, b), c)` is `f(a, f(b, c))`.

    Raises TypeError for what is no function.
    """
    return Reduce(function)
