"""Outlets: the channels behind one port of a node."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .batch import Batch
from .channel import Channel
from .counts import ActorCounts
from .signals import Signal

__all__ = ["Outlet"]


class Outlet:
    """Sends what an actor emits to every channel behind a port, waiting where one is full."""

    __slots__ = ("_channels", "_clock", "_counts")

    def __init__(self, counts: ActorCounts, clock: Callable[[], float]) -> None:
        self._channels: list[Channel] = []
        self._counts = counts
        self._clock = clock

    @property
    def wired(self) -> bool:
        """Whether anything takes what is sent here."""
        return bool(self._channels)

    def add(self, channel: Channel) -> None:
        """Send to this channel too."""
        self._channels.append(channel)

    @property
    def lent(self) -> float:
        """Seconds of the sender's turns in which receivers worked at once."""
        return sum(channel.lent for channel in self._channels)

    @property
    def only(self) -> Channel | None:
        """The channel, if there is just one: what is sent there may be offered to it directly."""
        return self._channels[0] if len(self._channels) == 1 else None

    async def send(self, batch: Batch) -> bool:
        """Send a batch on; return whether it had to wait. Its receipt goes with it."""
        channels = self._channels
        if len(channels) == 1:
            if channels[0].offer(batch):
                return False
            await self._put(channels[0], batch)
            return True
        if not channels or not batch.records:
            batch.receipt.settle()
            return False
        batch.receipt.fork(len(channels) - 1)
        waited = False
        # Each channel numbers its own batches, and their readers may change them: all the copies
        # are made before anybody reads. The records themselves are shared.
        copies = [batch, *(_copy(batch) for _ in channels[1:])]
        for channel, own in zip(channels, copies, strict=True):
            if not channel.offer(own):
                await self._put(channel, own)
                waited = True
        return waited

    async def send_all(self, batches: deque[Batch], records: int) -> bool:
        """Send these batches of `records` records on, in order; return whether it had to wait.

        What has been sent is taken off `batches`, so that a cancelled wait loses no count.
        """
        if len(self._channels) == 1:
            channel = self._channels[0]
            if channel.offer_all(batches, records):
                return False
            self._counts.output.begin(self._clock())
            try:
                await channel.put_all(batches)
            finally:
                self._counts.output.end(self._clock())
            return True
        waited = False
        while batches:
            waited = await self.send(batches[0]) or waited
            batches.popleft()
        return waited

    async def signal(self, signal: Signal) -> None:
        """Send a signal on, in its place among the batches."""
        for channel in self._channels:
            await channel.signal(signal)

    async def _put(self, channel: Channel, batch: Batch) -> None:
        self._counts.output.begin(self._clock())
        try:
            await channel.put(batch)
        finally:
            self._counts.output.end(self._clock())


def _copy(batch: Batch) -> Batch:
    return Batch(batch.records, batch.receipt, batch.origins, batch.born, batch.offset)
