"""The window of an actor that calls: what was taken in and has not been emitted, in input order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ..signals import LanesLeft, Signal, Watermark
from .crew import Call

__all__ = ["Window"]

_AHEAD = 4
"""How many times `max_in_flight` calls may be started and not yet emitted."""


class Window:
    """Calls and the signals between them. Signals keep their place, ordered or not.

    A watermark takes no room, and one that follows another takes its place.
    """

    __slots__ = ("_marks", "items", "most", "ordered")

    def __init__(self, max_in_flight: int, *, ordered: bool) -> None:
        self.items: deque[Call | Signal] = deque()
        self.ordered = ordered
        self._marks = 0
        self.most = 0
        self.resize(max_in_flight)

    def resize(self, max_in_flight: int) -> None:
        """Have room for four times as many as run at once."""
        self.most = _AHEAD * max_in_flight

    @property
    def has_room(self) -> bool:
        """Whether one call more may be started."""
        return len(self.items) - self._marks < self.most

    def queue(self, signal: Signal) -> None:
        """Put a signal behind the calls that came before it."""
        items = self.items
        if isinstance(signal, LanesLeft) and not self.ordered:
            return  # Nobody below can ask for lanes, and results may overtake each other.
        if isinstance(signal, Watermark):
            last = items[-1] if items else None
            if isinstance(last, Watermark) and last.idle is signal.idle:
                items[-1] = signal
                return
            self._marks += 1
        items.append(signal)

    def answered(self) -> bool:
        """Whether something can be emitted."""
        if not self.items:
            return False
        head = self.items[0]
        if not isinstance(head, Call) or head.done:
            return True
        if self.ordered:
            return False
        return any(isinstance(item, Call) and item.done for item in self.reachable())

    def reachable(self) -> Iterator[Call | Signal]:
        """What may be emitted next: the head, or without order all before the first signal."""
        for item in self.items:
            yield item
            if self.ordered or not isinstance(item, Call):
                return

    def take(self) -> list[Call] | Signal | None:
        """What is to be emitted next, taken off: a signal, or answered calls of one batch.

        In order, those are neighbours from the left; else whatever of the batch has returned.
        """
        items = self.items
        if not items:
            return None
        head = items[0]
        if not isinstance(head, Call):
            items.popleft()
            self._marks -= isinstance(head, Watermark)
            return head
        calls: list[Call] = []
        if not self.ordered:
            done = [one for one in self.reachable() if isinstance(one, Call) and one.done]
            calls = [one for one in done if one.batch is done[0].batch]
            for call in calls:
                items.remove(call)
            return calls or None
        while items:
            one = items[0]
            if not isinstance(one, Call) or not one.done or one.batch is not head.batch:
                break
            items.popleft()
            calls.append(one)
        return calls or None
