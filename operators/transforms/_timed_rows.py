"""Records by key and time, and which of them are the oldest."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from typing import Any

from ...runtime.contracts import KeyedState

__all__ = ["Entry", "Timed", "time_of"]

Entry = list[Any]
"""The time of a record, the record, and whether it has been matched."""


def time_of(entry: Entry) -> float:
    """When the record happened."""
    at: float = entry[0]
    return at


class Timed:
    """The records of one side of a join, of each key in the order of their times.

    They stand in a `KeyedState`, which is what is saved. With `due`, which key has the oldest is
    kept beside it, and found anew where a job goes on.
    """

    def __init__(self, state: KeyedState[Any, list[Entry]], *, due: bool) -> None:
        self.state = state
        self._due = due
        self._oldest: list[tuple[float, int, Any]] | None = None
        self._number = 0

    def add(self, key: Any, at: float, record: Any, matched: bool) -> None:
        """A record more; of those with the same time it is the last."""
        entries = self.state.get(key)
        if entries is None:
            entries = []
        place = len(entries)
        if place and at < entries[-1][0]:
            place = bisect_right(entries, at, key=time_of)
        entries.insert(place, [at, record, matched])
        self.state[key] = entries
        if place == 0:
            self._note(key, at)

    def of(self, key: Any) -> list[Entry]:
        """The records of a key."""
        return self.state.get(key) or []

    def drop(self, key: Any, count: int, *, was_due: bool = False) -> None:
        """The oldest records of a key, so many, are not needed any more."""
        entries = self.of(key)
        if count >= len(entries):
            if entries:
                del self.state[key]
            return
        if count:
            self.state[key] = entries[count:]
        if count or was_due:
            self._note(key, time_of(entries[count]))

    def due(self, upto: float) -> list[Any]:
        """The keys that have a record older than this; say then what to `drop` of each."""
        oldest = self._heap()
        keys: dict[Any, None] = {}
        while oldest and oldest[0][0] < upto:
            at, _, key = heapq.heappop(oldest)
            entries = self.state.get(key)
            if entries and time_of(entries[0]) == at:
                keys[key] = None
        return list(keys)

    def _note(self, key: Any, at: float) -> None:
        if not self._due:
            return
        # The number decides among equal times: keys need not have an order.
        self._number += 1
        heapq.heappush(self._heap(), (at, self._number, key))

    def _heap(self) -> list[tuple[float, int, Any]]:
        if self._oldest is None:
            self._oldest = []
            for key, entries in self.state.items():
                self._number += 1
                self._oldest.append((time_of(entries[0]), self._number, key))
            heapq.heapify(self._oldest)
        return self._oldest
