"""Windows that count: so many records of a key each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from ..aggregates.aggregate import Aggregate
from ._open_windows import Emitter, OpenWindows, Slot
from .emission import Emit
from .result import Window

__all__ = ["CountWindows"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")


class CountWindows(OpenWindows[K, R, A, V], Generic[K, R, A, V]):
    """One window of each key, which is told and begun anew when it is full.

    Its slot runs from the number of its first record to that of the next one that will come.
    """

    form = "windows by number"

    def __init__(self, size: int, aggregate: Aggregate[R, A, V], emit: Emit) -> None:
        super().__init__(aggregate, emit)
        self._size = size

    def process(self, record: tuple[K, R]) -> Iterable[Window[K, V]]:
        """Add one record to the window of its key."""
        made: list[Window[K, V]] = []
        self.process_each(iter((record,)), made.append)
        return made

    def process_each(self, records: Iterator[tuple[K, R]], emit: Emitter[K, V]) -> None:
        """Add each record to the window of its key."""
        self._recall()
        added, rouse = self._added, self._interval is not None
        changed: dict[K, tuple[Slot[A], ...]] = {}
        here, lookup = changed.get, self.windows.lookup
        try:
            for key, record in records:
                slots = here(key)
                if slots is None:
                    slots = lookup(key, ())
                changed[key] = added(key, record, 0.0, slots, emit)
                if rouse:
                    self._stirred[key] = None
        finally:
            # Together, which costs less than one by one; also what came before a bad record.
            self.windows.assign(changed)

    def _added(
        self, key: K, record: R, at: float, slots: tuple[Slot[A], ...], emit: Emitter[K, V]
    ) -> tuple[Slot[A], ...]:
        aggregate = self._aggregate
        if slots:
            ((start, end, number, _, value),) = slots
        else:
            start, end, number, value = 0, 0, -1, aggregate.create()
        value = aggregate.add(value, record)
        slot = (start, end + 1, number, False, value)
        full = end + 1 - start >= self._size
        told = self._told(key, slot) if full or self._updates else None
        if start == end:
            number = self._next_number()  # It begins with this record.
        if told is not None:
            emit(told)
        if full:
            return ((end + 1, end + 1, number, True, aggregate.create()),)
        return ((start, end + 1, number, False, value),)

    def on_end(self) -> Iterator[Window[K, V]]:
        """Tell the windows that are not full, in the order in which they were begun."""
        if self._updates:
            return
        self._recall()
        left = [(slots[0][2], key, slots[0]) for key, slots in self.windows.items()]
        left.sort(key=lambda one: one[0])
        for _, key, slot in left:
            if slot[1] > slot[0] and not slot[3]:
                yield self._told(key, slot)
