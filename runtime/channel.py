"""Channels: the bounded queues between actors. One sender, one receiver, one loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from .batch import Batch, Records, size_of
from .columns import Columns
from .errors import RuntimeFault
from .progress import ChannelStatistics
from .signals import Signal

__all__ = ["Channel", "Inbox", "Run"]

_SAMPLE_EVERY = 256
_MANY = 1 << 62
"""More records than any bound: the batches are then looked at one by one."""

Items = deque["Batch | Signal"]
"""Batches and signals in order."""

Run = deque[Batch]
"""Batches in order, with no signal among them; never empty."""


class Inbox(Protocol):
    """What an actor reads from: one channel, or several merged."""

    def take(self) -> Batch | Signal | None:
        """The next item, or None when there is none right now."""
        ...

    def take_run(self) -> Run | Signal | None:
        """All batches up to the next signal, or that signal, or None when there is nothing.

        The caller holds the batches until they are worked on.
        """
        ...

    def ready(self) -> bool:
        """Whether there may be something to take."""
        ...

    async def wait(self, seconds: float | None = None) -> None:
        """Return when there may be something to take, when woken, or after `seconds`."""
        ...

    def wake(self) -> None:
        """Make a `wait` return, now or when it next begins."""
        ...

    def statistics(self) -> ChannelStatistics:
        """What is held, and the bounds."""
        ...

    def held(self) -> int:
        """How many records are waiting here."""
        ...


class Channel:
    """A queue bounded by batches, records and estimated bytes.

    The sender numbers its batches densely from 0, the receiver only checks. A batch larger than a
    bound passes alone. Bytes are estimated from a sample of the records: of the first batch, of
    the second, the fourth and so on, and of each 256th after that. A sender that waits is let go
    when half of the channel is free, so that both sides run in long turns.

    `at_once` is what a receiver that has nothing to do may be offered a batch with, in the turn of
    the sender: it returns whether the batch is done with, and need not be held. It must not raise,
    nor offer the batch again. `lent` is how many seconds it has worked so.
    """

    __slots__ = (
        "_bytes_each",
        "_items",
        "_loop",
        "_most",
        "_receiver",
        "_records",
        "_sample_at",
        "_sender",
        "_sent",
        "_signals",
        "_taken",
        "_woken",
        "at_once",
        "lent",
        "max_batches",
        "max_bytes",
        "max_records",
        "name",
    )

    def __init__(
        self,
        name: str,
        *,
        max_batches: int,
        max_records: int,
        max_bytes: int,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.name = name
        self.max_batches = max_batches
        self.max_records = max_records
        self.max_bytes = max_bytes
        self.at_once: Callable[[Batch], bool] | None = None
        self.lent = 0.0
        self._items: Items = deque()
        self._records = 0
        self._bytes_each = 0
        self._most = max_records
        self._sent = 0
        self._sample_at = 0
        self._signals = 0
        self._taken = 0
        self._woken = False
        self._loop = loop if loop is not None else asyncio.get_running_loop()
        self._sender: asyncio.Future[None] | None = None
        self._receiver: asyncio.Future[None] | None = None

    def offer(self, batch: Batch) -> bool:
        """Take the batch in and number it, or return False when there is no room."""
        count = len(batch.records)
        items = self._items
        sent = self._sent
        held = self._records + count
        if sent >= self._sample_at:
            self._estimate(batch.records)
        if items and (held > self._most or len(items) >= self.max_batches):
            return False
        batch.seq = sent
        self._sent = sent + 1
        receiver = self._receiver
        if receiver is not None:
            if self.at_once is not None and not receiver.done() and self.at_once(batch):
                self._taken += 1
                return True
            self._wake_receiver()
        self._records = held
        items.append(batch)
        return True

    def offer_all(self, batches: deque[Batch], records: int) -> bool:
        """Take in and number as many of these as there is room for; return whether none is left.

        What is taken in is taken off `batches`; `records` is how many they hold together.
        """
        items, sent, held, most = self._items, self._sent, self._records, self._most
        limit, first = self.max_batches, sent
        if (
            len(items) + len(batches) <= limit
            and held + records <= most
            and sent + len(batches) <= self._sample_at
        ):
            for batch in batches:
                batch.seq = sent
                sent += 1
            held += records
            items.extend(batches)
            batches.clear()
        else:
            for batch in batches:
                count = len(batch.records)
                if sent >= self._sample_at:
                    self._sent = sent
                    self._estimate(batch.records)
                    most = self._most
                if items and (held + count > most or len(items) >= limit):
                    break
                batch.seq = sent
                sent += 1
                held += count
                items.append(batch)
            for _ in range(sent - first):
                batches.popleft()
        self._sent, self._records = sent, held
        if self._receiver is not None and items:
            self._wake_receiver()
        return not batches

    async def put(self, batch: Batch) -> None:
        """Take the batch in, waiting for room."""
        while not self.offer(batch):
            await self._room()

    async def put_all(self, batches: deque[Batch]) -> None:
        """Take all of these in, waiting for room; what is taken in is taken off `batches`."""
        while not self.offer_all(batches, _MANY):
            await self._room()

    async def signal(self, signal: Signal) -> None:
        """Take a signal in, waiting for room: it keeps its place among the batches."""
        while len(self._items) >= self.max_batches:
            await self._room()
        self._items.append(signal)
        self._signals += 1
        self._wake_receiver()

    def take(self) -> Batch | Signal | None:
        """The next item, or None when there is none right now."""
        items = self._items
        if not items:
            return None
        item = items.popleft()
        if isinstance(item, Batch):
            if item.seq != self._taken:
                self._report(item)
            self._taken += 1
            self._records -= len(item.records)
        else:
            self._signals -= 1
        if self._sender is not None and 2 * len(items) <= self.max_batches:
            self._release_sender()
        return item

    def take_run(self) -> Run | Signal | None:
        """All batches up to the next signal, or that signal, or None when there is nothing."""
        items = self._items
        if not items:
            return None
        if self._signals:
            return self._take_to_signal()
        run = cast("Run", items)
        self._items = deque()
        self._records = 0
        taken = self._taken
        for batch in run:
            if batch.seq != taken:
                self._report(batch)
            taken += 1
        self._taken = taken
        if self._sender is not None:
            self._release_sender()
        return run

    def _take_to_signal(self) -> Run | Signal | None:
        run: Run = deque()
        while self._items and isinstance(self._items[0], Batch):
            run.append(cast("Batch", self.take()))
        return run or cast("Signal", self.take())

    async def wait(self, seconds: float | None = None) -> None:
        """Return when there may be something to take, when woken, or after `seconds`."""
        if self._items or self._woken:
            self._woken = False
            return
        receiver = self._receiver = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, _release, receiver)
        try:
            await receiver
        finally:
            self._receiver = None
            self._woken = False
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Make a `wait` return, now or when it next begins."""
        self._woken = True
        self._wake_receiver()

    def ready(self) -> bool:
        """Whether there is something to take."""
        return bool(self._items)

    def watch(self, waiter: asyncio.Future[None] | None) -> None:
        """Let `waiter` be released by the next item, in the place of a `wait` here."""
        self._receiver = waiter

    def held(self) -> int:
        """How many records are waiting here."""
        return self._records

    def statistics(self) -> ChannelStatistics:
        """What is held, and the bounds."""
        return ChannelStatistics(
            batches=len(self._items),
            records=self._records,
            bytes=self._records * self._bytes_each,
            max_batches=self.max_batches,
            max_records=self.max_records,
            max_bytes=self.max_bytes,
            sender_waits=self._sender is not None,
            receiver_waits=self._receiver is not None,
        )

    def _estimate(self, records: Records) -> None:
        """Measure a few records anew, and with them how many the bounds allow."""
        self._sample_at = min(2 * self._sent + 1, self._sent + _SAMPLE_EVERY)
        whole: object = records
        if isinstance(whole, Columns):
            # Each is measured: they are few, and of any length.
            self._sample_at = self._sent + 1
            self._bytes_each = max(1, whole.size // max(1, len(whole)))
            self._most = min(self.max_records, self.max_bytes // self._bytes_each)
        elif records:
            self._bytes_each = max(size_of(records[0]), size_of(records[-1]))
            self._most = min(self.max_records, self.max_bytes // self._bytes_each)

    def _report(self, batch: Batch) -> None:
        raise RuntimeFault(
            f"channel {self.name}: batch {batch.seq} came where {self._taken} was due"
        )

    def _release_sender(self) -> None:
        sender = self._sender
        if sender is not None and 2 * self._records <= self._most:
            self._sender = None
            if not sender.done():
                sender.set_result(None)

    async def _room(self) -> None:
        sender = self._sender = self._loop.create_future()
        try:
            await sender
        finally:
            self._sender = None

    def _wake_receiver(self) -> None:
        receiver = self._receiver
        if receiver is not None:
            self._receiver = None
            if not receiver.done():
                receiver.set_result(None)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
