"""The actor of a sink: it writes, and settles what has arrived."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ..answers import Rejects, checked
from ..batch import Batch, Records
from ..channel import Channel, Run
from ..checkpoints.parts import Part
from ..columns import Columns
from ..contracts import Outcome, Sink
from ..counts import Latency
from ..deadline import Deadline
from ..nodes import Node, overrides
from ..roles import commits
from ..signals import End, Signal, Trigger
from .actor import TURN, Actor
from .begun import Begun, begin
from .commits import Commits
from .keys import Keys
from .surroundings import Surroundings

if TYPE_CHECKING:
    from ..attempts import Attempts, Repeatable
    from ..checkpoints.coordinator import Coordinator

__all__ = ["SinkActor"]

_PROMPT = 0.0002
"""Seconds: a write that takes longer is not begun in the turn of the sender."""

_APART = 64
"""So many batches that found the sink idle are written in its own turns before the next try."""


class SinkActor(Actor):
    """Writes batches to a sink, one after the other.

    A write has a timeout; it is repeated only if the sink is repeatable. When the sink breaks and
    is isolated, everything it should have got goes to its failed port instead.
    """

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        super().__init__(name, nodes, around)
        node = nodes[0]
        self._sink = cast("Sink[object]", node.work)
        self._isolate = node.options.on_failure == "isolate"
        self._broken: Exception | None = None
        self.latency = self._latency = Latency()
        self._deadline = Deadline(around.loop, node.options.timeout, self._out_of_time)
        self._taken: Run = deque()
        self._plainly = not self._sink.repeatable
        self._begun: Begun[Outcome[None]] | None = None
        self._apart = 0
        self._attempts: Attempts | None = None
        self._write: Repeatable = self._sink.write
        self._keys: Keys | None = None
        if overrides(self._sink, Sink, "write_keyed"):
            self._keys = Keys(around.starts, around.anew)
            self._write = self._keys.writer(self._sink)
        self._takes_columns = bool(overrides(self._sink, Sink, "write_columns"))
        if self._takes_columns:
            self._write = self._write_either
        self._hears = bool(overrides(self._sink, Sink, "on_trigger", "on_end"))
        self._commits: Commits | None = None
        if around.checkpoints is not None and commits(self._sink):
            self._commits = Commits(
                self._sink,
                around.clock,
                timeout=node.options.timeout,
                patience=around.checkpoints.patience,
                check=around.checkpoints.check,
                wake=self._wake_up,
            )
        if self._sink.repeatable:
            from ..attempts import Attempts  # Few sinks are asked again.

            self._attempts = Attempts(
                self._write,
                retry=self._sink.retry,
                timeout=node.options.timeout,
                clock=around.clock,
                counts=self.each[0],
                chance=around.chance(),
                one_to_one=False,
            )

    async def open(self) -> None:
        """Open the sink; one that commits goes on from the restored epoch."""
        self._task = asyncio.current_task()
        await self._sink.open(self.around.context(self.name))
        keeper = self.around.checkpoints
        if self._commits is not None and keeper is not None:
            restored = keeper.restored
            await self._commits.begin(restored.epoch, restored.prepared(self.name))

    async def close(self) -> None:
        """Close the sink, unless it broke and was closed then."""
        self._deadline.close()
        if self._commits is not None:
            self._commits.close()
        if self._attempts is not None:
            self._attempts.close()
        try:
            if self._begun is not None:
                self._begun.close()
        finally:
            if self._broken is None:
                await self._sink.close()

    async def await_input(self, seconds: float | None = None) -> None:
        """Return when there may be something to read; a write that was begun gets what is its."""
        try:
            await super().await_input(seconds)
        except asyncio.CancelledError as error:
            if self._begun is None or not self._begun.waits:
                raise
            # The end of the job, or of a timeout inside the write, which has this task for its own.
            self._begun.thrown = error
        if self._commits is not None and self._commits.due and self._begun is None:
            await self._commits.obey()

    def _wake_up(self) -> None:
        if self.inbox is not None:
            self.inbox.wake()

    async def forward(self, signal: Signal) -> None:
        """Tell the sink of a trigger and of the end, behind all that came before."""
        if self._hears and self._broken is None and isinstance(signal, Trigger | End):
            async with asyncio.timeout(self.nodes[0].options.timeout):
                if isinstance(signal, Trigger):
                    await self._sink.on_trigger(signal.number)
                else:
                    await self._sink.on_end()
        await super().forward(signal)

    async def save(self, epoch: int) -> Part:
        """What the sink prepared, if it commits."""
        if self._keys is not None:
            self._keys.begin_epoch()
        if self._commits is None:
            return Part()
        return Part(prepared=await self._commits.prepare(epoch))

    async def save_end(self, keeper: Coordinator) -> Part:
        """The last that the sink prepares, once what it prepared before is committed."""
        under_way = keeper.under_way(self)
        if under_way is not None:
            await self.linger(under_way)
        return await self.save(keeper.upcoming(self))

    async def linger(self, let_go: asyncio.Future[None]) -> None:
        """Stay until the last is committed."""
        if self._commits is None:
            return
        let_go.add_done_callback(lambda _: self._wake_up())
        while not let_go.done():
            await self.await_input()

    def commits(self) -> str | None:
        """The sink's name, if it commits."""
        return self.name if self._commits is not None else None

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Have the sink commit, in the actor's own turn."""
        if self._commits is not None:
            await self._commits.order(epoch, prepared)

    @property
    def holding(self) -> int:
        """The records that were taken in and not yet written."""
        held = sum(len(batch.records) for batch in tuple(self._taken))
        return held + super().holding

    async def _write_either(self, records: Sequence[object], /) -> Outcome[None] | None:
        """Write columns as columns, and records as records."""
        if isinstance(records, Columns):
            return await self._sink.write_columns(records)
        return await self._sink.write(records)

    def _write_at_once(self, batch: Batch) -> bool:
        """Write in the turn of the sender, if that needs no wait; return whether it is done.

        What has just been made is then still in the processor's cache, and its memory is free for
        what is made next. A write that begins to wait, or fails, goes on in the task of this
        actor; after one that waits, or is slow, the next ones have turns of their own.
        """
        if self._apart:
            self._apart -= 1
            return False
        if not self._plainly or self._task is None:
            return False
        records = batch.records
        try:
            writing = self._sink.write(records)
        except Exception:
            return False  # It will raise again where its error is told.
        self._batch = batch
        began = self.monotonic()
        begun = begin(writing, self._task, self.variables, self.around.loop)
        now = self.monotonic()
        self._batch = None
        cast("Channel", self.inbox).lent += now - began
        if now - began > _PROMPT or (begun is not None and begun.waits):
            self._apart = _APART
        if begun is not None and (begun.result is None or begun.result.rejected):
            self._begun = begun
            return False
        counts, count = self.each[0], len(records)
        counts.records_in += count
        counts.records_out += count
        counts.streak = 0
        self._latency.note(now - batch.born, count)
        batch.receipt.settle()
        return True

    async def work(self) -> None:
        """Read and write until the end."""
        alone = self._keys is None and inspect.iscoroutinefunction(self._sink.write)
        alone = alone and not self._takes_columns
        if isinstance(self.inbox, Channel) and alone:
            self.inbox.at_once = self._write_at_once
        counts, latency = self.each[0], self._latency
        write, deadline, monotonic = self._write, self._deadline, self.monotonic
        keys, orders = self._keys, self._commits
        while (taken := await self.next_run()) is not None:
            self._taken = taken
            while taken:
                item = taken.popleft()
                self._batch = item
                records = item.records
                counts.records_in += len(records)
                rejected: Rejects | None = None
                if keys is not None:
                    records = keys.keyed(item)
                if self._plainly:
                    # A call's own task, or a timeout object, would cost more than most writes.
                    deadline.calls += 1
                    deadline.calling = True
                    if not deadline.watching:
                        deadline.watch()
                    begun, self._begun = self._begun, None
                    try:
                        result = await (write(records) if begun is None else begun)
                    except (Exception, asyncio.CancelledError) as error:
                        rejected = await self._explain(error, item)
                    else:
                        if result is not None:
                            _, bad = checked(result, len(records), False)
                            rejected = {index: (error, None) for index, error in bad.items()}
                    finally:
                        deadline.calling = False
                else:
                    rejected = await self._write_otherwise(item, records)
                if rejected:
                    await self._reject(rejected, item)
                else:
                    counts.records_out += len(records)
                    counts.streak = 0
                now = monotonic()
                latency.note(now - item.born, len(records))
                item.receipt.settle()
                self._batch = None
                if orders is not None and orders.due:
                    await orders.obey()
                if now - self._resumed > TURN:
                    await self.rest()

    async def _reject(self, rejected: Rejects, batch: Batch) -> None:
        counts, count = self.each[0], len(batch.records)
        counts.records_out += count - len(rejected)
        bad = [(i, batch.records[i], *rejected[i]) for i in sorted(rejected)]
        batch.receipt.fork()
        await self.give_up(counts, bad, batch, receipt=batch.receipt, count=count)

    async def _explain(self, error: BaseException, batch: Batch) -> Rejects:
        """What a write's exception means: out of time, the end of the job, or a broken sink."""
        if isinstance(error, asyncio.CancelledError):
            if not self._deadline.expired or self._task is None or self._task.cancelling() > 1:
                raise error
            self._task.uncancel()
            limit = self.nodes[0].options.timeout
            error = TimeoutError(f"the write has not returned within {limit:g} s")
        assert isinstance(error, Exception)
        return await self._break(error, batch)

    async def _write_otherwise(self, batch: Batch, records: Records) -> Rejects | None:
        """Write to a sink that may be asked again, or to one that is broken and isolated."""
        if self._broken is not None:
            return dict.fromkeys(range(len(batch.records)), (self._broken, None))
        assert self._attempts is not None
        try:
            answer = await self._attempts.run(records)
        except Exception as error:
            return await self._break(error, batch)
        return answer.rejected

    async def _break(self, error: Exception, batch: Batch) -> Rejects:
        """The sink is broken: fail, or close it and go on without it."""
        if not self._isolate:
            raise self.failure(error, "could not write", batch.came_from()) from error
        self._broken = error
        self._plainly = False
        self.each[0].waiting = f"isolated: {error}"
        self.each[0].fail_after = None
        try:
            await self._sink.close()
        except Exception as second:
            error.add_note(f"and it could not be closed: {second}")
        return dict.fromkeys(range(len(batch.records)), (error, None))

    def _out_of_time(self) -> None:
        if self._task is not None:
            self._task.cancel()
