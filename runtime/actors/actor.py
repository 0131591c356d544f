"""What every actor is: one task with one inbox, which opens, works and closes its operator."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING

from ..batch import Batch
from ..checkpoints.parts import Part
from ..counts import ActorCounts, Latency, NodeCounts
from ..errors import JobFailed
from ..nodes import Node
from ..origins import Origins
from ..outlet import Outlet
from ..receipt import Receipt
from ..signals import Barrier, End, Signal, Trigger
from .rejection import Letters, Refused, Rejection
from .surroundings import Surroundings

if TYPE_CHECKING:
    from ..channel import Inbox, Run
    from ..checkpoints.coordinator import Coordinator
    from ..endpoint_statistics import EndpointStatistics
    from ..lanes import Lanes
    from ..memory import Kept
    from ..progress import CallProgress
    from .regroup_actor import RegroupActor

__all__ = ["Actor"]

TURN = 0.005
"""Seconds an actor may work before it lets the others run."""

TURN_RECORDS = 1024
"""Records an actor may pass on before it lets the others run: what it made is then still in the
processor's cache when the next actor reads it."""

_CLOSING = 10.0
"""Seconds an operator has to close."""


class Actor(ABC):
    """One task: it owns the loop around its nodes, so that they need none."""

    latency: Latency | None = None
    """What the actor of a sink knows of how long records took to it."""

    def __init__(self, name: str, nodes: Sequence[Node], around: Surroundings) -> None:
        self.name = name
        self.nodes = tuple(nodes)
        self.around = around
        self.counts = ActorCounts()
        self.each = [NodeCounts(n.name, n.kind, n.options.fail_after) for n in nodes]
        self.rejection = Rejection(around.graph, self.nodes)
        self.monotonic = around.clock.monotonic
        self.inbox: Inbox | None = None
        self.variables = copy_context()
        self.outlets = {port: Outlet(self.counts, self.monotonic) for port in self.nodes[-1].ports}
        self.failed = {node.name: Outlet(self.counts, self.monotonic) for node in nodes}
        self.ready: asyncio.Future[bool] = around.loop.create_future()
        self.work_done = False
        self.stopping = False
        self._resumed = 0.0
        self._spent = 0
        self._handing = 0
        self._batch: Batch | None = None

    async def run(self, go: asyncio.Event) -> None:
        """The actor's whole life, in one task, so that what it opens it also closes."""
        self.counts.state = "opening"
        try:
            try:
                await self.open()
            except BaseException as error:
                self.counts.state = "failed"
                self.ready.set_result(False)
                if isinstance(error, Exception):
                    raise self.failure(error, "could not be opened") from error
                raise
            self.ready.set_result(True)
            await go.wait()
            self.counts.state = "running"
            self._resumed = self.counts.began = self.monotonic()
            await self.work()
            await self._come_to_end()
            self.work_done = True
            self.counts.state = "ended"
        except asyncio.CancelledError:
            self.counts.state = "cancelled"
            raise
        except BaseException as error:
            self.counts.state = "failed"
            if isinstance(error, JobFailed) or not isinstance(error, Exception):
                raise
            raise self.failure(error, "failed", self.came_from()) from error
        finally:
            self.stopping = True
            self.counts.ended = self.monotonic()
            await self._close()

    async def _close(self) -> None:
        ended_well = self.counts.state == "ended" or self.around.suspended()
        try:
            async with asyncio.timeout(_CLOSING):
                await self.close()
        except TimeoutError as error:
            if ended_well:
                self.counts.state = "failed"
                raise self.failure(error, f"did not close within {_CLOSING:g} s") from error
        except Exception as error:
            # After an earlier failure that one is the news; this one would only hide it.
            if ended_well:
                self.counts.state = "failed"
                if isinstance(error, JobFailed):
                    raise
                raise self.failure(error, "could not be closed") from error

    async def open(self) -> None:
        """Open the operator."""

    async def close(self) -> None:
        """Close the operator."""

    @abstractmethod
    async def work(self) -> None:
        """Read, work and emit until the end."""

    async def receive(self, seconds: float | None = None) -> Batch | Signal | None:
        """The next item; None after `seconds`, or when woken for another reason."""
        assert self.inbox is not None
        item = self.inbox.take()
        if item is None:
            await self.await_input(seconds)
            item = self.inbox.take()
        return item

    async def next_run(self) -> Run | None:
        """The batches that have come; signals are passed on, and None is the end."""
        assert self.inbox is not None
        while True:
            run = self.inbox.take_run()
            if run is None:
                await self.await_input()
            elif isinstance(run, deque):
                return run
            else:
                await self.forward(run)
                if isinstance(run, End):
                    return None

    async def await_input(self, seconds: float | None = None) -> None:
        """Return when there may be something to read, when woken, or after `seconds`."""
        assert self.inbox is not None
        self.counts.input.begin(self.monotonic())
        try:
            await self.inbox.wait(seconds)
        finally:
            self._spent = 0
            self._resumed = now = self.monotonic()
            self.counts.input.end(now)

    @property
    def holding(self) -> int:
        """The records that were taken in and not yet handed over.

        Read from other threads too: what may change meanwhile is copied in one step first.
        """
        batch = self._batch
        return len(batch.records) if batch is not None else 0

    @property
    def kept(self) -> Kept | None:
        """What its operator remembers, where it has keyed memory."""
        return None

    @property
    def lanes(self) -> Lanes | None:
        """How far each lane has come in event time, where it tells that."""
        return None

    def calls(self) -> CallProgress | None:
        """How its calls do, where they may be repeated."""
        return None

    def endpoints(self) -> tuple[EndpointStatistics, ...]:
        """How each endpoint stands, where several may answer a call."""
        return ()

    def fed_by(self, feeder: RegroupActor) -> None:
        """This one cuts the batches, and nobody else reads them."""

    def came_from(self) -> Origins | None:
        """Where the records of the batch at hand came from."""
        return self._batch.came_from() if self._batch is not None else None

    async def emit(self, batch: Batch, port: str = "out") -> None:
        """Send a batch on, and let others run when it has been long."""
        self._handing = len(batch.records)
        self._spent += self._handing + 1
        waited = await self.outlets[port].send(batch)
        self._handing = 0
        if waited:
            self._spent = 0
            self._resumed = self.monotonic()
        elif self._spent > TURN_RECORDS or self.tired():
            await self.rest()

    async def emit_all(self, batches: deque[Batch], records: int) -> None:
        """As `emit`, for batches of so many records together; what is sent is taken off."""
        self._spent += records + len(batches)
        if await self.outlets["out"].send_all(batches, records):
            self._spent = 0
            self._resumed = self.monotonic()
        elif self._spent > TURN_RECORDS or self.tired():
            await self.rest()

    async def rest(self) -> None:
        """Let the others run."""
        began = self.monotonic()
        await asyncio.sleep(0)
        self._spent = 0
        self._resumed = now = self.monotonic()
        self.counts.rested += now - began

    def tired(self) -> bool:
        """Whether this actor has worked long enough for one turn."""
        return self.monotonic() - self._resumed > TURN

    async def forward(self, signal: Signal) -> None:
        """Send a signal to every port, the failed ones too; at a barrier, save first."""
        keeper = self.around.checkpoints
        if type(signal) is not Barrier or keeper is None:
            for outlet in (*self.outlets.values(), *self.failed.values()):
                await outlet.signal(signal)
            if type(signal) is Trigger and self.around.triggered is not None:
                self.around.triggered(self.name, signal.number)
            return
        part = await self.save(signal.epoch)
        for outlet in (*self.outlets.values(), *self.failed.values()):
            await outlet.signal(signal)
        keeper.passed(self, signal.epoch, part)

    async def save(self, epoch: int) -> Part:
        """What belongs to the epoch whose barrier has come; nothing, for most."""
        return Part()

    async def _come_to_end(self) -> None:
        """With a store, add to an epoch once more, and stay until that is committed if need be."""
        keeper = self.around.checkpoints
        if keeper is not None:
            part = await self.save_end(keeper)
            await self.linger(keeper.ended(self, part))

    async def save_end(self, keeper: Coordinator) -> Part:
        """What belongs to the epoch that holds the end of this actor, and to all after it."""
        return Part()

    async def linger(self, let_go: asyncio.Future[None]) -> None:
        """Stay for as long as the epoch that holds the end may still want something."""

    def inject(self, barrier: Barrier) -> None:
        """Send a barrier into the stream; only a source does."""

    def commits(self) -> str | None:
        """The name of the sink that commits, if this is the actor of one."""
        return None

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Commit what was prepared for an epoch; only a sink has something."""

    def acknowledge(self, part: Part) -> None:
        """What this part holds is stored and committed."""

    async def end(self) -> None:
        """Tell everyone downstream that nothing follows."""
        await self.forward(End())

    async def give_up(
        self,
        counts: NodeCounts,
        bad: Sequence[Refused],
        batch: Batch,
        *,
        receipt: Receipt,
        count: int,
        base: int = 0,
    ) -> None:
        """Send bad records to the failed port of their node.

        `receipt` is a claim of their own; they stand among the `count` records from `base` on.
        """
        letters = self.rejection.letters(counts, bad, batch, count=count, base=base)
        await self.give_up_letters(counts, letters, bad[0][2], receipt, batch.born)

    async def give_up_letters(
        self,
        counts: NodeCounts,
        letters: Letters,
        error: Exception,
        receipt: Receipt,
        born: float,
    ) -> None:
        """Send these dead letters on; where nobody takes them, the first fails the job."""
        outlet = self.failed[counts.node]
        counts.dead_letters += len(letters.records)
        if not outlet.wired:
            raise self.rejection.unheard(counts, letters.records[0], error) from error
        if letters.broken:
            raise self.rejection.not_the_data(counts, letters, error) from error
        await outlet.send(Batch(letters.records, receipt, letters.origins, born))

    def failure(self, error: BaseException, what: str, origins: Origins | None = None) -> JobFailed:
        """The failure of this job by this actor, in words."""
        return self.rejection.failure(error, what, origins)
