"""The actor of a source: it reads, paces, numbers, and acknowledges."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ..batch import Batch, Records
from ..checkpoints.parts import Part
from ..contracts import Bookmark, Read, Rejected, Source
from ..dead_letters import DeadLetter, describe
from ..identities import IDS, Identities
from ..nodes import Node, overrides
from ..origins import Origin, Origins
from ..receipt import Receipt
from ..signals import Barrier, LanesLeft, Trigger, Watermark
from .acks import Acks
from .actor import TURN_RECORDS, Actor
from .injection import Injection
from .intake import Intake
from .reading import Reading
from .rejection import Letters
from .strands import Strands
from .surroundings import Surroundings

if TYPE_CHECKING:
    from ..checkpoints.coordinator import Coordinator

__all__ = ["SourceActor"]

_PASSED_ON = (Watermark, Trigger)
"""What a source hands over to be sent on as it is."""


class SourceActor(Actor):
    """Reads a source until it ends or the job drains, and acks what has arrived, in order."""

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        super().__init__(name, nodes, around)
        self.source = cast("Source[object]", nodes[0].work)
        self.finished = False
        self._wants_acks = bool(overrides(self.source, Source, "ack", "nack"))
        self._identities: Identities | None = None
        identity = nodes[0].options.identity
        if identity is not None and around.checkpoints is not None:
            self._identities = Identities(name, identity, self.monotonic)
        told = self._identities.told if self._identities is not None else None
        self._acks = Acks(self.source, self._ack_broke, told)
        self._failed_beside: tuple[str, Exception] | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._draining = False
        self._drainer: asyncio.Task[None] | None = None
        self._interruptible = False
        self._task: asyncio.Task[object] | None = None
        self._strands = Strands(name, self._has_arrived, self._one_settled)
        self._reading = Reading(
            self.source,
            around,
            self.counts,
            under_way=lambda: self._strands.under_way,
            resumed=self._has_resumed,
        )
        self._intake = Intake(self.source, name, self._strands, self._identities)
        self._cut: deque[Batch] = deque()
        self._lanes: tuple[str, ...] | None = None
        self._goes_on = False
        self._seeks = bool(overrides(self.source, Source, "seek"))
        self._barriers = Injection(self.forward, self._barrier_broke)
        self._stopped = False
        self.stopped = asyncio.Event()
        restored = around.checkpoints.restored if around.checkpoints is not None else None
        self._was_ended = restored is not None and restored.ended(name)

    @property
    def read_records(self) -> int:
        """How many records were read."""
        return self._strands.read

    @property
    def settled_records(self) -> int:
        """How many of them have arrived."""
        return self._strands.arrived

    @property
    def settled_positions(self) -> dict[str, int]:
        """Up to where each lane has arrived in full."""
        return self._strands.settled_positions

    @property
    def waits_for_credit(self) -> bool:
        """Whether it reads no more before some of what is under way has arrived."""
        return self._reading.waits_for_credit

    @property
    def reached(self) -> dict[str, int]:
        """The last position read of each lane. Safe from any thread."""
        return self._strands.reached

    @property
    def quiet_since(self) -> float | None:
        """Since when it has had nothing to hand over: it waits in `read`, or it has ended.

        None while it works, keeps to its rate, or waits for what is under way.
        """
        if self.finished or self.stopped.is_set():
            return -math.inf
        if not self._interruptible or self.waits_for_credit or self._cut:
            return None
        if self._reading.paced:
            return None
        return self.counts.input.since

    def drain(self) -> None:
        """Read no more. What was read goes on its way, then the end."""
        if self._was_ended or self.finished:
            return
        if overrides(self.source, Source, "drain"):
            if self._drainer is None:
                self._drainer = self.around.loop.create_task(self._drain_source())
            return
        self._draining = True
        if self._interruptible and self._task is not None:
            self._task.cancel()

    def suspend(self) -> None:
        """Read no more, and send no end: what was read goes on its way."""
        self._stopped = True
        self.drain()

    def inject(self, barrier: Barrier) -> None:
        """Send a barrier behind all that was read: now, beside a read that waits, or before it."""
        if not self.finished:
            name = f"thalweg:{self.around.graph}/{self.name}:barrier"
            self._barriers.inject(barrier, self.around.loop, name)

    def _barrier_broke(self, error: Exception) -> None:
        if self._failed_beside is None:
            self._failed_beside = "could not send a barrier", error
            if self._task is not None and not self.stopping:
                self._task.cancel()

    async def _checkpoint_here(self) -> None:
        """A test's source asks for an epoch behind what it has handed over."""
        keeper = self.around.checkpoints
        if keeper is None:
            return
        self._barriers.reading = True
        try:
            await keeper.checkpoint()
        finally:
            self._barriers.reading = False
        await self._barriers.go_first()

    async def save(self, epoch: int) -> Part:
        """Where this source would go on: behind all that it has handed over."""
        ids, marks = self._identities, self._strands.bookmarks()
        self._acks.saved()
        return Part([ids.save(epoch)] if ids is not None else (), bookmarks=marks)

    async def save_end(self, keeper: Coordinator) -> Part:
        """Where it stands at its end, which is there for good."""
        return await self.save(keeper.upcoming(self))

    async def linger(self, let_go: asyncio.Future[None]) -> None:
        """Stay until the end is committed, so that the source can be told."""
        try:
            await let_go
            await self._acks.finish()
        except asyncio.CancelledError:
            self._tell_what_failed_beside()
            raise

    def acknowledge(self, part: Part) -> None:
        """The epoch is stored and committed: all up to these bookmarks has arrived, for good."""
        if self._was_ended:
            return
        if self._identities is not None:
            self._identities.committed()
        if self._wants_acks:
            self._acks.committed(part.bookmarks)
        elif self._identities is not None:
            self._identities.told()

    async def _drain_source(self) -> None:
        """Ask the source to end by itself; should it not be able to, that fails the job."""
        try:
            await self.source.drain()
        except Exception as error:
            self._failed_beside = "could not drain", error
            if self._task is not None:
                self._task.cancel()

    async def open(self) -> None:
        """Open the source, and let it go on where the restored epoch ends."""
        self._task = asyncio.current_task()
        keeper = self.around.checkpoints
        if self._was_ended:
            # Not opened again; where it stood stays for good.
            self._go_on(keeper.restored.bookmarks(self.name) if keeper is not None else None)
            return
        await self.source.open(self.around.context(self.name))
        marks = keeper.restored.bookmarks(self.name) if keeper is not None else None
        if keeper is not None and self._identities is not None:
            self._identities.restore(keeper.restored.memory(self.name).get(IDS, ()))
        self._goes_on = bool(marks)
        if marks and self._seeks:
            await self.source.seek(marks)
            self._go_on(marks)

    def _go_on(self, marks: Mapping[str, Bookmark] | None) -> None:
        self._strands.go_on(marks or {})
        for lane, mark in (marks or {}).items():
            if mark.last >= 0:
                self._acks.goes_on_from(lane, mark.last)

    async def close(self) -> None:
        """Hand over the last acks, say what has not arrived, and close the source."""
        if self._was_ended:
            return
        self._barriers.close()
        try:
            if self._drainer is not None:
                self._drainer.cancel()
                await asyncio.wait([self._drainer])
            await self._acks.finish()
            for lane, first in self._strands.left():
                await self.source.nack(lane, first)
            self._tell_what_failed_beside()
        finally:
            self._acks.close()
            await self.source.close()

    async def work(self) -> None:
        """Read and emit until the source ends or the job drains; then wait for the acks."""
        if self._wants_acks:
            self._acks.begin(self.around.loop, f"thalweg:{self.around.graph}/{self.name}:acks")
        try:
            if not self._was_ended:
                await self._read_all()
            if self._stopped and not self._was_ended:
                # The last epoch is taken, then all are cancelled: a suspended job has no end.
                await self._stay_suspended()
            self.finished = True
            self.stopped.set()
            await self.end()
            if self.around.checkpoints is None:
                await self._await_acks()
        except asyncio.CancelledError:
            self._tell_what_failed_beside()
            raise
        self._tell_what_failed_beside()

    def _tell_what_failed_beside(self) -> None:
        """Raise what failed in another task than this actor's, which was then cancelled."""
        if self._failed_beside is not None:
            what, error = self._failed_beside
            raise self.failure(error, what) from error

    async def _stay_suspended(self) -> None:
        await self._barriers.go_first()
        self.stopped.set()
        self._barriers.reading = True  # So that a barrier is sent as soon as it is due.
        await self.around.loop.create_future()

    async def _read_all(self) -> None:
        self._reading.begin()
        while not self._draining:
            if self._barriers.due:
                await self._barriers.go_first()
                continue
            try:
                self._interruptible = self._barriers.reading = True
                result = await self._reading.read(max(self.around.limit, TURN_RECORDS))
            except asyncio.CancelledError:
                if (
                    not self._draining
                    or self._failed_beside is not None
                    or self._task is None
                    or self._task.cancelling() > 1
                ):
                    raise
                self._task.uncancel()
                break
            finally:
                self._interruptible = self._barriers.reading = False
            if self._barriers.due:
                await self._barriers.go_first()
            if result is None:
                break
            if isinstance(result, _PASSED_ON):
                await self.forward(result)
                continue
            if isinstance(result, Barrier):
                await self._checkpoint_here()
                continue
            await self._take(result)
        await self._barriers.go_first()

    async def _take(self, result: Sequence[object] | Read[object]) -> None:
        lanes = result.lanes if isinstance(result, Read) else self._lanes
        if lanes is not self._lanes or self._goes_on:
            await self._tell_lanes(lanes)
        try:
            taken = self._intake.take(result)
        except ValueError as error:
            raise self.failure(error, "cannot go on") from None
        if isinstance(result, Read) and result.forget and self.around.checkpoints is not None:
            self._acks.forget(result.forget)
        if taken is None:
            await self.rest()
            return
        lane, records = taken.lane, taken.records
        receipt = self._strands.claim(lane, taken.count, taken.first, taken.last)
        if self.around.checkpoints is not None:
            self.around.checkpoints.batch_read()
        now = self.monotonic()
        self.each[0].records_out += len(records)
        self._reading.took(taken.count, now)
        if taken.rejected:
            receipt.fork()
            await self._send_letters(lane, taken.rejected, receipt, now)
        if records:
            await self._send(records, receipt, Origins.of(self.name, lane, taken.positions), now)
        else:
            receipt.settle()

    async def _send_letters(
        self, lane: str, rejected: Sequence[Rejected], receipt: Receipt, now: float
    ) -> None:
        letters = Letters(
            [self._letter(one.record, one.error, lane, one.position) for one in rejected],
            Origins.of(self.name, lane, [one.position for one in rejected]),
        )
        await self.give_up_letters(self.each[0], letters, rejected[0].error, receipt, now)

    async def _tell_lanes(self, lanes: tuple[str, ...] | None) -> None:
        """Tell which lanes are left, if that is news; after a restart the first word always is."""
        if lanes != self._lanes or self._goes_on:
            await self.forward(LanesLeft(self.name, lanes))
        self._lanes, self._goes_on = lanes, False

    async def _send(self, records: Records, receipt: Receipt, origins: Origins, now: float) -> None:
        """Emit what was read, cut to the batch limit; one receipt stands for all of it."""
        limit, count = self.around.limit, len(records)
        if count <= limit or self.source.gives_columns:
            await self.emit(Batch(records, receipt, origins, now))
            return
        receipt.fork((count - 1) // limit)
        self._cut.extend(
            Batch(records[start : start + limit], receipt, origins, now, start)
            for start in range(0, count, limit)
        )
        await self.emit_all(self._cut, count)

    @property
    def holding(self) -> int:
        """The records that were read and not yet sent on."""
        return sum(len(batch.records) for batch in tuple(self._cut)) + self._handing

    def _letter(self, record: object, error: Exception, lane: str, position: int) -> DeadLetter:
        origin = Origin(self.name, lane, position)
        return DeadLetter(self.around.graph, self.name, origin, record, describe(error))

    def _has_resumed(self, now: float) -> None:
        self._resumed = now

    def _has_arrived(self, lane: str, last: int) -> None:
        """All of a lane has arrived, up to this position."""
        if self._wants_acks and self.around.checkpoints is None:
            self._acks.arrived(lane, last)

    def _one_settled(self) -> None:
        """What was read at once has arrived in full."""
        self._reading.freed()
        if self._arrived is not None and not self._strands.under_way and not self._arrived.done():
            self._arrived.set_result(None)

    def _ack_broke(self, error: Exception) -> None:
        self._failed_beside = "could not acknowledge what has arrived", error
        if self._task is not None and not self.stopping:
            self._task.cancel()

    async def _await_acks(self) -> None:
        """Stay until all that was read has arrived, so that the source can be told."""
        if self._wants_acks and self._strands.under_way:
            self._arrived = self.around.loop.create_future()
            await self._arrived
        await self._acks.finish()
