"""`count`: windows of so many records."""

from __future__ import annotations

from typing import TypeVar

from ...runtime.contracts import Operator
from ..aggregates.aggregate import Aggregate
from ._count_windows import CountWindows
from .emission import Emit
from .result import Window
from .windower import Clock, Windower

__all__ = ["Count", "count"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")


class Count(Windower):
    """The windower that `count` makes; see there."""

    def __init__(self, size: int) -> None:
        if not is_whole(size) or size < 1:
            raise ValueError(f"a window holds 1 record or more, not {size!r}")
        self.size = size

    def operator(
        self, aggregate: Aggregate[R, A, V], emit: Emit, clock: Clock | None
    ) -> Operator[tuple[K, R], Window[K, V]]:
        """The operator that keeps these windows. Raises ValueError for a clock."""
        if clock is not None:
            raise ValueError(f"windows of so many records go by no clock: leave out {clock!r}")
        made: CountWindows[K, R, A, V] = CountWindows(self.size, aggregate, emit)
        return made


def is_whole(size: object) -> bool:
    """Whether it is a whole number: many graphs are never type-checked."""
    return isinstance(size, int) and not isinstance(size, bool)


def count(size: int) -> Count:
    """Windows of `size` records of one key each, whenever they come: no times are asked for.

    >>> count(100).size
    100

    `start` and `end` of a window are the numbers of the records of its key, from 0 on; the last
    window of a key holds what is left when the input ends. Raises ValueError for a size below 1.
    """
    return Count(size)
