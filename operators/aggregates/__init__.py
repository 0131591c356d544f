"""Aggregates: how the records of a group become one value, in windows and over all time."""

from __future__ import annotations

from .aggregate import Aggregate as Aggregate
from .collect import Collect as Collect
from .collect import collect as collect
from .counting import Counting as Counting
from .counting import counting as counting
from .fold import Fold as Fold
from .fold import fold as fold
from .reduce import Reduce as Reduce
from .reduce import reduce as reduce

__all__ = [
    "Aggregate",
    "Collect",
    "Counting",
    "Fold",
    "Reduce",
    "collect",
    "counting",
    "fold",
    "reduce",
]
