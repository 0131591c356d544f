"""Jobs: a plan while it runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from .accounts import progress_of
from .actors import Actor, SourceActor, Surroundings
from .clock import Clock
from .context import Context
from .counters import Counters
from .course import Course
from .credit import Credit
from .errors import ThalwegError
from .jobs import jobs
from .memory import check_without_store
from .plan import Plan
from .progress import JobState, Progress
from .promises import tables_of, triggers_above
from .pushing import Delivery, Pushes
from .tables.answer import Answer
from .tables.sql import ask
from .tables.tables import Tables
from .threads import Threads
from .triggers.available import until_all_arrived
from .triggers.report import Status, TriggerReport
from .triggers.triggers import Triggers
from .wiring import started_anew, wire

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from .checkpoints.keeper import Keeper
    from .checkpoints.options import State
    from .checkpoints.recovery import Restored
    from .tuning.dials import Dials

__all__ = ["Job"]


class Job:
    """A graph while it runs. Made by `Graph.start`; enter it to open and start everything.

    >>> import asyncio
    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources
    >>> graph, out = Graph("pushed"), []
    >>> graph.read("words", sources.push()).map(str.upper).to("out", sinks.collect(out)) and None
    >>> async def main():
    ...     async with graph.start() as job:
    ...         await (await job.push("words", ["a", "b"]))
    ...     return job.state
    >>> asyncio.run(main()), out
    ('drained', ['A', 'B'])

    A job installs no signal handler and no event-loop policy, and shares nothing with another.
    Leaving the block drains it; an exception in the block cancels it.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        state: State | str | os.PathLike[str] | None = None,
        metrics: CollectorRegistry | None = None,
    ) -> None:
        self.plan = plan
        self.id = os.urandom(8).hex()
        self.name = plan.graph.name
        self.counters = Counters()
        self.tables = Tables(partial(triggers_above, plan), tables_of(plan))
        self._metrics = metrics
        self._unregister: Callable[[], None] | None = None
        self._keeper: Keeper | None = None
        if state is None:
            check_without_store(plan.graph.nodes)
        else:  # Few jobs have a store, and only they need what takes epochs.
            from .checkpoints.keeper import Keeper

            self._keeper = Keeper(plan, state)
        self._course = Course(self.name, None if self._keeper is None else self._keeper.close)
        self._triggers = Triggers(self.name, self.id, self._course)
        self._pushes = Pushes(self.name)
        self._clock: Clock | None = None

    @property
    def state(self) -> JobState:
        """What the job does, or how it ended."""
        return self._course.state

    @property
    def actors(self) -> tuple[Actor, ...]:
        """What runs, in the order of the plan; nothing before the job has begun."""
        return self._course.actors

    async def __aenter__(self) -> Job:
        """Open every operator and start. Raises JobFailed when one cannot be opened."""
        if self.state != "created":
            raise ThalwegError("a job starts once: call graph.start() for another")
        course, loop = self._course, asyncio.get_running_loop()
        self._threads = Threads(self.name, loop)
        self._clock = clock = Clock(loop)
        course.begin(loop, clock, self._threads)
        jobs.add(self)
        try:
            if self._keeper is not None:
                # A task, so that who stops the job need not wait for another copy's lease.
                await course.opening(self._keeper.open(clock, course.lost))
            if not course.stopping:
                self._build(loop, clock)
        except BaseException as error:
            await course.could_not_begin(error)
            me = asyncio.current_task()
            if not course.stopping or (me is not None and me.cancelling()):
                raise
        course.start()
        try:
            opened = [await actor.ready for actor in course.actors]
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        if not all(opened) or course.stopping:
            # One could not be opened and says why when it is closed, or somebody was quicker.
            await self.__aexit__(None, None, None)
        if course.state in ("starting", "draining") and not course.stopping:
            # A drain may have been asked for meanwhile: then nothing is read, and all else is done.
            keeper, draining = self._keeper, course.state == "draining"
            if not draining:
                course.state = "running"
            if keeper is None:
                self._triggers.begin(clock, None, None)
            else:
                self._triggers.begin(clock, keeper.coordinator, keeper.fence.lineage)
                keeper.start(course.actors)
            if draining:
                self._drain_sources()
        course.go()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, or suspend with a store, or cancel after an exception; let go of everything."""
        try:
            if error is not None:
                await self.cancel()
                failure = self._course.failure
                if failure not in (None, error) and isinstance(error, ThalwegError):
                    # What the program met, such as a lost delivery, is what came of the failure.
                    assert failure is not None
                    raise failure from error
            elif self._keeper is not None:
                await self.suspend()
            else:
                await self.drain()
        finally:
            if self._unregister is not None:
                self._unregister()
                self._unregister = None

    async def wait(self) -> None:
        """Return when the job has ended. Raises JobFailed or JobCancelled unless it ended well."""
        if self.state == "created":
            raise ThalwegError(
                f"the job of graph {self.name!r} has not begun: enter it by `async with`"
            )
        await asyncio.shield(self._course.finished)
        self._course.raise_what_came()

    async def drain(self, *, timeout: float | None = None) -> None:
        """Stop the sources, let everything that was read arrive, and end.

        After `timeout` seconds (None: no limit) the job is cancelled and JobCancelled is raised,
        which counts what was not processed. Raises JobFailed as `wait` does.
        """
        if self.state in ("starting", "running"):
            opened = self.state == "running"
            self._course.state = "draining"
            if opened:
                self._drain_sources()
        await self._end_within(timeout, self.wait)

    async def suspend(self, *, timeout: float | None = None) -> None:
        """Take a last epoch and stop: the next start on the same state goes on from there.

        Nothing ends: no window closes, no operator emits its last. After `timeout` seconds (None:
        no limit) the job is cancelled and JobCancelled is raised; then the next start goes on from
        the epoch before. Raises JobFailed as `wait` does, ThalwegError for a job without a store.
        """
        if self._keeper is None:
            raise ThalwegError(
                f"the job of graph {self.name!r} has no store to go on from: drain it instead"
            )
        await self._end_within(timeout, partial(self._suspend, self._keeper))

    async def _suspend(self, keeper: Keeper) -> None:
        course = self._course
        if course.state == "running":
            course.state = "suspending"
            sources = [one for one in self.actors if isinstance(one, SourceActor)]
            await keeper.suspend(sources, course.finished)
            course.stop()
        elif course.state == "starting":
            course.state = "suspending"
            course.stop()
        await self.wait()

    async def _end_within(
        self, timeout: float | None, ending: Callable[[], Awaitable[None]]
    ) -> None:
        """End so, or cancel: after that time, or where whoever waits for it is cancelled."""
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                await ending()
        except TimeoutError:
            if not limit.expired():
                raise
            await self.cancel()
            await self.wait()
        except asyncio.CancelledError:
            await self.cancel()
            raise

    async def stop(self, *, timeout: float | None = None) -> None:
        """Stop as leaving the block does: `suspend` where there is a store, else `drain`."""
        stop = self.drain if self._keeper is None else self.suspend
        await stop(timeout=timeout)

    async def checkpoint(self) -> int:
        """Take an epoch of all that was read by now; return its number when it is committed.

        Raises ThalwegError for a job without a store, and as `wait` does when the job stops first.
        """
        if self._keeper is None:
            raise ThalwegError(f"the job of graph {self.name!r} has no store")
        if self.state == "created":
            await self.wait()
        number = await self._keeper.checkpoint(self._course.finished)
        if number is None:
            await self.wait()
            raise ThalwegError(f"the job of graph {self.name!r} has ended")
        return number

    def adjust(
        self,
        node: str,
        *,
        max_in_flight: int | None = None,
        max_batch_size: int | None = None,
        linger: float | None = None,
    ) -> Dials:
        """Change the settings of a node that calls, or of a `batch`, while the job runs.

        What is given counts from now on, and a node that tunes itself leaves that to you; `linger`
        is in seconds. Returns what is in force. Raises ThalwegError where there is no such node or
        setting, ValueError for a wrong value.
        """
        from .adjusting import adjust  # With all that calls and tunes, which few graphs do.

        return adjust(
            self.actors,
            node,
            max_in_flight=max_in_flight,
            max_batch_size=max_batch_size,
            linger=linger,
        )

    async def cancel(self) -> None:
        """Stop at once, sources first, and count what was not processed."""
        if self.state == "created":
            await self.wait()
        if not self._course.finished.done():
            self._course.cancel()
            await asyncio.shield(self._course.finished)

    async def push(self, name: str, records: Sequence[object]) -> Delivery:
        """Feed the `push` source of this name, waiting while it is full.

        Returns a delivery: await it to know that all of these records have arrived. Raises
        JobFailed or JobCancelled when the job has stopped.
        """
        take = self._pushes.of(name, self.actors)
        if self._course.finished.done():
            await self.wait()
            raise ThalwegError(f"the job of graph {self.name!r} has ended: start another")
        try:
            return await take(records)
        except ThalwegError:
            if self._course.stopping:
                await self.wait()  # The source is closed because the job stops: say why.
            raise

    async def sql(
        self,
        query: str,
        *,
        timeout: float = 10.0,
        max_rows: int = 100_000,
        max_bytes: int = 64 * 2**20,
    ) -> Answer:
        """What a SELECT finds in the tables of the job, all as they stood at one moment.

        It runs in a thread, beside the stream, and may read and do nothing else. Raises QueryError
        for what is no such query, and for an answer of more than `max_rows` or `max_bytes`,
        QueryTimeout after `timeout` seconds, ValueError where that is not more than 0. The tables
        can be asked after the job has ended too.
        """
        return await ask(self.tables, query, timeout=timeout, rows=max_rows, size=max_bytes)

    @property
    def restored(self) -> Restored | None:
        """What the job went on from, once it has begun; None without a store."""
        return None if self._keeper is None else self._keeper.restored

    @property
    def is_active(self) -> bool:
        """Whether the job has begun and not ended."""
        return self.state in ("starting", "running", "suspending", "draining")

    def exception(self) -> BaseException | None:
        """What the job failed of; None while it has not failed."""
        return self._course.failure

    async def process_all_available(self, *, quiet: float = 0.1) -> None:
        """Return when all that the sources had to hand over has arrived everywhere.

        A source has no more when it has had nothing to hand over for `quiet` seconds; one that
        looks for news at intervals, such as for files, has then looked once more. With a store an
        epoch is taken, and committed. A source that never pauses never lets this return. Raises as
        `wait` does where the job fails or is cancelled first, ValueError for a negative number.
        """
        if self.state == "created":
            await self.wait()
        assert self._clock is not None
        await until_all_arrived(self._course, self._clock, quiet)
        if self._keeper is not None and self.state == "running":
            await self._keeper.checkpoint(self._course.finished)
        self._triggers.close()
        if self._course.finished.done():
            self._course.raise_what_came()

    @property
    def status(self) -> Status:
        """What the job does at this moment, in Spark's field names. Safe from any thread."""
        return self._triggers.status()

    @property
    def last_progress(self) -> TriggerReport | None:
        """What the job did in its last trigger, in Spark's field names; None before the first.

        With a store a trigger is an epoch. Without one it is what passed since somebody looked
        before, a second ago or more. `progress()` has the totals. Safe from any thread.
        """
        return self._triggers.last()

    @property
    def recent_progress(self) -> list[TriggerReport]:
        """The last hundred triggers, the oldest first. Safe from any thread."""
        return self._triggers.recent()

    def progress(self) -> Progress:
        """What the job has done so far: plain numbers, cheap, and safe to read from any thread.

        These are totals. `last_progress` tells the last trigger alone, in Spark's field names.
        """
        now, seconds = 0.0, 0.0
        if self._clock is not None:
            now, lasted = self._clock.monotonic(), self._course.lasted
            seconds = lasted if lasted is not None else now - self._course.began
        epochs = None if self._keeper is None else self._keeper.progress(now)
        return progress_of(
            self.actors,
            now,
            job_id=self.id,
            name=self.name,
            state=self.state,
            seconds=seconds,
            epochs=epochs,
        )

    def _build(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        graph, credit = self.plan.graph, Credit(self._course)
        around = Surroundings(
            graph.name,
            loop,
            clock,
            limit=graph.max_batch_size,
            context=self._context,
            starved=credit.starved,
            held_up=credit.held_up,
            suspended=self._suspended,
            credit_changed=credit.changed,
            checkpoints=None if self._keeper is None else self._keeper.coordinator,
            anew=started_anew(self.plan),
            triggered=self._triggers.triggered,
        )
        self._course.actors = wire(self.plan, around)
        if self._metrics is not None:
            from .metrics import export

            self._unregister = export(self, self._metrics)

    def _context(self, node: str) -> Context:
        return Context(
            self.name,
            node,
            thread=self._threads.run,
            compute=self._threads.compute,
            counters=self.counters,
            fence=None if self._keeper is None else self._keeper.fence,
            folder=None if self._keeper is None else self._keeper.folder,
            tables=self.tables,
        )

    def _drain_sources(self) -> None:
        for actor in self.actors:
            if isinstance(actor, SourceActor):
                actor.drain()

    def _suspended(self) -> bool:
        course = self._course
        return course.state == "suspending" and not course.failure and not course.cancelled
