"""The lanes of one source: how far each was read, and how much of it has arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..bookmarks import Bookmark
from ..origins import Origin
from ..receipt import Receipt

__all__ = ["Strands"]

_WATCHED = 100
"""Lanes that are done, such as files, of which is still told where they ended."""


class Strands:
    """Numbers what is read of each lane, and settles it in order.

    `arrived` hears of a lane and the position up to which all of it has arrived; `settled`, of
    each claim that is settled.
    """

    def __init__(
        self, source: str, arrived: Callable[[str, int], None], settled: Callable[[], None]
    ) -> None:
        self.read = 0
        self.arrived = 0
        self.settled_positions: dict[str, int] = {}
        self._source = source
        self._arrived = arrived
        self._settled = settled
        self._reached: dict[str, int] = {}
        self._done: dict[str, int] = {}
        """Where those stood that were forgotten last, for who watches."""
        self._notes: dict[str, bytes] = {}
        self._unsettled: dict[str, deque[Receipt]] = {}

    @property
    def under_way(self) -> int:
        """How many records were read and have not arrived."""
        return self.read - self.arrived

    @property
    def reached(self) -> dict[str, int]:
        """The last position read of each lane, and of those that were forgotten last. Safe from any
        thread.
        """
        return {**self._done.copy(), **self._reached.copy()}

    def go_on(self, marks: Mapping[str, Bookmark]) -> None:
        """A restored epoch ended here."""
        for lane, mark in marks.items():
            self._notes[lane] = mark.note
            if mark.last >= 0:
                self._reached[lane] = mark.last

    def bookmarks(self) -> dict[str, Bookmark]:
        """Where each lane would go on: behind all that was read."""
        notes = self._notes
        marks = {lane: Bookmark(last, notes.get(lane, b"")) for lane, last in self._reached.items()}
        return marks | {
            lane: Bookmark(-1, note) for lane, note in notes.items() if lane not in marks
        }

    def note(self, lane: str, note: bytes) -> None:
        """What the source wants to be told of this lane after a restart."""
        self._notes[lane] = note

    def forget(self, lanes: Iterable[str]) -> None:
        """These need no bookmark any more, nor a word on how far they have come."""
        for lane in lanes:
            self._notes.pop(lane, None)
            last = self._reached.pop(lane, None)
            if last is not None:
                self._done[lane] = last
                if len(self._done) > _WATCHED:
                    del self._done[next(iter(self._done))]
            self.settled_positions.pop(lane, None)
            if not self._unsettled.get(lane):
                self._unsettled.pop(lane, None)

    def counted(self, lane: str, count: int) -> range:
        """The positions of so many records of a source that does not number them itself."""
        first = self._reached.get(lane, -1) + 1
        self._reached[lane] = first + count - 1
        return range(first, first + count)

    def check(self, lane: str, positions: Sequence[int], also: Sequence[int]) -> tuple[int, int]:
        """The first and last position. Raises ValueError when one repeats or goes backwards."""
        everything: Sequence[int] = positions
        reached = self._reached.get(lane)
        found = None
        if also:
            everything = sorted([*positions, *also])
            found = _out_of_order(positions, reached)
        found = found or _out_of_order(everything, reached)
        first, last = everything[0], everything[-1]
        if found is not None:
            wrong, reached = found
            what = "repeats" if wrong == reached else "goes back behind"
            raise ValueError(
                f"position {wrong} of {Origin(self._source, lane, wrong)} {what} position "
                f"{reached}: a source numbers the records of a lane in ascending order"
            )
        self._reached[lane] = last
        return first, last

    def claim(self, lane: str, count: int, first: int, last: int) -> Receipt:
        """The claim on what was read now."""
        receipt = Receipt(self._settle, records=count, lane=lane, first=first, last=last)
        receipts = self._unsettled.get(lane)
        if receipts is None:
            receipts = self._unsettled[lane] = deque()
        receipts.append(receipt)
        self.read += count
        return receipt

    def left(self) -> list[tuple[str, int]]:
        """The lanes of which something has not arrived, and from which position on."""
        return [(lane, some[0].first) for lane, some in self._unsettled.items() if some]

    def _settle(self, receipt: Receipt) -> None:
        """A batch has arrived in full: note it, and what is now complete up to a position."""
        self.arrived += receipt.records
        unsettled = self._unsettled[receipt.lane]
        while unsettled and unsettled[0].settled:
            last = unsettled.popleft().last
            self.settled_positions[receipt.lane] = last
            self._arrived(receipt.lane, last)
        if not unsettled and receipt.lane not in self._reached:
            del self._unsettled[receipt.lane]  # It was forgotten meanwhile.
            self.settled_positions.pop(receipt.lane, None)
        self._settled()


def _out_of_order(positions: Sequence[int], reached: int | None) -> tuple[int, int] | None:
    """The first of these that does not lie behind the one before it, and that one; None for none.

    `reached` is what stands before them all.
    """
    if isinstance(positions, range) and positions.step > 0:
        if reached is not None and positions and positions[0] <= reached:
            return positions[0], reached
        return None
    for position in positions:
        if reached is not None and position <= reached:
            return position, reached
        reached = position
    return None
