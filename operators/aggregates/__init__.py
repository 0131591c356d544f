"""Aggregates: how the records of a group become one value, in windows and over all time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...runtime.contracts import offer_lazily

if TYPE_CHECKING:
    from .aggregate import Aggregate as Aggregate
    from .collect import Collect as Collect
    from .collect import collect as collect
    from .collect_values import collect_values as collect_values
    from .count import count as count
    from .count_distinct import count_distinct as count_distinct
    from .counting import Counting as Counting
    from .counting import counting as counting
    from .ends import first as first
    from .ends import last as last
    from .extremes import max as max  # noqa: A004
    from .extremes import min as min  # noqa: A004
    from .fold import Fold as Fold
    from .fold import fold as fold
    from .measure import Kernel as Kernel
    from .measure import Measure as Measure
    from .quantiles import quantiles as quantiles
    from .reduce import Reduce as Reduce
    from .reduce import reduce as reduce
    from .sum import mean as mean
    from .sum import sum as sum  # noqa: A004
    from .variance import stddev as stddev
    from .variance import variance as variance

__all__ = [
    "Aggregate",
    "Collect",
    "Counting",
    "Fold",
    "Kernel",
    "Measure",
    "Reduce",
    "collect",
    "collect_values",
    "count",
    "count_distinct",
    "counting",
    "first",
    "fold",
    "last",
    "max",
    "mean",
    "min",
    "quantiles",
    "reduce",
    "stddev",
    "sum",
    "variance",
]

_PLACES = {
    "Aggregate": ".aggregate",
    "Collect": ".collect",
    "Counting": ".counting",
    "Fold": ".fold",
    "Kernel": ".measure",
    "Measure": ".measure",
    "Reduce": ".reduce",
    "first": ".ends",
    "last": ".ends",
    "max": ".extremes",
    "mean": ".sum",
    "min": ".extremes",
    "stddev": ".variance",
}
"""Where a name is that is not in the file of its own name."""

offer_lazily(__name__, __all__, _PLACES)
