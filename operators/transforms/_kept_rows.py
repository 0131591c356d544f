"""What a join of columns keeps of one side: stretches of rows, in the order in which they came."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ...runtime.contracts import KeyedState
from ._key_words import arrays
from ._sorted_rows import SortedRows

__all__ = ["KeptRows", "Stored"]

Stored = tuple[Any, Any]
"""The table of a stretch, and its times."""

_FEW, _MOST = 8, 2**17
"""Stretches: with more of them, neighbours become one, unless it had more rows than this."""


class KeptRows:
    """The rows of one side, in stretches that are added, looked through, and let go as a whole.

    They stand in two states that are saved: the rows, which do not change, and for each stretch how
    many are over and which were matched. What is looked up in them is made anew where a job goes
    on. Stretches become few by being put together, the smallest first, so that each row is put
    together a few times at most, however many come.
    """

    def __init__(
        self,
        keys: tuple[str, ...],
        side: int,
        rows: KeyedState[tuple[int, int], Stored],
        marks: KeyedState[tuple[int, int], tuple[int, bytes]],
    ) -> None:
        np = arrays()
        self._keys, self._side, self._rows, self._marks = keys, side, rows, marks
        self._parts: dict[int, SortedRows] = {}
        """By their numbers, which ascend."""
        for place in sorted(rows):
            if place[0] == side:
                table, times = rows[place]
                start, bits = marks[place]
                matched = np.unpackbits(np.frombuffer(bits, np.uint8), count=len(times))
                self._parts[place[1]] = SortedRows(
                    table, times, keys, matched.astype(np.bool_), start
                )
        self._next = 1 + max(self._parts, default=0)

    def sorted_rows(self, table: Any, times: Any) -> SortedRows:
        """Rows that may be added."""
        return SortedRows(table, times, self._keys)

    def met_by(self, rows: SortedRows, early: int, late: int) -> list[tuple[Any, int, Any]]:
        """The rows of the other side that are met: their places, and where what they meet stands.

        That is the number of a stretch and the places in it.
        """
        found: list[tuple[Any, int, Any]] = []
        for number, part in self._parts.items():
            mine, theirs = rows.pairs(part, early, late)
            if len(mine):
                found.append((mine, number, theirs))
        return found

    def taken(self, number: int, places: Any, *, keys: bool = True) -> Any:
        """The rows of a stretch at these places, with or without the keys."""
        return self._parts[number].taken(places, keys=keys)

    def mark(self, number: int, places: Any) -> None:
        """These rows have been matched."""
        part = self._parts[number]
        if not part.matched[places].all():
            part.matched[places] = True
            self._note(number)

    def add(self, rows: SortedRows) -> None:
        """A stretch more."""
        parts = self._parts
        self._put(rows)
        while len(parts) > _FEW:
            numbers = list(parts)
            sizes = [len(part) - part.start for part in parts.values()]
            sums = [one + other for one, other in pairwise(sizes)]
            least = min(sums)
            if least > _MOST:
                return
            at = sums.index(least)
            one, other = numbers[at], numbers[at + 1]
            whole = SortedRows.together(parts[one], parts[other])
            self._drop(other)
            parts[one] = whole
            self._store(one)

    def over(self, before: float, *, tells: bool) -> list[tuple[Any, Any]]:
        """What is older than this is let go: the rows of it that nothing matched, and their times.

        None are told of where they are not wanted.
        """
        told: list[tuple[Any, Any]] = []
        for number, part in list(self._parts.items()):
            start = part.start
            places = part.over(before)
            if tells and len(places):
                told.append((part.taken(places), part.times[places]))
            if part.start == len(part):
                self._drop(number)
            elif part.start > start:
                self._note(number)
        return told

    def _put(self, rows: SortedRows) -> None:
        self._parts[self._next] = rows
        self._store(self._next)
        self._next += 1

    def _store(self, number: int) -> None:
        part = self._parts[number]
        self._rows[self._side, number] = (part.table, part.times)
        self._note(number)

    def _note(self, number: int) -> None:
        part = self._parts[number]
        bits = arrays().packbits(part.matched).tobytes()
        self._marks[self._side, number] = (part.start, bits)

    def _drop(self, number: int) -> None:
        del self._parts[number], self._rows[self._side, number], self._marks[self._side, number]
