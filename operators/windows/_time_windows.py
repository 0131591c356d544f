"""What windows of time have in common: they close when their end has come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from operator import itemgetter
from typing import Generic, TypeVar

from ...runtime.contracts import Context
from ..aggregates.aggregate import Aggregate
from ._open_windows import Emitter, OpenWindows, Slot
from .emission import Emit
from .result import Window
from .windower import Clock

__all__ = ["TimeWindows"]

_by_opening = itemgetter(0, 1)
"""Of windows with the same end: by start, and in the order in which they were opened."""

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")


class TimeWindows(OpenWindows[K, R, A, V], Generic[K, R, A, V]):
    """Windows that are closed by the watermark, or by the clock.

    Which keys have a window with a certain end is noted beside the windows, and the ends are a
    heap: what closes is found without looking at what stays open. A window that has grown is noted
    with its new end when the old one has come, since most of the ends that it ever has never do.
    """

    def __init__(self, aggregate: Aggregate[R, A, V], emit: Emit, clock: Clock) -> None:
        super().__init__(aggregate, emit)
        self.clock = clock
        self._tells_at_close = not self._updates

    async def open(self, context: Context) -> None:
        """Begin without windows."""
        await super().open(context)
        self._ends: list[float] = []
        self._due: dict[float, dict[K, None]] = {}

    def process(self, record: tuple[K, R]) -> Iterable[Window[K, V]]:
        """Never called: `process_at` is."""
        raise TypeError("windows of time go by the times of records")

    def process_at(self, record: tuple[K, R], at: float) -> Iterable[Window[K, V]]:
        """Add one record to its windows."""
        made: list[Window[K, V]] = []
        self.process_each_at(iter(((record, at),)), made.append)
        return made

    def process_each_at(
        self, pairs: Iterator[tuple[tuple[K, R], float]], emit: Emitter[K, V]
    ) -> None:
        """Add each record to its windows."""
        self._recall()
        added, by_event, rouse = self._added, self.clock == "event", self._interval is not None
        changed: dict[K, tuple[Slot[A], ...]] = {}
        here, lookup = changed.get, self.windows.lookup
        try:
            for (key, record), at in pairs:
                slots = here(key)
                if slots is None:
                    slots = lookup(key, ())
                if not by_event:
                    at = self._now(at)
                changed[key] = added(key, record, at, slots, emit)
                if rouse:
                    self._stirred[key] = None
        finally:
            # Together, which costs less than one by one; also what came before a bad record.
            self.windows.assign(changed)

    def _now(self, at: float) -> float:
        # After a restart the clock may have been set back: what is closed stays closed.
        self._reached = max(self._reached, at)
        return self._reached

    def _opened(self, key: K, end: float) -> None:
        """Note that a key has a window with this end."""
        keys = self._due.get(end)
        if keys is None:
            keys = self._due[end] = {}
            heappush(self._ends, end)
        keys[key] = None

    def _recalled(self, key: K, slot: Slot[A]) -> None:
        self._opened(key, slot[1])

    def wake_at(self) -> float | None:
        """When the next window ends by the clock, or what has changed is to be told."""
        tick = super().wake_at()
        if self.clock == "event":
            return tick
        self._recall()
        if not self._ends:
            return tick
        return self._ends[0] if tick is None else min(tick, self._ends[0])

    def on_wake(self, now: float) -> Iterator[Window[K, V]]:
        """Close what has ended by the clock, and tell what has changed."""
        if self.clock == "processing":
            self._reached = max(self._reached, now)
            yield from self._close(self._reached)
        yield from super().on_wake(now)

    def on_watermark(self, at: float) -> Iterable[Window[K, V]]:
        """Close what has ended: no record of it will follow."""
        if self.clock != "event" or at <= self._reached:
            return ()
        self._reached = at
        return self._close(at)

    def on_end(self) -> Iterator[Window[K, V]]:
        """Close everything."""
        return self._close(math.inf)

    def _close(self, reached: float) -> Iterator[Window[K, V]]:
        self._recall()
        windows, ends = self.windows, self._ends
        while ends and ends[0] <= reached:
            end = heappop(ends)
            found: list[tuple[float, int, K, Slot[A]]] = []
            lookup = windows.lookup
            for key in self._due.pop(end):
                slots = lookup(key, ())
                if not slots:
                    continue  # The session that ended here has become part of another.
                # The windows of a key stand in the order of their ends, and none is overdue.
                slot = slots[0]
                if slot[1] > end:
                    self._opened(key, slot[1])
                    continue
                found.append((slot[0], slot[2], key, slot))
                if len(slots) == 1:
                    del windows[key]
                else:
                    windows[key] = slots[1:]
            if self._tells_at_close:
                found.sort(key=_by_opening)
                for _, _, key, slot in found:
                    if not slot[3]:
                        yield self._told(key, slot)
