"""Sessions: windows that grow with their records."""

from __future__ import annotations

from operator import itemgetter
from typing import Generic, TypeVar

from ...runtime.contracts import LateError
from ..aggregates.aggregate import Aggregate
from ._open_windows import Emitter, Slot
from ._time_windows import TimeWindows
from .emission import Emit
from .windower import Clock

__all__ = ["SessionWindows"]

_start = itemgetter(0)

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")


class SessionWindows(TimeWindows[K, R, A, V], Generic[K, R, A, V]):
    """Windows of a key that last until nothing has come for `gap` seconds."""

    form = "sessions"

    def __init__(self, gap: float, aggregate: Aggregate[R, A, V], emit: Emit, clock: Clock) -> None:
        super().__init__(aggregate, emit, clock)
        self._gap = gap

    def _added(
        self, key: K, record: R, at: float, slots: tuple[Slot[A], ...], emit: Emitter[K, V]
    ) -> tuple[Slot[A], ...]:
        start, end = at, at + self._gap
        near, far = slots, list[Slot[A]]()
        if not (len(slots) == 1 and slots[0][0] < end and at < slots[0][1]):
            near = tuple(slot for slot in slots if slot[0] < end and at < slot[1])
            if not near and end <= self._reached:
                raise LateError("its session is closed")
            far = [slot for slot in slots if not (slot[0] < end and at < slot[1])]
        slot = self._joined(near, start, end, record)
        told = self._told(key, slot) if self._updates else None
        if slot[2] < 0:
            slot = (start, end, self._next_number(), False, slot[4])
            self._opened(key, end)
        if told is not None:
            emit(told)
        return tuple(sorted((*far, slot), key=_start)) if far else (slot,)

    def _joined(self, near: tuple[Slot[A], ...], start: float, end: float, record: R) -> Slot[A]:
        """One session of those that the record comes near to, and of the record."""
        aggregate = self._aggregate
        if not near:
            return start, end, -1, False, aggregate.add(aggregate.create(), record)
        # In the order of time, and first what may refuse the record.
        value = aggregate.add(near[0][4], record)
        for slot in near[1:]:
            value = aggregate.merge(value, slot[4])
        return (
            min(start, near[0][0]),
            max(end, near[-1][1]),
            min(slot[2] for slot in near),
            False,
            value,
        )
