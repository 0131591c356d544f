"""The inbox of an actor that wants single records where columns come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .batch import Batch
from .channel import Inbox, Run
from .counts import NodeCounts
from .progress import ChannelStatistics
from .signals import Signal

__all__ = ["Converting"]


class Converting:
    """Hands over rows for the columns that come in: each is converted once, right here.

    A batch of columns may be of any length, and is converted a stretch of `limit` rows at a time,
    so that no more of it than that is ever held as objects, and no turn takes long.
    """

    __slots__ = ("_counts", "_cut", "_inbox", "_limit", "_monotonic", "_next", "_whole")

    def __init__(
        self, inbox: Inbox, limit: int, counts: NodeCounts, monotonic: Callable[[], float]
    ) -> None:
        self._inbox = inbox
        self._limit = limit
        self._counts = counts
        self._monotonic = monotonic
        self._whole: Batch | None = None
        self._next = 0

    def take(self) -> Batch | Signal | None:
        """The next item, or None when there is none right now."""
        if self._whole is None:
            item = self._inbox.take()
            if not isinstance(item, Batch) or item.columns is None:
                return item
            item.came_from()
            self._whole, self._next = item, 0
            if len(item.records) > self._limit:
                item.receipt.fork((len(item.records) - 1) // self._limit)
        return self._stretch(self._whole)

    def _stretch(self, whole: Batch) -> Batch:
        columns, start = whole.columns, self._next
        assert columns is not None
        stop = min(start + self._limit, len(columns))
        began = self._monotonic()
        rows = columns[start:stop].rows()
        self._counts.converting += self._monotonic() - began
        self._counts.converted += stop - start
        self._next = stop
        if stop == len(columns):
            self._whole = None
        return Batch(list(rows), whole.receipt, whole.origins, whole.born, start)

    def take_run(self) -> Run | Signal | None:
        """The next item: what follows is not converted before it is needed."""
        item = self.take()
        return deque((item,)) if isinstance(item, Batch) else item

    def ready(self) -> bool:
        """Whether there may be something to take."""
        return self._whole is not None or self._inbox.ready()

    async def wait(self, seconds: float | None = None) -> None:
        """Return when there may be something to take, when woken, or after `seconds`."""
        if self._whole is None:
            await self._inbox.wait(seconds)

    def wake(self) -> None:
        """Make a `wait` return, now or when it next begins."""
        self._inbox.wake()

    def statistics(self) -> ChannelStatistics:
        """What is held in the channels, and their bounds."""
        return self._inbox.statistics()

    def held(self) -> int:
        """How many records are waiting here."""
        left = 0 if self._whole is None else len(self._whole.records) - self._next
        return self._inbox.held() + left
