"""`push`: records that the embedding program hands in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, TypeVar, cast

from ...runtime.contracts import Context, Read, Source, ThalwegError

__all__ = ["Delivery", "DeliveryLost", "Push", "PushClosed", "push"]

R = TypeVar("R")


class DeliveryLost(ThalwegError):
    """Records that were pushed have not all arrived: the job stopped first. Push them again."""


class PushClosed(ThalwegError):
    """Nothing can be pushed: the input has been ended, or its job does not run."""


class Delivery:
    """What a push returns: await it to know that all its records are delivered.

    A record counts as delivered when every sink, or a dead letter, has what it was owed. Awaiting
    raises `DeliveryLost` where the job stopped first. It may be awaited many times, or never.

    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources
    >>> graph, out = Graph("pushed"), []
    >>> graph.read("words", sources.push()).to("out", sinks.collect(out)) and None
    >>> async def main():
    ...     async with graph.start() as job:
    ...         delivery = await job.push("words", ["a", "b"])
    ...         await delivery
    ...         return delivery.done, delivery.last, out
    >>> asyncio.run(main())
    (True, 1, ['a', 'b'])
    """

    __slots__ = ("_done", "_lost", "_waiting", "last")

    def __init__(self, last: int) -> None:
        self.last = last
        self._done = False
        self._lost: str | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def done(self) -> bool:
        """Whether it is known by now how it ended."""
        return self._done

    def __await__(self) -> Generator[Any, None, None]:
        if not self._done:
            # One future for each who waits: cancelling one of them must not touch the others.
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            yield from waiter
        if self._lost is not None:
            raise DeliveryLost(self._lost)

    def settle(self, lost: str | None = None) -> None:
        """Called by the source: all has arrived, or `lost` says why it will not."""
        self._done = True
        self._lost = lost
        _wake(self._waiting)


class Push(Source[R]):
    """The source that `push` makes; see there. Name the type of its records: `Push[Order]()`."""

    def __init__(self, *, capacity: int = 1024) -> None:
        if not isinstance(cast(object, capacity), int) or capacity < 1:
            raise ValueError(f"capacity is in records, 1 or more, not {capacity!r}")
        self.max_unsettled = capacity
        self._capacity = capacity
        self._closed = "its job has not started: push through the running job"

    async def open(self, context: Context) -> None:
        """Begin to let records in."""
        self._node = context.node
        self._buffer: deque[R] = deque()
        self._accepted = 0  # the position of the next record that is pushed
        self._read = 0  # of the next record that is read
        self._settled = 0  # of the first record that has not arrived
        self._deliveries: deque[Delivery] = deque()
        self._turn = asyncio.Lock()
        self._waiting_for_room: list[asyncio.Future[None]] = []
        self._waiting_for_records: list[asyncio.Future[None]] = []
        self._ended = False
        self._closed = ""
        # With a store, records are answered for with their epoch, which would be late for room.
        self._by_epochs = context.fence is not None

    async def push(self, records: Sequence[R]) -> Delivery:
        """Let the records in, in order, and return when all are.

        Waits while `capacity` records are under way: pushed, and neither delivered nor
        dead-lettered. Where it is cancelled while it waits, the records let in by then stay in.
        Raises `PushClosed` after the end of the input or of the job.
        """
        if self._closed:
            raise PushClosed(f"cannot push: {self._closed}")
        async with self._turn:
            given = 0
            while True:
                if self._ended or self._closed:
                    reason = self._closed or "the input has been ended"
                    raise PushClosed(
                        f"cannot push to {self._node!r}: {reason};"
                        f" {given} of {len(records)} records were let in"
                    )
                room = self._room()
                part = records[given : given + room]
                given += len(part)
                self._accepted += len(part)
                self._buffer.extend(part)
                _wake(self._waiting_for_records)
                if given == len(records):
                    break
                await _wait(self._waiting_for_room)
        delivery = Delivery(self._accepted - 1)
        if not records or self._settled == self._accepted:
            delivery.settle()
        else:
            self._deliveries.append(delivery)
        return delivery

    def _room(self) -> int:
        """How many records may be let in now."""
        if self._by_epochs:
            return self._capacity - len(self._buffer)
        return self._capacity - (self._accepted - self._settled)

    async def end(self) -> None:
        """End the input, once all pushes that wait have been let in. The job then ends."""
        if self._closed:
            return
        async with self._turn:
            self._ended = True
            _wake(self._waiting_for_records)

    async def drain(self) -> None:
        """End the input; what was pushed before is still read."""
        await self.end()

    async def read(self, limit: int) -> Read[R] | None:
        """The records that have been pushed, as soon as there are any."""
        buffer = self._buffer
        while not buffer:
            if self._ended:
                return None
            await _wait(self._waiting_for_records)
        count = min(limit, len(buffer))
        start = self._read
        self._read += count
        records = [buffer.popleft() for _ in range(count)]
        if self._by_epochs:
            _wake(self._waiting_for_room)
        return Read(records, range(start, self._read))

    async def ack(self, lane: str, position: int) -> None:
        """Resolve the deliveries that are complete, and make room."""
        self._settled = max(self._settled, position + 1)
        deliveries = self._deliveries
        while deliveries and deliveries[0].last <= position:
            deliveries.popleft().settle()
        _wake(self._waiting_for_room)

    async def nack(self, lane: str, position: int) -> None:
        """Fail the deliveries that hold a record from `position` on."""
        self._stop("the job stopped before all of these records were delivered")

    async def close(self) -> None:
        """Fail the deliveries of what was never read, and let nothing more in."""
        if not hasattr(self, "_deliveries"):
            return
        self._stop("the job stopped before all of these records were delivered")
        self._buffer.clear()

    def _stop(self, lost: str) -> None:
        self._closed = self._closed or "its job has stopped"
        while self._deliveries:
            delivery = self._deliveries.popleft()
            never_read = max(0, delivery.last + 1 - self._read)
            delivery.settle(f"{lost}" + (f"; {never_read} were never read" if never_read else ""))
        _wake(self._waiting_for_room)


def push(*, capacity: int = 1024) -> Push[Any]:
    """Records that the embedding program hands in, with back-pressure and a receipt for each push.

    >>> orders = push(capacity=100)

    In the program, `await job.push("orders", records)` lets records in and returns a `Delivery`;
    awaiting that tells that they have arrived. `Push[Order](capacity=100)` is the same with the
    type of the records.

    Parameters:

    - `capacity`: how many records may be under way, pushed and neither delivered nor
      dead-lettered, before a push waits (1024). A longer list is let in piece by piece.

    Raises ValueError for a capacity under 1.

    - Emits when: records have been pushed.
    - Waits when: nothing has been pushed, or `capacity` records are under way.
    - Ends when: the program ends it, and all that was pushed has been read.
    - Order: that in which the pushes began; the records of a push stay together.
    - State: none; what had not arrived when the job stopped must be pushed again.
    - On error: where the job stops first, awaiting a delivery raises `DeliveryLost`; pushing to an
      input that has ended raises `PushClosed`.
    """
    return Push(capacity=capacity)


async def _wait(waiting: list[asyncio.Future[None]]) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting.append(waiter)
    await waiter


def _wake(waiting: list[asyncio.Future[None]]) -> None:
    for waiter in waiting:
        if not waiter.done():
            waiter.set_result(None)
    waiting.clear()
