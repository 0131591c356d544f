"""What an aggregate is: how records become one value, a piece at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

__all__ = ["Aggregate"]

R_contra = TypeVar("R_contra", contravariant=True)
"""A record."""
A = TypeVar("A")
"""What is kept while records come: the accumulator."""
V_co = TypeVar("V_co", covariant=True)
"""What is told of it in the end."""


class Aggregate(ABC, Generic[R_contra, A, V_co]):
    """How the records of one group become one value: of a key, of a window, of both.

    >>> class Mean(Aggregate[float, tuple[int, float], float]):
    ...     def create(self):
    ...         return 0, 0.0
    ...     def add(self, accumulator, record):
    ...         count, total = accumulator
    ...         return count + 1, total + record
    ...     def merge(self, earlier, later):
    ...         return earlier[0] + later[0], earlier[1] + later[1]
    ...     def result(self, accumulator):
    ...         return accumulator[1] / accumulator[0]
    >>> mean = Mean()
    >>> mean.result(mean.add(mean.add(mean.create(), 1.0), 2.0))
    1.5

    An accumulator is saved with each epoch, so it is something that pickle takes. Raise `version`
    when its form changes: what was saved in another form is refused, not misread.
    """

    version: int = 1

    @abstractmethod
    def create(self) -> A:
        """The accumulator of no records."""

    @abstractmethod
    def add(self, accumulator: A, record: R_contra) -> A:
        """The accumulator with one record more: another one, or the same, changed in place.

        An exception makes the record a dead letter; the accumulator must be as it was before.
        """

    def merge(self, earlier: A, later: A) -> A:
        """One accumulator of two; may change either. Sessions need it: two may become one."""
        raise NotImplementedError

    @abstractmethod
    def result(self, accumulator: A) -> V_co:
        """The value of an accumulator; nothing that a later `add` would change in place."""

    @property
    def mergeable(self) -> bool:
        """Whether there is a `merge`."""
        return type(self).merge is not vars(Aggregate)["merge"]
