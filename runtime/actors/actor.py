"""What every actor is: one task with one inbox, which opens, works and closes its operator."""

from __future__ import annotations

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING

from ..batch import Batch, Records
from ..checkpoints.parts import Part
from ..clock import Clock
from ..context import Context
from ..counts import ActorCounts, Latency, NodeCounts, streak
from ..dead_letters import dead_letter, describe, location
from ..errors import JobFailed
from ..nodes import Node
from ..origins import Origin, Origins
from ..outlet import Outlet
from ..receipt import Receipt
from ..signals import Barrier, End, Signal
from ..trail import Trail

if TYPE_CHECKING:
    from ..channel import Inbox, Run
    from ..checkpoints.coordinator import Coordinator

__all__ = ["Actor", "Surroundings"]

TURN = 0.005
"""Seconds an actor may work before it lets the others run."""

TURN_RECORDS = 1024
"""Records an actor may pass on before it lets the others run: what it made is then still in the
processor's cache when the next actor reads it."""

_CLOSING = 10.0
"""Seconds an operator has to close."""


class Surroundings:
    """What the job gives to each of its actors."""

    __slots__ = (
        "anew",
        "chance",
        "checkpoints",
        "clock",
        "context",
        "credit_changed",
        "graph",
        "limit",
        "loop",
        "starts",
        "starved",
    )

    def __init__(
        self,
        graph: str,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        *,
        limit: int,
        context: Callable[[str], Context],
        starved: Callable[[], bool],
        credit_changed: Callable[[], None],
        checkpoints: Coordinator | None = None,
        anew: frozenset[str] = frozenset(),
    ) -> None:
        self.graph = graph
        self.loop = loop
        self.clock = clock
        self.limit = limit
        self.context = context
        self.starved = starved
        self.credit_changed = credit_changed
        self.checkpoints = checkpoints
        self.anew = anew
        """The sources that count their records from 0 after each start."""
        self.chance: Callable[[], random.Random] = getattr(loop, "chance", random.Random)
        """Chance for who retries; a loop that repeats a run has its own."""
        self.starts = checkpoints.restored.held.token if checkpoints is not None else 0
        """How often the job has been started on its state."""


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
        ended_well = self.counts.state == "ended"
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
        bad: Sequence[tuple[int | None, object, Exception, Trail | None]],
        batch: Batch,
        *,
        receipt: Receipt,
        count: int,
        base: int = 0,
    ) -> None:
        """Send bad records, as (index, record, error, tries), to the failed port of their node.

        `receipt` is a claim of their own; they stand among the `count` records from `base` on.
        """
        graph, node = self.around.graph, counts.node
        letters: Records = [
            dead_letter(graph, node, self._origin(batch, index), record, error, trail)
            for index, record, error, trail in bad
        ]
        counts.dead_letters += len(letters)
        outlet = self.failed[node]
        first = bad[0]
        if not outlet.wired:
            raise JobFailed(
                f"graph {graph!r}: {letters[0]}{self._declared(first[2], node)}\n"
                f"Nothing takes its dead letters: send {node}.failed or graph.failed to a sink "
                "to go on past bad records.",
                graph=graph,
                node=node,
            ) from first[2]
        known = sorted(item[0] for item in bad if item[0] is not None)
        if len(known) == len(bad):
            longest, counts.streak = streak([i - base for i in known], count, counts.streak)
        else:
            longest = 0
        if counts.fail_after is not None and longest >= counts.fail_after:
            raise JobFailed(
                f"graph {graph!r}: {letters[-1]}{self._declared(first[2], node)}\n"
                f"{longest} records in a row have failed at {node!r}, with none between "
                "them that passed: it is not the data "
                f"(fail_after={counts.fail_after}).",
                graph=graph,
                node=node,
            ) from first[2]
        origins = batch.came_from()
        if origins is not None:
            whole = len(known) == len(bad)
            origins = origins.take(known) if whole else origins.blur(len(bad))
        await outlet.send(Batch(letters, receipt, origins, batch.born))

    def failure(self, error: BaseException, what: str, origins: Origins | None = None) -> JobFailed:
        """The failure of this job by this actor, in words."""
        where = f" on {origins.span()}" if origins is not None else ""
        node = self.nodes[-1].name
        return JobFailed(
            f"graph {self.around.graph!r}: {node!r} {what}{where}: {describe(error)}"
            + self._declared(error, node),
            graph=self.around.graph,
            node=node,
        )

    def _declared(self, error: BaseException, name: str) -> str:
        """Where the node stands in the graph file, when the error names no line of the user's."""
        declared = next((node.where for node in self.nodes if node.name == name), None)
        if declared is None or location(error) is not None:
            return ""
        return f" ({name} is declared at {declared})"

    @staticmethod
    def _origin(batch: Batch, index: int | None) -> Origin | None:
        origins = batch.came_from()
        if origins is None:
            return None
        with contextlib.suppress(IndexError):
            origin = origins.blur(1).at(0) if index is None else origins.at(index)
            return origin if origin.source else None
        return None
