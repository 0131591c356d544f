"""The actor of a source: it reads, paces, numbers, and acknowledges."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from ..batch import Batch, Records
from ..checkpoints.parts import Part
from ..contracts import Bookmark, Read, Rejected, Source
from ..dead_letters import DeadLetter, describe
from ..errors import JobFailed, RuntimeFault
from ..identities import IDS, Identities
from ..nodes import Node, overrides
from ..origins import Origin, Origins
from ..receipt import Receipt
from ..signals import Barrier, LanesLeft, Watermark
from .acks import Acks
from .actor import TURN_RECORDS, Actor, Surroundings
from .injection import Injection

if TYPE_CHECKING:
    from ..checkpoints.coordinator import Coordinator

__all__ = ["SourceActor"]

T = TypeVar("T")

_WAIT = 0.0005
"""Seconds: a read that takes less is work, not a wait."""

_PACED_READS = 20
"""A paced source is read at most so many times a second, and at least once a record."""


class SourceActor(Actor):
    """Reads a source until it ends or the job drains, and acks what has arrived, in order."""

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        super().__init__(name, nodes, around)
        self.source = cast("Source[object]", nodes[0].work)
        self.read_records = 0
        self.settled_records = 0
        self.settled_positions: dict[str, int] = {}
        self.waits_for_credit = False
        self.finished = False
        self._reached: dict[str, int] = {}
        self._unsettled: dict[str, deque[Receipt]] = {}
        self._wants_acks = bool(overrides(self.source, Source, "ack", "nack"))
        self._identities: Identities | None = None
        identity = nodes[0].options.identity
        if identity is not None and around.checkpoints is not None:
            self._identities = Identities(name, identity, self.monotonic)
        told = self._identities.told if self._identities is not None else None
        self._acks = Acks(self.source, self._ack_broke, told)
        self._failed_beside: tuple[str, Exception] | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._credit: asyncio.Future[None] | None = None
        self._draining = False
        self._drainer: asyncio.Task[None] | None = None
        self._interruptible = False
        self._task: asyncio.Task[object] | None = None
        self._next_read = 0.0
        self._cut: deque[Batch] = deque()
        self._notes: dict[str, bytes] = {}
        self._lanes: tuple[str, ...] | None = None
        self._goes_on = False
        self._seeks = bool(overrides(self.source, Source, "seek"))
        self._barriers = Injection(self.forward, self._barrier_broke)
        self._stopped = False
        self.stopped = asyncio.Event()
        restored = around.checkpoints.restored if around.checkpoints is not None else None
        self._was_ended = restored is not None and restored.ended(name)

    @property
    def reached(self) -> dict[str, int]:
        """The last position read of each lane. Safe from any thread."""
        return dict(self._reached)

    @property
    def quiet_since(self) -> float | None:
        """Since when it has had nothing to hand over: it waits in `read`, or it has ended.

        None while it works, keeps to its rate, or waits for what is under way.
        """
        if self.finished or self.stopped.is_set():
            return -math.inf
        if not self._interruptible or self.waits_for_credit or self._cut:
            return None
        if self.source.rate and self._next_read > self.monotonic():
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
        notes = self._notes
        marks = {lane: Bookmark(last, notes.get(lane, b"")) for lane, last in self._reached.items()}
        marks |= {lane: Bookmark(-1, note) for lane, note in notes.items() if lane not in marks}
        ids = self._identities
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
        for lane, mark in (marks or {}).items():
            self._notes[lane] = mark.note
            if mark.last >= 0:
                self._reached[lane] = mark.last
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
            for lane, receipts in self._unsettled.items():
                if receipts:
                    await self.source.nack(lane, receipts[0].first)
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
        self._next_read = self.monotonic()
        while not self._draining:
            if self._barriers.due:
                await self._barriers.go_first()
                continue
            try:
                self._interruptible = self._barriers.reading = True
                result = await self._read()
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
            if isinstance(result, Watermark):
                await self.forward(result)
                continue
            if isinstance(result, Barrier):
                await self._checkpoint_here()
                continue
            await self._take(result)
        await self._barriers.go_first()

    async def _read(self) -> Sequence[object] | Read[object] | Watermark | Barrier | None:
        limit = max(self.around.limit, TURN_RECORDS)
        if self.source.max_unsettled is not None:
            limit = min(limit, await self._await_credit(self.source.max_unsettled))
        rate = self.source.rate
        if rate:
            limit = min(limit, max(1, int(rate / _PACED_READS)))
            delay = self._next_read - self.monotonic()
            if delay > 0:
                await self._waiting(asyncio.sleep(delay))
        return await self._waiting(self.source.read(limit))

    async def _waiting(self, something: Awaitable[T]) -> T:
        """Await what is counted as a wait for input, unless it is over at once."""
        began, waits = self.monotonic(), self.counts.input
        waits.begin(began)
        try:
            result = await something
        finally:
            now = self.monotonic()
            if now - began > _WAIT:
                waits.end(now)
                self._resumed = now
            else:
                waits.forget()
        return result

    async def _await_credit(self, most: int) -> int:
        """Wait until fewer than `most` records are under way; return how many more may be."""
        while (free := most - (self.read_records - self.settled_records)) <= 0:
            self.waits_for_credit = True
            self._credit = self.around.loop.create_future()
            self.around.credit_changed()
            self.counts.output.begin(self.monotonic())
            try:
                await self._credit
            finally:
                self._credit = None
                self.waits_for_credit = False
                self.counts.output.end(self.monotonic())
        return free

    async def _take(self, result: Sequence[object] | Read[object]) -> None:
        positions: Sequence[int]
        rejected: Sequence[Rejected] = ()
        if isinstance(result, Read):
            records, positions, lane = list(result.records), result.positions, result.lane
            rejected = result.rejected
            if len(positions) != len(records):
                raise RuntimeFault(f"{len(positions)} positions came with {len(records)} records")
            count = len(records) + len(rejected)
            if result.lanes is not self._lanes or self._goes_on:
                await self._tell_lanes(result.lanes)
            if result.note:
                self._notes[lane] = result.note
            if not count:
                await self.rest()
                return
            first, last = self._check(lane, positions, [one.position for one in rejected])
        else:
            lane, records = "", result if isinstance(result, list) else list(result)
            if self._goes_on:
                await self._tell_lanes(None)
            count = len(records)
            if not count:
                await self.rest()
                return
            first = self._reached.get(lane, -1) + 1
            last = self._reached[lane] = first + count - 1
            positions = range(first, last + 1)
        if self._identities is not None:
            records, positions, strange = self._identities.sift(records, positions)
            rejected = [*rejected, *strange]
        receipt = Receipt(self._settled, records=count, lane=lane, first=first, last=last)
        lane_receipts = self._unsettled.get(lane)
        if lane_receipts is None:
            lane_receipts = self._unsettled[lane] = deque()
        lane_receipts.append(receipt)
        self.read_records += count
        if self.around.checkpoints is not None:
            self.around.checkpoints.batch_read()
        now = self.monotonic()
        self.each[0].records_out += len(records)
        rate = self.source.rate
        if rate:
            self._next_read = max(self._next_read, now - 1.0) + count / rate
        if rejected:
            receipt.fork()
            lost = Batch(
                [self._letter(one.record, one.error, lane, one.position) for one in rejected],
                receipt,
                Origins.of(self.name, lane, [one.position for one in rejected]),
                now,
            )
            await self._give_up_input(lost, rejected[0].error)
        if records:
            await self._send(records, receipt, Origins.of(self.name, lane, positions), now)
        else:
            receipt.settle()

    async def _tell_lanes(self, lanes: tuple[str, ...] | None) -> None:
        """Tell which lanes are left, if that is news; after a restart the first word always is."""
        if lanes != self._lanes or self._goes_on:
            await self.forward(LanesLeft(self.name, lanes))
        self._lanes, self._goes_on = lanes, False

    async def _send(self, records: Records, receipt: Receipt, origins: Origins, now: float) -> None:
        """Emit what was read, cut to the batch limit; one receipt stands for all of it."""
        limit, count = self.around.limit, len(records)
        if count <= limit:
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

    def _check(self, lane: str, positions: Sequence[int], also: Sequence[int]) -> tuple[int, int]:
        """The first and last position; raise when one repeats or goes backwards."""
        everything: Sequence[int] = positions
        if also:
            everything = sorted([*positions, *also])
        first, last = everything[0], everything[-1]
        reached = self._reached.get(lane)
        wrong: int | None = None
        if reached is not None and first <= reached:
            wrong = first
        elif not (isinstance(everything, range) and everything.step > 0):
            previous = reached
            for position in everything:
                if previous is not None and position <= previous:
                    wrong, reached = position, previous
                    break
                previous = position
        if wrong is not None:
            what = "repeats" if wrong == reached else "goes back behind"
            raise self.failure(
                ValueError(
                    f"position {wrong} of {Origin(self.name, lane, wrong)} {what} position "
                    f"{reached}: a source numbers the records of a lane in ascending order"
                ),
                "cannot go on",
            )
        self._reached[lane] = last
        return first, last

    def _letter(self, record: object, error: Exception, lane: str, position: int) -> DeadLetter:
        origin = Origin(self.name, lane, position)
        return DeadLetter(self.around.graph, self.name, origin, record, describe(error))

    async def _give_up_input(self, letters: Batch, error: Exception) -> None:
        counts = self.each[0]
        counts.dead_letters += len(letters.records)
        outlet = self.failed[self.name]
        if not outlet.wired:
            raise JobFailed(
                f"graph {self.around.graph!r}: {letters.records[0]}\n"
                f"Nothing takes its dead letters: send {self.name}.failed or graph.failed to a "
                "sink to go on past bad records.",
                graph=self.around.graph,
                node=self.name,
            ) from error
        await outlet.send(letters)

    def _settled(self, receipt: Receipt) -> None:
        """A batch has arrived in full: note it, and what is now complete up to a position."""
        self.settled_records += receipt.records
        unsettled = self._unsettled[receipt.lane]
        while unsettled and unsettled[0].settled:
            last = unsettled.popleft().last
            self.settled_positions[receipt.lane] = last
            if self._wants_acks and self.around.checkpoints is None:
                self._acks.arrived(receipt.lane, last)
        if self._credit is not None and not self._credit.done():
            self._credit.set_result(None)
        if self._arrived is not None and not self._pending() and not self._arrived.done():
            self._arrived.set_result(None)

    def _pending(self) -> bool:
        return self.read_records > self.settled_records

    def _ack_broke(self, error: Exception) -> None:
        self._failed_beside = "could not acknowledge what has arrived", error
        if self._task is not None and not self.stopping:
            self._task.cancel()

    async def _await_acks(self) -> None:
        """Stay until all that was read has arrived, so that the source can be told."""
        if self._wants_acks and self._pending():
            self._arrived = self.around.loop.create_future()
            await self._arrived
        await self._acks.finish()
