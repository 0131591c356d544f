"""What a measure is: an aggregate of a column, of one row after the other or of many at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from .aggregate import Aggregate

__all__ = ["NAN", "Kernel", "Measure", "checked_bound", "checked_column", "value_of"]

A = TypeVar("A")
V_co = TypeVar("V_co", covariant=True)

NAN: Final = ("nan",)
"""Stands for NaN among keys and values: no value is this, and NaN is not even like itself."""


class Kernel(NamedTuple):
    """What Arrow computes of a column for each group: one of its grouped functions.

    >>> Kernel("x", "sum")
    Kernel(column='x', function='sum')
    """

    column: str | None
    function: str


class Measure(Aggregate[Any, A, V_co]):
    """An aggregate of a column.

    `group_by` has Arrow compute the `kernels` for all groups of many rows at once, makes an
    accumulator of what they say of each group (`gather`) and merges it with the one it has. Where
    rows come as records, as in `window` and `aggregate`, `add` takes one at a time: a dict, or an
    object with attributes; a value that is missing or None is NULL.

    `gather_all` and `merge_all` do so for many groups; override them where all at once are quicker
    than one after the other.

    A `merge` may change the earlier accumulator and nothing else. `grows` says that what is kept
    grows with the data: such a measure takes a bound, and with one it does not.

    >>> class Largest(Measure[int | None, int | None]):
    ...     def create(self):
    ...         return None
    ...     def add(self, accumulator, record):
    ...         return self.merge(accumulator, record["n"])
    ...     def merge(self, earlier, later):
    ...         return later if earlier is None else max(earlier, later)
    ...     def result(self, accumulator):
    ...         return accumulator
    ...     def kernels(self):
    ...         return [Kernel("n", "max")]
    ...     def gather(self, values):
    ...         return values[0]
    ...     def kind(self, types):
    ...         return types["n"]
    """

    grows: bool = False
    ordered: bool = False
    """Whether it matters in which order rows come."""
    adds: bool = True
    """Whether a row counts twice that comes twice."""

    @abstractmethod
    def kernels(self) -> Sequence[Kernel]:
        """What is computed of the rows of a group."""

    @abstractmethod
    def gather(self, values: Sequence[Any]) -> A:
        """The accumulator of a group of which the kernels said this, in their order."""

    def gather_all(self, columns: Sequence[Sequence[Any]]) -> Sequence[A]:
        """`gather` for many groups: of each kernel what it said of all of them."""
        return list(map(self.gather, zip(*columns, strict=True)))

    def merge_all(self, earlier: Sequence[A], later: Sequence[A]) -> Sequence[A]:
        """`merge` for many groups, each with its own."""
        return list(map(self.merge, earlier, later))

    @abstractmethod
    def kind(self, types: Mapping[str, Any]) -> Any:
        """The Arrow type of the result, where columns have these types; None for any."""

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it looks at."""
        return frozenset(one.column for one in self.kernels() if one.column is not None)


_MISSING: Final = object()


def value_of(record: object, column: str) -> Any:
    """What a record has in a column; None where it has nothing."""
    if isinstance(record, Mapping):
        return cast("Mapping[str, object]", record).get(column)
    value = getattr(record, column, _MISSING)
    if value is _MISSING:
        raise TypeError(f"{type(record).__name__} has no {column!r}: a measure takes rows")
    return value


def checked_column(column: str) -> str:
    """The same, if it is a name."""
    if not isinstance(cast("object", column), str) or not column:
        raise TypeError(f"a measure takes the name of a column, not {column!r}")
    return column


def checked_bound(at_most: int | None) -> int | None:
    """The same, if it is a bound or None."""
    if at_most is not None and (type(at_most) is not int or at_most < 1):
        raise ValueError(f"at_most is 1 or more, or None for no bound, not {at_most!r}")
    return at_most
