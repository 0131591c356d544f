"""The inbox of an actor that works on many rows at once: what waits is handed over together."""

from __future__ import annotations

from collections import deque
from typing import cast

from .batch import Batch, Records
from .channel import Inbox, Run
from .columns import Columns, Unread
from .origins import Origins
from .progress import ChannelStatistics
from .receipt import JoinedReceipt
from .signals import Signal, Watermark

__all__ = ["ENOUGH", "Piling"]

ENOUGH = 65_536
"""Records: no more are put together, however many wait."""


class Piling:
    """Hands over the batches that have come as one, up to the next signal.

    Nothing waits for more: one batch that has come alone is handed over alone. A watermark that
    comes in between is told behind the batch, since it may come late; of several the last one.
    Only records are put together, or columns of one schema.
    """

    __slots__ = ("_inbox", "_kept")

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._kept: deque[Batch | Signal] = deque()

    def take(self) -> Batch | Signal | None:
        """The next item, or None when there is none right now."""
        kept = self._kept
        item = kept.popleft() if kept else self._inbox.take()
        if kept or not isinstance(item, Batch):
            return item
        pile, count, mark = [item], len(item.records), None
        while count < ENOUGH:
            more = self._inbox.take()
            if more is None:
                break
            if isinstance(more, Watermark) and not more.idle:
                mark = more
                continue
            if not isinstance(more, Batch) or not _alike(item, more):
                kept.append(more)
                break
            pile.append(more)
            count += len(more.records)
        if mark is not None:
            kept.appendleft(mark)
        return item if len(pile) == 1 else _joined(pile)

    def take_run(self) -> Run | Signal | None:
        """The next item: all that is put together is in it."""
        item = self.take()
        return deque((item,)) if isinstance(item, Batch) else item

    def ready(self) -> bool:
        """Whether there may be something to take."""
        return bool(self._kept) or self._inbox.ready()

    async def wait(self, seconds: float | None = None) -> None:
        """Return when there may be something to take, when woken, or after `seconds`."""
        if not self._kept:
            await self._inbox.wait(seconds)

    def wake(self) -> None:
        """Make a `wait` return, now or when it next begins."""
        self._inbox.wake()

    def statistics(self) -> ChannelStatistics:
        """What is held in the channels, and their bounds."""
        return self._inbox.statistics()

    def held(self) -> int:
        """How many records are waiting here."""
        kept = tuple(self._kept)
        return self._inbox.held() + sum(len(i.records) for i in kept if isinstance(i, Batch))


def _alike(one: Batch, other: Batch) -> bool:
    first, second = one.columns, other.columns
    if first is None or second is None:
        return first is second
    if isinstance(first, Unread) or isinstance(second, Unread):
        return False  # To put them together they would have to be read.
    return bool(first.schema.equals(second.schema, check_metadata=True))


def _joined(pile: list[Batch]) -> Batch:
    """Several batches as one, with all their claims."""
    receipt, born = JoinedReceipt([batch.receipt for batch in pile]), pile[0].born
    known = [batch.came_from() for batch in pile]
    origins = None
    if any(one is not None for one in known):
        origins = Origins.join(
            Origins.nowhere(len(batch.records)) if one is None else one
            for batch, one in zip(pile, known, strict=True)
        )
    columns = [batch.columns for batch in pile]
    if columns[0] is not None:
        whole = Columns.join(cast("list[Columns]", columns))
        return Batch.of_columns(whole, receipt, origins, born)
    records: Records = []
    for batch in pile:
        records += batch.records
    return Batch(records, receipt, origins, born)
