"""Windows that stand still: which ones a record goes into, its time alone says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

from ...runtime.contracts import Context, LateError
from ..aggregates.aggregate import Aggregate
from ._open_windows import Emitter, Slot
from ._time_windows import TimeWindows
from .emission import Emit
from .windower import Clock

__all__ = ["AlignedWindows", "Grid", "Stretch"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")

_start = itemgetter(0)

Stretch = tuple[float, float, list[tuple[float, float]]]
"""From when, until when, and the windows that all times between belong to, the oldest first."""


class Grid(Protocol):
    """Says which windows there are."""

    def around(self, at: float) -> Stretch:
        """The windows that a time belongs to, and what other times belong to the same."""
        ...


class AlignedWindows(TimeWindows[K, R, A, V], Generic[K, R, A, V]):
    """The same windows for all keys."""

    form = "windows on a grid"

    def __init__(self, grid: Grid, aggregate: Aggregate[R, A, V], emit: Emit, clock: Clock) -> None:
        super().__init__(aggregate, emit, clock)
        self._grid = grid

    async def open(self, context: Context) -> None:
        """Begin without windows."""
        await super().open(context)
        self._since = self._until = 0.0
        self._open_until = -math.inf
        self._here: list[tuple[float, float]] = []

    def _look(self, at: float) -> None:
        """Find the windows of this time, those that are closed left out."""
        if not self._since <= at < self._until or self._open_until != self._reached:
            self._since, self._until, windows = self._grid.around(at)
            self._open_until = self._reached
            self._here = [window for window in windows if window[1] > self._reached]
        if not self._here:
            raise LateError("its windows are closed")

    def process_each_at(
        self, pairs: Iterator[tuple[tuple[K, R], float]], emit: Emitter[K, V]
    ) -> None:
        """Add each record to its windows."""
        if self.clock != "event" or self._updates or self._interval is not None:
            super().process_each_at(pairs, emit)
            return
        # The same, for what is asked most: a record in the window of the one before, which is the
        # newest of its key. Nothing is told before a window is closed.
        self._recall()
        added, add = self._added, self._aggregate.add
        changed: dict[K, tuple[Slot[A], ...]] = {}
        here, lookup = changed.get, self.windows.lookup
        since = until = newest = math.inf
        try:
            for (key, record), at in pairs:
                slots = here(key)
                if slots is None:
                    slots = lookup(key, ())
                if slots and since <= at < until:
                    start, end, number, _, value = slots[-1]
                    if start == newest:
                        slot = (start, end, number, False, add(value, record))
                        changed[key] = (slot,) if len(slots) == 1 else (*slots[:-1], slot)
                        continue
                changed[key] = added(key, record, at, slots, emit)
                if len(self._here) == 1:
                    since, until, newest = self._since, self._until, self._here[0][0]
                else:
                    since = until = newest = math.inf
        finally:
            self.windows.assign(changed)

    def _added(
        self, key: K, record: R, at: float, slots: tuple[Slot[A], ...], emit: Emitter[K, V]
    ) -> tuple[Slot[A], ...]:
        self._look(at)
        here, add, create = self._here, self._aggregate.add, self._aggregate.create
        more: list[Slot[A]] = []
        first = len(slots) - len(here)
        if first >= 0 and slots[first][0] == here[0][0] and slots[-1][0] == here[-1][0]:
            # They are there, as the newest of the key: on a grid there is no other way.
            more = [(s, e, n, False, add(v, record)) for s, e, n, _, v in slots[first:]]
            kept = slots[:first]
        else:
            known = {slot[0]: slot for slot in slots}
            for start, end in here:
                slot = known.pop(start, None)
                # Without a number as yet: should a later one fail, it was not opened.
                number, value = (-1, create()) if slot is None else (slot[2], slot[4])
                more.append((start, end, number, False, add(value, record)))
            kept = tuple(known.values())
        told = [self._told(key, slot) for slot in more] if self._updates else ()
        for index, (start, end, number, _, value) in enumerate(more):
            if number < 0:
                more[index] = (start, end, self._next_number(), False, value)
                self._opened(key, end)
        for window in told:
            emit(window)
        if kept and kept[-1][0] > more[0][0]:
            return tuple(sorted((*kept, *more), key=_start))
        return (*kept, *more)
