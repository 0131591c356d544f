"""`fold`: an aggregate of two functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from . import _known_later as later
from .aggregate import Aggregate

__all__ = ["Fold", "fold"]

R = TypeVar("R")
A = TypeVar("A")


class Fold(Aggregate[R, A, A], Generic[R, A]):
    """The aggregate that `fold` makes; see there."""

    def __init__(
        self,
        initial: Callable[[], A],
        step: Callable[[A, R], A],
        merge: Callable[[A, A], A] | None,
        version: int,
    ) -> None:
        for name, function in (("initial", initial), ("step", step), ("merge", merge)):
            if not callable(function) and not (name == "merge" and function is None):
                hint = ": say lambda: …" if name == "initial" else ""
                raise TypeError(f"{name} is a function, not {function!r}{hint}")
        if version < 1:
            raise ValueError(f"version is 1 or more, not {version!r}")
        self._initial = initial
        self._step = step
        self._merge = merge
        self.version = version
        # The functions themselves: a method around each would cost as much as most of them do.
        vars(self).update(create=initial, add=step)

    def create(self) -> A:
        """What `initial` returns."""
        return self._initial()

    def add(self, accumulator: A, record: R) -> A:
        """What `step` makes of both."""
        return self._step(accumulator, record)

    def merge(self, earlier: A, later: A) -> A:
        """What `merge` makes of both."""
        if self._merge is None:
            return super().merge(earlier, later)
        return self._merge(earlier, later)

    def result(self, accumulator: A) -> A:
        """The accumulator itself."""
        return accumulator

    @property
    def mergeable(self) -> bool:
        """Whether a `merge` was given."""
        return self._merge is not None


def fold(
    initial: Callable[[], A],
    step: Callable[[A, later.R], A],
    *,
    merge: Callable[[A, A], A] | None = None,
    version: int = 1,
) -> Fold[later.R, A]:
    """An aggregate of two functions: what to begin with, and what one more record makes of it.

    >>> longest = fold(str, lambda so_far, word: max(so_far, word, key=len))
    >>> longest.add(longest.add(longest.create(), "to"), "the")
    'the'

    Parameters:

    - `initial`: returns the value of no records; called for each group.
    - `step(value, record)`: returns the value with one record more. Return a new value rather than
      the old one changed in place wherever values are told before the end (`emit="update"`).
    - `merge(earlier, later)`: one value of two, for sessions (none).
    - `version` (1): raise it when values change their form.

    Raises TypeError for what is no function, ValueError for a version below 1.
    """
    return Fold(initial, step, merge, version)
