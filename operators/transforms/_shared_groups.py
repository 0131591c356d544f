"""The groups of the same rows for several operators, found once by all of their keys together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from ...runtime.contracts import Columns, Unread
from ..aggregates.measure import Kernel, Measure
from ._partial_groups import Key, partial_groups

__all__ = ["SharedGroups", "put_together"]

_MERGED = frozenset({"count_all", "count", "sum", "min", "max", "variance"})
"""The functions of which a group knows all when its parts have told theirs, in a number each."""

_FEW = 64
"""Groups that are put together in no time."""

_ROWS_EACH = 192
"""Rows for each group, at least: with fewer, putting groups together takes as long as finding."""

_TRIED = 16
"""How often groups are found before it is asked whether anybody else took them."""

_REST = 1024
"""How often everybody goes alone when sharing was of no use, before it is tried again."""


class SharedGroups:
    """Finds the groups of columns by the keys, and with the kernels, of all who share them.

    The groups of each are made of these, since its keys are among the keys: so what takes a pass
    over the rows is done once, and not once for each. It is of no use where the keys together make
    many groups, since to put those together takes longer than another pass, or where the others
    are given other columns, as when batches that wait are put together: then it rests for a while.
    """

    def __init__(self, keys: Iterable[str], kernels: Iterable[Kernel]) -> None:
        self.keys = tuple(sorted(set(keys)))
        self.kernels = tuple(sorted(set(kernels), key=lambda one: (one.column or "", one[1])))
        self._rest = 0
        self._found = 0
        self._asked = 0

    @staticmethod
    def can_be_of(measures: Iterable[Measure[Any, Any]]) -> bool:
        """Whether these measures know all of a group when its parts have told theirs."""
        return not any(
            one.ordered or any(kernel.function not in _MERGED for kernel in one.kernels())
            for one in measures
        )

    def places(self, keys: Sequence[str], kernels: Sequence[Kernel]) -> tuple[list[int], list[int]]:
        """Where these keys and kernels stand in what `of` tells."""
        return list(map(self.keys.index, keys)), list(map(self.kernels.index, kernels))

    def put(self, columns: Columns, keys: Sequence[Key], said: Sequence[Sequence[Any]]) -> None:
        """Say which groups there are, and what each kernel says of all of them, found elsewhere."""
        columns.put(self, (keys, said))

    @staticmethod
    def are_few(groups: int, rows: int) -> bool:
        """Whether that many groups are put together sooner than they are found once more."""
        return groups <= max(_FEW, rows // _ROWS_EACH)

    def of(self, columns: Columns) -> tuple[Sequence[Key], Sequence[Sequence[Any]]] | None:
        """The groups, and what each kernel says of all of them; None for who has to go alone."""
        if isinstance(columns, Unread) and columns.has(self):
            return columns.once(self, lambda: self._find(columns))  # They were `put` there.
        if self._rest:
            self._rest -= 1
            return None
        self._asked += 1
        found: tuple[Sequence[Key], Sequence[Sequence[Any]]] | None = None
        # It may raise for another's keys: who has those goes alone then, and is told.
        with contextlib.suppress(Exception):
            found = columns.once(self, lambda: self._find(columns))
        tried = self._found >= _TRIED
        if found is None or (tried and 2 * self._asked < 3 * self._found):
            self._rest, self._found, self._asked = _REST, 0, 0
        elif tried:
            self._found = self._asked = 0
        return found

    def _find(self, columns: Columns) -> tuple[Sequence[Key], Sequence[Sequence[Any]]] | None:
        self._found += 1
        each, said = partial_groups(columns.table, self.keys, self.kernels)
        keys = list(each)
        return (keys, said) if self.are_few(len(keys), len(columns)) else None


def put_together(
    keys: Sequence[Key], laters: Sequence[Sequence[Any]], measures: Sequence[Measure[Any, Any]]
) -> tuple[list[Key], list[Sequence[Any]]]:
    """Groups of the same keys as one, in the order of the first of each, and what is kept of them.

    >>> from thalweg.operators.aggregates import count
    >>> put_together([("a",), ("b",), ("a",)], [[1, 2, 3]], [count()])
    ([('a',), ('b',)], [[4, 2]])
    """
    numbers: dict[Key, int] = {}
    places = [numbers.setdefault(key, len(numbers)) for key in keys]
    if len(numbers) == len(keys):
        return list(keys), list(laters)
    together: list[Sequence[Any]] = []
    for measure, later in zip(measures, laters, strict=True):
        merge, whole = measure.merge, list[Any]()
        for at, one in zip(places, later, strict=True):
            if at == len(whole):
                whole.append(one)
            else:
                whole[at] = merge(whole[at], one)
        together.append(whole)
    return list(numbers), together
