"""The actor of async functions: several calls at once, results in input order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from ..attempts import Attempts
from ..batch import Batch, Records
from ..contracts import BatchFunction
from ..endpoint_statistics import EndpointStatistics
from ..errors import MisconfiguredError, RuntimeFault
from ..nodes import Node
from ..origins import Origins
from ..progress import CallProgress
from ..signals import End
from ..trail import Trail
from ..tuning.limits import limited_by
from ..tuning.meter import CallMeter
from .actor import Actor
from .call_dials import CallDials
from .crew import Call, Crew
from .invoking import invocation
from .regroup_actor import RegroupActor
from .surroundings import Surroundings
from .window import Window

__all__ = ["CallActor"]


class CallActor(Actor):
    """Calls an async function for `max_in_flight` records, or batches, at once.

    Calls start in order and are emitted from the left. Up to four times as many as run may be
    started and not yet emitted, so that one slow call does not idle the others and the window
    stays bounded.
    """

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        super().__init__(name, nodes, around)
        node = nodes[0]
        self._batch_function: BatchFunction[object, object] | None = None
        if isinstance(node.work, BatchFunction):
            self._batch_function = cast("BatchFunction[object, object]", node.work)
        self._kind = node.kind
        self._by_record = node.kind in ("map", "filter", "flat_map")
        self._window = Window(node.options.max_in_flight, ordered=node.options.ordered)
        self._waiter: asyncio.Future[None] | None = None
        self._next: Batch | None = None
        self._cursor = 0
        self._held = 0
        self._emitting = False
        self._open_calls: dict[Batch, int] = {}
        self._attempts: Attempts | None = None
        self.meter = CallMeter(self.monotonic)
        self._crew = self._make_crew(node)
        attempts, function = self._attempts, self._batch_function
        self.dials = CallDials(
            self._crew,
            permits=None if attempts is None else attempts.permits,
            meter=self.meter,
            goal=None if function is None else function.tune,
            loop=around.loop,
            clock=self.monotonic,
            resized=self._resize,
        )

    @property
    def attempts(self) -> Attempts | None:
        """The calls, where they may be repeated."""
        return self._attempts

    def told_seconds(self) -> float | None:
        """How long a call took by the other side's own clock, on average, if it tells."""
        return None if self._batch_function is None else self._batch_function.told_seconds()

    def endpoints(self) -> tuple[EndpointStatistics, ...]:
        """How each endpoint stands, where several may answer a call."""
        return () if self._batch_function is None else self._batch_function.endpoints()

    def calls(self) -> CallProgress | None:
        """How its calls do, where they may be repeated."""
        attempts, dials, told = self._attempts, self.dials, self.told_seconds()
        if attempts is None:
            return None
        now, calls, controller = dials.now, self.meter.statistics(), dials.controller
        return CallProgress(
            answered=calls.answered,
            refused=calls.refused,
            failed=calls.failed,
            rate=round(calls.rate, 1),
            p50=round(calls.p50, 6),
            p99=round(calls.p99, 6),
            client=round(calls.client, 3),
            max_in_flight=now.max_in_flight,
            allowed=attempts.permits.allowed,
            max_batch_size=now.max_batch_size,
            linger=now.linger,
            limited_by=limited_by(
                calls,
                now,
                allowed=attempts.permits.allowed,
                down=attempts.breaker.reason,
                cuts={} if dials.feeder is None else dict(dials.feeder.each[0].cuts),
                told=told,
            ),
            tuning=None if controller is None else controller.why,
        )

    def fed_by(self, feeder: RegroupActor) -> None:
        """Set how the batches for it are cut: nobody else reads them."""
        self.dials.feeder = feeder

    def _resize(self, max_in_flight: int) -> None:
        self._window.resize(max_in_flight)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        elif self.inbox is not None:
            self.inbox.wake()

    @property
    def holding(self) -> int:
        """The records that were taken in and not yet emitted."""
        return self._held + self._handing

    def _make_crew(self, node: Node) -> Crew:
        around, timeout = self.around, node.options.timeout
        own_limit: float | None = timeout
        function = self._batch_function
        if function is not None and function.repeatable:
            own_limit = None
            described = type(function).__repr__ is not object.__repr__
            self._attempts = Attempts(
                function.call,
                retry=function.retry,
                timeout=timeout,
                clock=around.clock,
                counts=self.each[0],
                chance=around.chance(),
                name=repr(function) if described else None,
                max_in_flight=node.options.max_in_flight,
                divide=function.divide,
            )
            self._attempts.observer = self.meter
        return Crew(
            invocation(node) if self._attempts is None else self._attempts.run,
            size=node.options.max_in_flight,
            timeout=own_limit,
            name=f"thalweg:{around.graph}/{self.name}",
            loop=around.loop,
            clock=self.monotonic,
            returned=self._returned,
        )

    async def open(self) -> None:
        """Open the batch function, if it is one."""
        if self._batch_function is not None:
            await self._batch_function.open(self.around.context(self.name))

    async def close(self) -> None:
        """Stop what still runs, then close the batch function."""
        self.dials.stop()
        await self._crew.close()
        if self._attempts is not None:
            self._attempts.close()
        if self._batch_function is not None:
            await self._batch_function.close()

    async def work(self) -> None:
        """Take in, start and emit until the end."""
        assert self.inbox is not None
        self.dials.start()
        while True:
            if self._window.answered():
                await self._emit_answered()
            if self._start_calls():
                item = self.inbox.take()
                if isinstance(item, Batch):
                    self._accept(item)
                    continue
                if item is not None:
                    self._window.queue(item)
                    if isinstance(item, End):
                        await self._finish_up()
                        return
                    continue
            if not self._window.answered():
                await self._pause()

    async def _finish_up(self) -> None:
        """Emit what is under way; the end itself stands last in the window."""
        while self._window.items:
            await self._emit_answered()
            if self._window.items:
                await self._wait_for_call()

    def _accept(self, batch: Batch) -> None:
        count = len(batch.records)
        self._held += count
        counts = self.each[0]
        counts.records_in += count
        counts.in_flight += count
        if not self._by_record:
            # There is room: else nothing would have been taken in.
            call = Call(batch, 0, count)
            self._window.items.append(call)
            self._crew.start(call)
            return
        self._next, self._cursor = batch, 0
        # One for the batch itself, while calls are still to be made of it.
        self._open_calls[batch] = 1

    def _start_calls(self) -> bool:
        """Make calls for the records that were taken in; return whether there is room for more."""
        batch, window = self._next, self._window
        if batch is not None:
            count = len(batch.records)
            while self._cursor < count and window.has_room:
                stop = self._cursor + 1
                call = Call(batch, self._cursor, stop)
                self._open_calls[batch] += 1
                self._cursor = stop
                window.items.append(call)
                self._crew.start(call)
            if self._cursor < count:
                return False
            self._next = None
            if self._close_call(batch):
                batch.receipt.settle()
        return window.has_room

    def _close_call(self, batch: Batch) -> bool:
        """One call less of this batch; return whether that was the last."""
        if not self._by_record:
            return True
        left = self._open_calls[batch] - 1
        if left:
            self._open_calls[batch] = left
            return False
        del self._open_calls[batch]
        return True

    def _returned(self, call: Call) -> None:
        window, items = self._window, self._window.items
        if window.ordered and not (items and items[0] is call):
            # A slow call stands before this one: those after it must not run out meanwhile.
            if self._waiter is None or self._crew.queued or not window.has_room:
                return
        elif self._kind == "function" and not self._emitting and self._emit_at_once():
            return
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
        elif self.inbox is not None:
            self.inbox.wake()

    def _emit_at_once(self) -> bool:
        """Emit whole answers from the left as they return; whether the actor may sleep on.

        The common case needs no turn of the actor: nothing was rejected and the next channel has
        room. While a full window empties, the actor is woken when half of it is free, or when no
        call is left to start.
        """
        window, only, limit = self._window.items, self.outlets["out"].only, self.around.limit
        if only is None or not self._window.ordered:
            return False
        while window:
            head = window[0]
            if not isinstance(head, Call):
                return False
            if not head.done:
                break
            whole = head.whole()
            if whole is None or len(whole) > limit:
                return False
            head.batch.records = whole
            if not only.offer(head.batch):
                return False
            window.popleft()
            self._account(len(whole))
        if self._waiter is None or not window:
            return bool(window)
        return self._crew.queued > 0 and 2 * len(window) > self._window.most

    def _account(self, count: int) -> None:
        """A whole answer of `count` records has been emitted."""
        counts = self.each[0]
        counts.streak = 0
        counts.in_flight -= count
        counts.records_out += count
        self._held -= count

    async def _pause(self) -> None:
        """Wait for a call to return, and for input where there is room for it."""
        assert self.inbox is not None
        if self._next is not None or not self._window.has_room:
            await self._wait_for_call()
            return
        self.counts.input.begin(self.monotonic())
        try:
            await self.inbox.wait()
        finally:
            self._resumed = now = self.monotonic()
            self.counts.input.end(now)

    async def _wait_for_call(self) -> None:
        # Not a wait for input: this actor is busy, although somewhere else.
        if self._window.answered():
            return
        self._waiter = self.around.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._resumed = self.monotonic()

    async def _emit_answered(self) -> None:
        """Emit what has been answered, joining neighbouring calls of the same batch."""
        # While this waits for room, nothing that returns may overtake what it has in hand.
        self._emitting = True
        try:
            while (item := self._window.take()) is not None:
                if isinstance(item, list):
                    await self._emit_calls(item)
                else:
                    await self.forward(item)
        finally:
            self._emitting = False

    async def _emit_calls(self, calls: list[Call]) -> None:
        """Emit the answers of some calls of one batch, and give up what they rejected."""
        batch, counts = calls[0].batch, self.each[0]
        whole = calls[0].whole()
        if whole is not None and self._kind == "function" and len(whole) <= self.around.limit:
            self._account(len(whole))
            batch.records = whole
            await self.emit(batch)
            return
        out: Records = []
        places: list[int] = []
        bad: list[tuple[int | None, object, Exception, Trail | None]] = []
        for call in calls:
            if isinstance(call.error, MisconfiguredError | RuntimeFault):
                raise self.failure(call.error, "failed", batch.came_from()) from call.error
            self._collect(call, out, places, bad)
        records = sum(call.stop - call.start for call in calls)
        last = [self._close_call(batch) for _ in calls][-1]
        if bad:
            batch.receipt.fork()
            base = calls[0].start
            await self.give_up(counts, bad, batch, receipt=batch.receipt, count=records, base=base)
        else:
            counts.streak = 0
        counts.in_flight -= records
        self._held -= records
        counts.records_out += len(out)
        origins = self._origins_of(batch, out, places)
        if out and last and len(out) <= self.around.limit:
            await self.emit(Batch(out, batch.receipt, origins, batch.born))
            return
        for start in range(0, len(out), self.around.limit):
            stop = min(start + self.around.limit, len(out))
            batch.receipt.fork()
            part = origins.cut(start, stop) if origins is not None else None
            await self.emit(Batch(out[start:stop], batch.receipt, part, batch.born))
        if last:
            batch.receipt.settle()

    def _collect(
        self,
        call: Call,
        out: Records,
        places: list[int],
        bad: list[tuple[int | None, object, Exception, Trail | None]],
    ) -> None:
        records = call.batch.records
        answer = call.answer
        if call.error is not None or answer is None:
            error = call.error or RuntimeFault("a call ended without an answer")
            bad.extend((i, records[i], error, None) for i in range(call.start, call.stop))
            return
        out.extend(answer.records)
        if self._by_record:
            places.extend([call.start] * len(answer.records))
        elif not answer.rejected:
            places.extend(range(call.start, call.stop))
        else:
            for index in range(call.start, call.stop):
                reject = answer.rejected.get(index - call.start)
                if reject is None:
                    places.append(index)
                else:
                    bad.append((index, records[index], *reject))

    def _origins_of(self, batch: Batch, out: Records, places: list[int]) -> Origins | None:
        origins = batch.came_from()
        if origins is None or not out:
            return None
        if self._kind == "map_batch":
            return origins.blur(len(out))
        if len(places) == len(batch.records) and self._kind in ("map", "filter", "function"):
            return origins
        return origins.take(places)
