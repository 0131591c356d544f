"""What all windows have in common: the open ones of each key, and when they are told."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, Generic, TypeVar

from ...runtime.contracts import Context, KeyedState, Operator, Results, StateMismatch
from ..aggregates.aggregate import Aggregate
from .emission import Emit, Every
from .result import Window

__all__ = ["Emitter", "OpenWindows", "Slot"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")

Slot = tuple[float, float, int, bool, A]
"""An open window of a key: start, end, the number in the order in which windows were opened,
whether its value has been told as it stands, and its accumulator."""

Emitter = Callable[[Window[K, V]], object]
"""Takes what is told."""

_by_place = itemgetter(1, 0, 2)
"""The order in which windows are told: by end, by start, and in the order of their opening. So it
does not matter how many are told at a time."""


class OpenWindows(Operator[tuple[K, R], Window[K, V]], Generic[K, R, A, V]):
    """Keeps the open windows of each key.

    A key has one entry with all its open windows, which is replaced when one of them changes: that
    is what an epoch saves.
    """

    form = "windows"
    """What its slots mean: a state that was saved in another form is refused."""

    def __init__(self, aggregate: Aggregate[R, A, V], emit: Emit) -> None:
        self._aggregate = aggregate
        self.results = Results("append" if emit == "close" else "update")
        self._updates = emit == "update"
        self._interval = emit.seconds if isinstance(emit, Every) else None
        self.windows: KeyedState[K, tuple[Slot[A], ...]] = KeyedState(version=aggregate.version)

    async def open(self, context: Context) -> None:
        """Begin without windows; those that are restored are looked through when first needed."""
        self._reached = -math.inf
        self._number = -1
        self._stirred: dict[K, None] = {}
        self._tick: float | None = None

    @abstractmethod
    def _added(
        self, key: K, record: R, at: float, slots: tuple[Slot[A], ...], emit: Emitter[K, V]
    ) -> tuple[Slot[A], ...]:
        """The open windows of a key with one record more; updates are told, if they are to be."""

    def _next_number(self) -> int:
        number = self._number
        self._number = number + 1
        return number

    def _recall(self) -> None:
        """Take up the windows that were restored; does nothing when it was done before."""
        if self._number >= 0:
            return
        self._number = 0
        for key, slots in self.windows.items():
            for slot in slots:
                self._number = max(self._number, slot[2] + 1)
                self._recalled(key, slot)
                if self._interval is not None and not slot[3]:
                    self._stirred[key] = None

    def _recalled(self, key: K, slot: Slot[A]) -> None:
        """One of the windows that were restored."""

    def _told(self, key: K, slot: Slot[A]) -> Window[K, V]:
        return Window(key, slot[0], slot[1], self._aggregate.result(slot[4]))

    def wake_at(self) -> float | None:
        """When to tell what has changed."""
        if self._interval is None:
            return None
        self._recall()
        if not self._stirred:
            return None
        # What has changed first asks for the time, from which on the interval is counted.
        return 0.0 if self._tick is None else self._tick

    def on_wake(self, now: float) -> Iterable[Window[K, V]]:
        """Tell what has changed since the last time."""
        if self._interval is None or not self._stirred:
            return ()
        if self._tick is None:
            self._tick = (math.floor(now / self._interval) + 1) * self._interval
            return ()
        return self._tell() if now >= self._tick else ()

    def _tell(self) -> Iterator[Window[K, V]]:
        self._tick = None
        stirred, self._stirred = self._stirred, {}
        changed: list[tuple[K, Slot[A]]] = []
        for key in stirred:
            slots = self.windows.get(key)
            if slots is None:
                continue  # Closed, and told then.
            changed += [(key, slot) for slot in slots if not slot[3] and slot[1] > slot[0]]
            self.windows[key] = tuple((*slot[:3], True, slot[4]) for slot in slots)
        changed.sort(key=lambda one: _by_place(one[1]))
        for key, slot in changed:
            yield self._told(key, slot)

    def snapshot(self) -> bytes:
        """Up to when windows are closed; the open ones are in their `KeyedState`."""
        return json.dumps({"form": self._form(), "reached": self._reached}).encode()

    def restore(self, data: bytes) -> None:
        """Go on from there. Raises StateMismatch for windows of another form."""
        saved: dict[str, Any] = json.loads(data)
        if saved["form"] != self._form():
            raise StateMismatch(f"it kept {saved['form']} and now keeps {self._form()}")
        self._reached = float(saved["reached"])

    def _form(self) -> str:
        return f"{type(self._aggregate).__name__} of {self.form}"
