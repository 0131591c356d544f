"""The workers of one actor: async calls, so many at once, each limited in time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

from ..answers import Answer
from ..batch import Batch, Records
from ..watch import Watch

__all__ = ["Call", "Crew"]

_CANCELLATIONS = 10
"""How often a call is cancelled at the end, half a second apart, before it is left alone."""


class Call:
    """One call: the records `start` to `stop` of a batch, and in the end its answer or error."""

    __slots__ = ("answer", "batch", "done", "error", "start", "stop", "worker")

    def __init__(self, batch: Batch, start: int, stop: int) -> None:
        self.batch = batch
        self.start = start
        self.stop = stop
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.done = False
        self.worker: asyncio.Task[None] | None = None

    def whole(self) -> Records | None:
        """The answer, if it is one for the whole batch and nothing was rejected."""
        answer = self.answer
        if answer is None or answer.rejected or self.error is not None:
            return None
        whole, count = answer.records, len(self.batch.records)
        return whole if len(whole) == count == self.stop - self.start else None

    def records(self) -> Records:
        """What the function is called with."""
        records = self.batch.records
        if self.stop - self.start == len(records):
            return records
        return records[self.start : self.stop]


class Crew:
    """Starts calls in the order they are given, `size` at once, and tells when one has returned.

    `invoke` is given the records of a call and the task that it runs in.

    Workers are tasks that stay: one task for each call would cost as much as a hop. A call that
    has had its `timeout` is answered for with an error at once, and its worker is cancelled and
    replaced, so that a call which ignores its cancellation holds up nobody. With `timeout` None
    the calls limit themselves.
    """

    def __init__(
        self,
        invoke: Callable[[Records, asyncio.Task[None]], Awaitable[Answer]],
        *,
        size: int,
        timeout: float | None,
        name: str,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        returned: Callable[[Call], None],
    ) -> None:
        self._invoke = invoke
        self._size = size
        self._timeout = timeout
        self._name = name
        self._loop = loop
        self._returned = returned
        self._queue: deque[Call] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._given_up: set[asyncio.Task[None]] = set()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._watch = None if timeout is None else Watch(loop, clock, timeout, self._give_up)

    @property
    def queued(self) -> int:
        """The calls that wait for a worker."""
        return len(self._queue)

    def start(self, call: Call) -> None:
        """Begin this call as soon as a worker is free."""
        self._queue.append(call)
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if len(self._workers) < self._size:
            self._hire()

    async def close(self) -> None:
        """Cancel what still runs and wait for it, within reason."""
        if self._watch is not None:
            self._watch.close()
        for _ in range(_CANCELLATIONS):
            left = self._workers | self._given_up
            if not left:
                return
            # Again, when a call swallowed it: then it is somewhere else by now.
            for worker in left:
                worker.cancel()
            await asyncio.wait(left, timeout=0.5)

    def _hire(self) -> None:
        worker = self._loop.create_task(self._serve(), name=self._name)
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _serve(self) -> None:
        worker = cast("asyncio.Task[None]", asyncio.current_task())
        queue = self._queue
        while True:
            while not queue:
                waiter = self._loop.create_future()
                self._idle.append(waiter)
                await waiter
            call = queue.popleft()
            call.worker = worker
            if self._watch is not None:
                self._watch.start(call)
            try:
                call.answer = await self._invoke(call.records(), worker)
            except asyncio.CancelledError:
                # Cancelled for its time, the call is answered for and another worker is in this
                # one's place; cancelled otherwise, the job is ending.
                if call.done:
                    return
                if worker.cancelling():
                    raise
                call.error = RuntimeError("the call was cancelled by something inside it")
            except Exception as error:
                if not call.done:
                    call.error = error
            if call.done:
                return
            call.done = True
            if self._watch is not None:
                self._watch.stop(call)
            self._returned(call)

    def _give_up(self, call: Call) -> None:
        """Answer for a call that has had its time, and put another worker in its worker's place."""
        call.error = TimeoutError(
            f"the call has not returned within {self._timeout:g} s (timeout=…)"
        )
        call.done = True
        worker = call.worker
        self._returned(call)
        if worker is not None:
            self._workers.discard(worker)
            self._given_up.add(worker)
            worker.add_done_callback(self._given_up.discard)
            worker.cancel()
        if self._queue and len(self._workers) < self._size:
            self._hire()
