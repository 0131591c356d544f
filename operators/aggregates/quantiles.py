"""`quantiles`: the values below which given shares of all lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, cast

from ...runtime.contracts import MisconfiguredError, arrow
from .measure import Kernel, Measure, checked_bound, checked_column, value_of

__all__ = ["Quantiles", "quantiles"]

Kept = list[tuple[float, float]]
"""Values with their weights, in no order; the weights are 1 until there are too many."""


class Quantiles(Measure[Kept, list[float] | None]):
    """The measure that `quantiles` makes; see there."""

    def __init__(self, column: str, shares: Sequence[float], at_most: int | None) -> None:
        self._column = checked_column(column)
        if not isinstance(cast("object", shares), Sequence):
            raise TypeError(f"shares is a list, such as [0.5] for the median, not {shares!r}")
        self._shares = tuple(shares)
        for share in self._shares:
            if not isinstance(cast("object", share), int | float) or not 0 <= share <= 1:
                raise ValueError(f"a share is between 0 and 1, not {share!r}")
        if not self._shares:
            raise ValueError("quantiles needs a share, such as 0.5 for the median")
        self._at_most = checked_bound(at_most)
        self.grows = at_most is None

    def kernels(self) -> Sequence[Kernel]:
        """The values."""
        return [Kernel(self._column, "list")]

    def gather(self, values: Sequence[Any]) -> Kept:
        """The values. Raises MisconfiguredError for a column that holds no numbers."""
        known = [one for one in values[0] if one is not None]
        if known and not isinstance(known[0], int | float | Decimal):
            raise MisconfiguredError(
                f"quantiles takes a column of numbers, and {self._column!r} holds {known[0]!r:.80}"
            )
        return self._bounded([(float(one), 1.0) for one in known])

    def kind(self, types: Mapping[str, Any]) -> Any:
        """A list of fractions."""
        return arrow().list_(arrow().float64())

    def create(self) -> Kept:
        """None yet."""
        return []

    def add(self, accumulator: Kept, record: object) -> Kept:
        """One value more."""
        value = value_of(record, self._column)
        return accumulator if value is None else self.merge(accumulator, [(float(value), 1.0)])

    def merge(self, earlier: Kept, later: Kept) -> Kept:
        """The values of both."""
        earlier.extend(later)
        return self._bounded(earlier)

    def _bounded(self, kept: Kept) -> Kept:
        """Where there are twice too many, neighbours become one, with the weight of both."""
        most = self._at_most
        if most is None or len(kept) < 2 * most:
            return kept
        kept.sort(key=_place)
        each = sum(weight for _, weight in kept) / most
        made: Kept = []
        value = weight = 0.0
        for one, more in kept:
            if weight and one != one:  # NaN stands for no neighbour: what is before it is whole.
                made.append((value / weight, weight))
                value = weight = 0.0
            value, weight = value + one * more, weight + more
            if weight >= each:
                made.append((value / weight, weight))
                value = weight = 0.0
        if weight:
            made.append((value / weight, weight))
        return made

    def result(self, accumulator: Kept) -> list[float] | None:
        """The value at each share, between two of them as far as the share is."""
        if not accumulator:
            return None
        kept = sorted(accumulator, key=_place)
        ends = list(accumulate(weight for _, weight in kept))
        # Each value stands in the middle of its weight; the outermost at the very ends.
        places = [end - weight / 2 for end, (_, weight) in zip(ends, kept, strict=True)]
        first, last = places[0], places[-1]
        return [_at(first + share * (last - first), places, kept) for share in self._shares]


def _at(place: float, places: Sequence[float], kept: Kept) -> float:
    low = 0
    high = len(places) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if places[middle] <= place else (low, middle)
    below, above = kept[low][0], kept[high][0]
    if below == above or place <= places[low]:
        return below
    if place >= places[high]:
        return above
    if math.isinf(below) or math.isinf(above):
        return below + above  # The infinite one; of both, nothing is in the middle.
    return below + (place - places[low]) / (places[high] - places[low]) * (above - below)


def _place(entry: tuple[float, float]) -> tuple[bool, float]:
    """By what to sort: NaN, which has no place in an order, is greater than all numbers."""
    return entry[0] != entry[0], entry[0]


def quantiles(
    column: str, shares: Sequence[float] = (0.5,), *, at_most: int | None = None
) -> Measure[Any, list[float] | None]:
    """The values of a column below which these shares of all lie: 0.5 is the median.

    >>> measure = quantiles("x", [0.0, 0.5, 1.0])
    >>> kept = measure.create()
    >>> for x in (4.0, 1.0, 2.0, 3.0):
    ...     kept = measure.add(kept, {"x": x})
    >>> measure.result(kept)
    [1.0, 2.5, 4.0]

    Between two values it is as far from one to the other as the share says. NULL is no
    value, and NaN is greater than all numbers.

    It keeps every value, so what it keeps grows with the data. With `at_most` it keeps so many, and
    at times twice as many, of which each stands for its neighbours: the results are then estimates,
    by about the share `1 / at_most`.

    Raises TypeError for what is no name, ValueError for a share that is none or a bound below 1.
    """
    return Quantiles(column, shares, at_most)
