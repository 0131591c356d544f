"""Jobs: a plan while it runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from .accounts import left_behind, progress_of
from .actors import Actor, RegroupActor, SourceActor, Surroundings
from .adjusting import adjust
from .checkpoints.keeper import Keeper
from .checkpoints.manifest import check_without_store
from .checkpoints.options import State
from .checkpoints.recovery import Restored
from .clock import Clock
from .context import Context
from .counters import Counters
from .errors import JobCancelled, JobFailed, ThalwegError
from .plan import Plan
from .progress import JobState, Progress
from .pushing import Delivery, Pushes
from .stopping import PATIENCE, Stopping
from .threads import Threads
from .tuning.dials import Dials
from .wiring import started_anew, wire

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

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
        self.state: JobState = "created"
        self.actors: tuple[Actor, ...] = ()
        self._metrics = metrics
        self._unregister: Callable[[], None] | None = None
        self._keeper = None if state is None else Keeper(plan, state)
        if self._keeper is None:
            check_without_store(plan)
        self._tasks: dict[asyncio.Task[None], Actor] = {}
        self._failure: BaseException | None = None
        self._cancelled: JobCancelled | None = None
        self._cancelling = False
        self._left = 0
        self._pushes = Pushes(self.name)
        self._opening: asyncio.Task[None] | None = None
        self._clock: Clock | None = None
        self._began = 0.0
        self._lasted: float | None = None

    async def __aenter__(self) -> Job:
        """Open every operator and start. Raises JobFailed when one cannot be opened."""
        if self.state != "created":
            raise ThalwegError("a job starts once: call graph.start() for another")
        self._loop = asyncio.get_running_loop()
        self._threads = Threads(self.name, self._loop)
        self._stopping = Stopping(self._tasks, self._loop, self._give_up)
        self._clock = Clock(self._loop)
        self._began = self._clock.monotonic()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._go = asyncio.Event()
        self.state = "starting"
        try:
            if self._keeper is not None:
                # A task, so that who stops the job need not wait for another copy's lease.
                self._opening = self._loop.create_task(self._keeper.open(self._clock, self._lost))
                await self._opening
            if not self._cancelling:
                self._build()
        except BaseException as error:
            await self._could_not_begin(error)
            me = asyncio.current_task()
            if not self._cancelling or (me is not None and me.cancelling()):
                raise
        for actor in self.actors:
            task = self._loop.create_task(
                actor.run(self._go),
                name=f"thalweg:{self.name}/{actor.name}",
                context=actor.variables,
            )
            self._tasks[task] = actor
            self._left += 1
            task.add_done_callback(self._actor_done)
        if not self._tasks:
            self._finish()
        try:
            opened = [await actor.ready for actor in self.actors]
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        if not all(opened) or self._cancelling:
            # One could not be opened and says why when it is closed, or somebody was quicker.
            await self.__aexit__(None, None, None)
        if self.state == "starting":
            self.state = "running"
            if self._keeper is not None:
                self._keeper.start(self.actors)
        self._go.set()
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
                failure = self._failure
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
        await asyncio.shield(self._finished)
        if self._failure is not None:
            raise self._failure
        if self._cancelled is not None:
            raise self._cancelled

    async def drain(self, *, timeout: float | None = None) -> None:
        """Stop the sources, let everything that was read arrive, and end.

        After `timeout` seconds (None: no limit) the job is cancelled and JobCancelled is raised,
        which counts what was not processed. Raises JobFailed as `wait` does.
        """
        if self.state in ("starting", "running"):
            self.state = "draining"
            for actor in self.actors:
                if isinstance(actor, SourceActor):
                    actor.drain()
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                await self.wait()
        except TimeoutError:
            if not limit.expired():
                raise
            await self.cancel()
            await self.wait()
        except asyncio.CancelledError:
            await self.cancel()
            raise

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
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                if self.state == "running":
                    self.state = "suspending"
                    sources = [one for one in self.actors if isinstance(one, SourceActor)]
                    await self._keeper.suspend(sources, self._finished)
                    self._stop()
                elif self.state == "starting":
                    self.state = "suspending"
                    self._stop()
                await self.wait()
        except TimeoutError:
            if not limit.expired():
                raise
            await self.cancel()
            await self.wait()
        except asyncio.CancelledError:
            await self.cancel()
            raise

    async def checkpoint(self) -> int:
        """Take an epoch of all that was read by now; return its number when it is committed.

        Raises ThalwegError for a job without a store, and as `wait` does when the job stops first.
        """
        if self._keeper is None:
            raise ThalwegError(f"the job of graph {self.name!r} has no store")
        if self.state == "created":
            await self.wait()
        number = await self._keeper.checkpoint(self._finished)
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
        if not self._finished.done():
            self._cancelled = self._cancelled or JobCancelled("", unprocessed={}, settled={})
            self._stop()
            await asyncio.shield(self._finished)

    async def push(self, name: str, records: Sequence[object]) -> Delivery:
        """Feed the `push` source of this name, waiting while it is full.

        Returns a delivery: await it to know that all of these records have arrived. Raises
        JobFailed or JobCancelled when the job has stopped.
        """
        take = self._pushes.of(name, self.actors)
        if self._finished.done():
            await self.wait()
            raise ThalwegError(f"the job of graph {self.name!r} has ended: start another")
        try:
            return await take(records)
        except ThalwegError:
            if self._cancelling:
                await self.wait()  # The source is closed because the job stops: say why.
            raise

    @property
    def restored(self) -> Restored | None:
        """What the job went on from, once it has begun; None without a store."""
        return None if self._keeper is None else self._keeper.restored

    def progress(self) -> Progress:
        """What the job has done so far: plain numbers, cheap, and safe to read from any thread."""
        now = self._clock.monotonic() if self._clock is not None else 0.0
        sources = [actor for actor in self.actors if isinstance(actor, SourceActor)]
        nodes = tuple(one for actor in self.actors for one in progress_of(actor, now))
        return Progress(
            id=self.id,
            name=self.name,
            state=self.state,
            timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
            seconds=self._lasted if self._lasted is not None else now - self._began,
            read=sum(actor.read_records for actor in sources),
            settled=sum(actor.settled_records for actor in sources),
            dead_letters=sum(node.dead_letters for node in nodes),
            nodes=nodes,
            epochs=None if self._keeper is None else self._keeper.progress(now),
        )

    def _build(self) -> None:
        graph = self.plan.graph
        assert self._clock is not None
        around = Surroundings(
            graph.name,
            self._loop,
            self._clock,
            limit=graph.max_batch_size,
            context=self._context,
            starved=self._starved,
            credit_changed=self._credit_changed,
            checkpoints=None if self._keeper is None else self._keeper.coordinator,
            anew=started_anew(self.plan),
        )
        self.actors = wire(self.plan, around)
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
        )

    def _starved(self) -> bool:
        """Whether every source that could still read waits for what is under way."""
        live = [a for a in self.actors if isinstance(a, SourceActor) and not a.finished]
        return bool(live) and all(actor.waits_for_credit for actor in live)

    def _credit_changed(self) -> None:
        if self._starved():
            for actor in self.actors:
                if isinstance(actor, RegroupActor) and actor.inbox is not None:
                    actor.inbox.wake()

    def _lost(self, error: BaseException) -> None:
        """The state cannot be kept any more: that fails the job."""
        if self._failure is None and not self._finished.done():
            self._failure = JobFailed(
                f"graph {self.name!r}: {error}", graph=self.name, node="state"
            )
            self._failure.__cause__ = error
            self._stop()

    def _actor_done(self, task: asyncio.Task[None]) -> None:
        actor = self._tasks[task]
        if not actor.ready.done():
            actor.ready.set_result(False)  # Cancelled before its first turn.
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failure is None:
            self._failure = error
            if not isinstance(error, JobFailed) and isinstance(error, Exception):
                self._failure = actor.failure(error, "failed")
                self._failure.__cause__ = error
        elif task.cancelled() and not self._cancelling and self._failure is None:
            # Nobody of ours cancelled it: user code raised CancelledError, or cancelled the task.
            self._failure = actor.failure(
                asyncio.CancelledError("cancelled by something inside it"), "stopped"
            )
        if self._failure is not None and not self._closing_only(actor):
            self._stop()
        # Counted here, not asked of the tasks: two may be done before either is looked at.
        self._left -= 1
        if not self._left:
            self._finish()

    async def _could_not_begin(self, error: BaseException) -> None:
        """Nothing has run yet: let go of the state, and tell everyone who waits."""
        if self._keeper is not None:
            await self._keeper.close()
        if not self._cancelling:
            if isinstance(error, Exception):
                self._failure = error
            else:
                self._cancelled = JobCancelled("", unprocessed={}, settled={})
        assert self._clock is not None
        self._lasted = self._clock.monotonic() - self._began
        self._conclude()

    def _closing_only(self, actor: Actor) -> bool:
        """Whether this actor had done its work and only could not close: the others go on."""
        return actor.work_done

    def _stop(self) -> None:
        """Cancel every actor, in the order of the plan, and again while one does not stop."""
        if self._cancelling:
            return
        self._cancelling = True
        self._go.set()
        if self._opening is not None:
            self._opening.cancel()
        self._stopping.begin()

    def _give_up(self, names: Sequence[str]) -> None:
        """These actors go on whatever one does: end without them."""
        if self._failure is None:
            self._failure = JobFailed(
                f"graph {self.name!r}: {names} did not stop within {PATIENCE:g} s of being "
                "cancelled: something in them swallows CancelledError",
                graph=self.name,
                node=names[0],
            )
        self._finish()

    def _finish(self) -> None:
        if self._finished.done():
            return
        assert self._clock is not None
        self._lasted = self._clock.monotonic() - self._began
        if self._keeper is None:
            self._conclude()
            return
        # Its last act: the next copy of the job need not wait for this one's state.
        closing = self._loop.create_task(self._keeper.close())
        closing.add_done_callback(self._conclude)

    def _conclude(self, closing: asyncio.Task[None] | None = None) -> None:
        if closing is not None and not closing.cancelled() and (error := closing.exception()):
            self._failure = self._failure or error
        if self._finished.done():
            return
        self._threads.close()
        if self._failure is not None:
            self.state = "failed"
        elif self._cancelled is not None:
            self.state = "cancelled"
            self._cancelled = left_behind(self.name, self.actors)
        elif self.state == "suspending" and self._cancelling:
            self.state = "suspended"
        else:
            self.state = "drained" if self.state == "draining" else "ended"
        self._finished.set_result(None)
