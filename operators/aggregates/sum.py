"""`sum` and `mean`: by the sum and the number of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Any

from ...runtime.contracts import arrow
from .measure import Kernel, Measure, checked_column, value_of

__all__ = ["Mean", "Sum", "mean", "plain_number", "sum"]

Number = int | float | Decimal

_EXACT = Context(prec=100)
"""Python's own rounds what decimals make together to 28 digits."""


class Sum(Measure[Number | None, Number | None]):
    """The measure that `sum` makes; see there."""

    def __init__(self, column: str) -> None:
        self._column = checked_column(column)

    def kernels(self) -> Sequence[Kernel]:
        """A sum."""
        return [Kernel(self._column, "sum")]

    def gather(self, values: Sequence[Any]) -> Number | None:
        """The sum."""
        return plain_number(values[0])

    def gather_all(self, columns: Sequence[Sequence[Any]]) -> Sequence[Number | None]:
        """The sums."""
        return list(map(plain_number, columns[0]))

    def kind(self, types: Mapping[str, Any]) -> Any:
        """As the column, as large as it gets."""
        found, kinds = types[self._column], arrow().types
        if kinds.is_integer(found) or kinds.is_boolean(found):
            return arrow().int64()
        if kinds.is_decimal(found):
            return arrow().decimal128(38, found.scale)
        return arrow().float64() if kinds.is_floating(found) else None

    def create(self) -> Number | None:
        """Nothing yet, which is not 0."""
        return None

    def add(self, accumulator: Number | None, record: object) -> Number | None:
        """More by one value."""
        return self.merge(accumulator, value_of(record, self._column))

    def merge(self, earlier: Number | None, later: Number | None) -> Number | None:
        """Both together."""
        if earlier is None or later is None:
            return later if earlier is None else earlier
        return _together(earlier, later)

    def result(self, accumulator: Number | None) -> Number | None:
        """The sum."""
        return accumulator


class Mean(Measure[tuple[int, Number], float | None]):
    """The measure that `mean` makes; see there."""

    def __init__(self, column: str) -> None:
        self._column = checked_column(column)

    def kernels(self) -> Sequence[Kernel]:
        """The number and the sum."""
        return [Kernel(self._column, "count"), Kernel(self._column, "sum")]

    def gather(self, values: Sequence[Any]) -> tuple[int, Number]:
        """Both."""
        number, total = values
        return int(number), plain_number(total) or 0

    def kind(self, types: Mapping[str, Any]) -> Any:
        """A fraction."""
        return arrow().float64()

    def create(self) -> tuple[int, Number]:
        """None yet."""
        return 0, 0

    def add(self, accumulator: tuple[int, Number], record: object) -> tuple[int, Number]:
        """One value more."""
        value = value_of(record, self._column)
        return accumulator if value is None else self.merge(accumulator, (1, value))

    def merge(self, earlier: tuple[int, Number], later: tuple[int, Number]) -> tuple[int, Number]:
        """Both together."""
        if not earlier[0] or not later[0]:
            return earlier if earlier[0] else later
        return earlier[0] + later[0], _together(earlier[1], later[1])

    def result(self, accumulator: tuple[int, Number]) -> float | None:
        """The mean, NULL of nothing."""
        number, total = accumulator
        return float(total / number) if number else None


def _together(one: Number, other: Number) -> Number:
    """Two numbers of one column, as one."""
    if isinstance(one, Decimal) and not isinstance(other, float):
        return _EXACT.add(one, other)
    if isinstance(other, Decimal) and not isinstance(one, float):
        return _EXACT.add(other, one)
    return one + other  # type: ignore[operator]  # One column has one type.


def plain_number(value: Number | None) -> Number | None:
    """A number as Python counts: whole ones, which are exact however large, as int."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def sum(column: str) -> Measure[Any, Any]:  # noqa: A001
    """The sum of a column, NULL where it has no value; whole numbers are exact however large.

    >>> measure = sum("n")
    >>> measure.result(measure.add(measure.add(measure.create(), {"n": 2}), {"n": None}))
    2

    Raises TypeError for what is no name.
    """
    return Sum(column)


def mean(column: str) -> Measure[Any, float | None]:
    """The mean of a column, by its sum and the number of its values; NULL where it has none.

    >>> measure = mean("x")
    >>> measure.result(measure.add(measure.add(measure.create(), {"x": 1.0}), {"x": 2.0}))
    1.5

    Raises TypeError for what is no name.
    """
    return Mean(column)
