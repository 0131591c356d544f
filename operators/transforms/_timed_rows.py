"""Records by key and time, and which of them are so old that their turn has come."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from ...runtime.contracts import KeyedState

__all__ = ["Entry", "Some", "Timed", "time_of"]

Entry = list[Any]
"""The time of a record, the record, and whether it has been matched."""

_SPENT = 4096
"""Places of the queue that are behind us, before what is left is moved to its start."""


def time_of(entry: Entry) -> float:
    """When the record happened."""
    at: float = entry[0]
    return at


class Timed:
    """The records of one side of a join, of each key in the order of their times.

    They stand in a `KeyedState`, which is what is saved. With `due`, it is kept beside them whose
    turn comes when, and found anew where a job goes on. Most records come in the order of time, so
    that is a list to which more is added at its end; only what comes behind a later one goes to a
    heap.
    """

    def __init__(self, state: KeyedState[Any, list[Entry]], *, due: bool) -> None:
        self.state = state
        self._due = due
        self._known = False
        self._times: list[float] = []
        self._keys: list[Any] = []
        self._start = 0
        self._behind: list[tuple[float, int, Any]] = []
        self._number = 0

    def of(self, key: Any) -> list[Entry]:
        """The records of a key."""
        return self.state.get(key) or []

    def keep(self, some: Some) -> None:
        """Remember what has come, and what has changed with it."""
        if some.times and self._due and self._known:
            self._queue(some.times, some.keys)
        self.state.assign(some.changed)

    def drop(self, counts: Mapping[Any, int]) -> None:
        """The oldest records of these keys, so many of each, are not needed any more."""
        kept, gone, lookup = dict[Any, list[Entry]](), list[Any](), self.state.lookup
        for key, count in counts.items():
            entries = lookup(key, None)
            if entries is None:
                continue
            if count >= len(entries):
                gone.append(key)
            elif count:
                kept[key] = entries[count:]
        self.state.assign(kept)
        self.state.forget(gone)

    def due(self, at: float, bound: float) -> Mapping[Any, int]:
        """The keys that had a record of more than `bound` seconds before `at`, and how many.

        Each record is told once, whether it is still there or was dropped before its turn.
        """
        if not self._known:
            self._look()
        # By differences, as who asks compares times: a sum would be rounded otherwise.
        times, start = self._times, self._start
        stop = bisect_left(times, True, lo=start, key=lambda time: at - time <= bound)
        counts = Counter(self._keys[start:stop])
        self._start = stop
        if stop > _SPENT and 2 * stop > len(times):
            del times[:stop], self._keys[:stop]
            self._start = 0
        while self._behind and at - self._behind[0][0] > bound:
            counts[heapq.heappop(self._behind)[2]] += 1
        return counts

    def _queue(self, times: Sequence[float], keys: Sequence[Any]) -> None:
        known = self._times
        if (not known or known[-1] <= times[0]) and sorted(times) == times:
            known += times
            self._keys += keys
            return
        for at, key in zip(times, keys, strict=True):
            if not known or known[-1] <= at:
                known.append(at)
                self._keys.append(key)
            else:
                # The number decides among equal times: keys need not have an order.
                self._number += 1
                heapq.heappush(self._behind, (at, self._number, key))

    def _look(self) -> None:
        """See what there is where a job goes on."""
        self._known = True
        there = [(time_of(entry), key) for key, some in self.state.items() for entry in some]
        there.sort(key=itemgetter(0))
        self._times = [at for at, _ in there]
        self._keys = [key for _, key in there]


class Some:
    """What some records change of one side, until it is kept: together that costs less."""

    __slots__ = ("_lookup", "changed", "keys", "times")

    def __init__(self, side: Timed) -> None:
        self._lookup = side.state.lookup
        self.changed: dict[Any, list[Entry]] = {}
        self.times: list[float] = []
        self.keys: list[Any] = []

    def of(self, key: Any) -> list[Entry] | None:
        """The records of a key, with those that are not kept yet; None for a key without any."""
        return self._lookup(key, None) or self.changed.get(key)

    def add(self, key: Any, entry: Entry) -> list[Entry]:
        """A record more, and all of its key: of those with the same time it is the last."""
        entries = self._lookup(key, None) or self.changed.get(key)
        at: float = entry[0]
        if entries is None:
            entries = [entry]
        elif at >= entries[-1][0]:
            entries.append(entry)
        else:
            entries.insert(bisect_right(entries, at, key=time_of), entry)
        self.changed[key] = entries
        self.times.append(at)
        self.keys.append(key)
        return entries
