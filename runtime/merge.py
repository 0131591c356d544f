"""Several channels read as one: a union, with its signals aligned."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from .batch import Batch
from .channel import Channel, Run
from .progress import ChannelStatistics
from .signals import Barrier, End, LanesLeft, Signal, Trigger, Watermark

__all__ = ["Merge"]


class Merge:
    """Reads several channels in turn and passes on each signal once.

    A watermark is the least of those inputs that have neither ended nor gone idle, and never goes
    back. A barrier holds its input back until it has come on every input that has not ended. The
    end is when all have ended.
    """

    __slots__ = (
        "_ahead",
        "_barrier",
        "_channels",
        "_due",
        "_emitted",
        "_ended",
        "_idle",
        "_loop",
        "_marks",
        "_turn",
        "_waiter",
        "_woken",
    )

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = list(channels)
        self._loop = asyncio.get_running_loop()
        self._turn = 0
        self._ended: set[int] = set()
        self._ahead: set[int] = set()
        self._barrier: Barrier | None = None
        self._due: Barrier | None = None
        self._marks: dict[int, Watermark] = {}
        self._emitted = float("-inf")
        self._idle: bool = False
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None

    def take(self) -> Batch | Signal | None:
        """The next item, or None when there is none right now."""
        if self._due is not None:
            due, self._due = self._due, None
            return due
        count = len(self._channels)
        for step in range(count):
            index = (self._turn + step) % count
            if index in self._ended or index in self._ahead:
                continue
            while (item := self._channels[index].take()) is not None:
                if type(item) is Batch:
                    self._turn = index + 1
                    return item
                signal = self._heed(index, item)
                if signal is not None:
                    return signal
                if index in self._ended or index in self._ahead:
                    break
        return None

    def take_run(self) -> Run | Signal | None:
        """The next item: what follows on one input may have to wait for another."""
        item = self.take()
        return deque((item,)) if isinstance(item, Batch) else item

    def _heed(self, index: int, signal: Signal | Batch) -> Signal | None:
        if isinstance(signal, Watermark):
            self._marks[index] = signal
            return self._low_watermark()
        if isinstance(signal, LanesLeft):
            return None  # Below a union nobody asks for lanes.
        if isinstance(signal, Trigger):
            return signal
        if isinstance(signal, Barrier):
            self._barrier = signal
            self._ahead.add(index)
            return self._aligned()
        self._ended.add(index)
        if len(self._ended) == len(self._channels):
            return End()
        low = self._low_watermark()
        barrier = self._aligned()
        if low is not None and barrier is not None:
            self._due = barrier  # The watermark stood before it on the input that goes on.
            return low
        return low or barrier

    def _aligned(self) -> Barrier | None:
        if self._barrier is None or len(self._ahead | self._ended) < len(self._channels):
            return None
        barrier, self._barrier = self._barrier, None
        self._ahead.clear()
        return barrier

    def _low_watermark(self) -> Watermark | None:
        """The watermark of all inputs together, if it says anything new."""
        live = [index for index in range(len(self._channels)) if index not in self._ended]
        if any(index not in self._marks for index in live):
            return None  # Nobody knows yet how old the records of that input are.
        awake = [self._marks[index].at for index in live if not self._marks[index].idle]
        low, idle = min(awake, default=self._emitted), not awake
        if low <= self._emitted and idle is self._idle:
            return None
        self._emitted = max(low, self._emitted)
        self._idle = idle
        return Watermark(self._emitted, idle)

    async def wait(self, seconds: float | None = None) -> None:
        """Return when there may be something to take, when woken, or after `seconds`."""
        if self._woken or self.ready():
            self._woken = False
            return
        open_channels = self._open()
        waiter = self._waiter = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, self.wake)
        for channel in open_channels:
            channel.watch(waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            self._woken = False
            if timer is not None:
                timer.cancel()
            for channel in open_channels:
                channel.watch(None)

    def wake(self) -> None:
        """Make a `wait` return, now or when it next begins."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def ready(self) -> bool:
        """Whether there may be something to take: what a barrier holds back is not."""
        return self._due is not None or any(channel.ready() for channel in self._open())

    def _open(self) -> list[Channel]:
        return [
            channel
            for index, channel in enumerate(self._channels)
            if index not in self._ended and index not in self._ahead
        ]

    def held(self) -> int:
        """How many records are waiting here."""
        return sum(channel.held() for channel in self._channels)

    def statistics(self) -> ChannelStatistics:
        """What all of them hold together, and the sums of their bounds."""
        each = [channel.statistics() for channel in self._channels]
        return ChannelStatistics(
            batches=sum(one.batches for one in each),
            records=sum(one.records for one in each),
            bytes=sum(one.bytes for one in each),
            max_batches=sum(one.max_batches for one in each),
            max_records=sum(one.max_records for one in each),
            max_bytes=sum(one.max_bytes for one in each),
            sender_waits=any(one.sender_waits for one in each),
            receiver_waits=self._waiter is not None,
        )
