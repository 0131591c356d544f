"""The course of a job: the tasks of its actors, from their start to what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from .accounts import left_behind
from .actors import Actor
from .clock import Clock
from .errors import JobCancelled, JobFailed
from .progress import JobState
from .stopping import PATIENCE, Stopping
from .threads import Threads

__all__ = ["Course"]


class Course:
    """Runs the actors of a job as tasks, keeps the first failure, and ends when all have ended.

    Parameters: `graph`, its name; `close`, what lets go of the state of the job when everything
    else has ended, or None where it has none.
    """

    actors: tuple[Actor, ...] = ()
    state: JobState = "created"
    failure: BaseException | None = None
    """The first thing that went wrong."""
    cancelled: JobCancelled | None = None
    """Somebody cancelled the job; what it left is told when it has ended."""
    stopping = False
    """Whether the actors are being cancelled."""
    lasted: float | None = None
    """Seconds that the job ran, once it has ended."""
    finished: asyncio.Future[None]

    def __init__(self, graph: str, close: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        self._graph = graph
        self._close = close
        self._tasks: dict[asyncio.Task[None], Actor] = {}
        self._left = 0
        self._opening: asyncio.Task[None] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop, clock: Clock, threads: Threads) -> None:
        """The job starts, on this loop, by this clock, with these threads."""
        self._loop = loop
        self._clock = clock
        self._threads = threads
        self.began = clock.monotonic()
        self.finished = loop.create_future()
        self._stopping = Stopping(self._tasks, loop, self._give_up)
        self._go = asyncio.Event()
        self.state = "starting"

    async def opening(self, something: Coroutine[Any, Any, None]) -> None:
        """Await what comes before there are actors; to stop the job cancels it."""
        self._opening = self._loop.create_task(something)
        await self._opening

    def start(self) -> None:
        """Give each actor a task, in which it opens."""
        for actor in self.actors:
            task = self._loop.create_task(
                actor.run(self._go),
                name=f"thalweg:{self._graph}/{actor.name}",
                context=actor.variables,
            )
            self._tasks[task] = actor
            self._left += 1
            task.add_done_callback(self._actor_done)
        if not self._tasks:
            self._finish()

    def go(self) -> None:
        """All are open: let them work."""
        self._go.set()

    def cancel(self) -> None:
        """Somebody wants the job to stop at once."""
        self.cancelled = self.cancelled or JobCancelled("", unprocessed={}, settled={})
        self.stop()

    def stop(self) -> None:
        """Cancel every actor, in the order of the plan, and again while one does not stop."""
        if self.stopping:
            return
        self.stopping = True
        self._go.set()
        if self._opening is not None:
            self._opening.cancel()
        self._stopping.begin()

    def lost(self, error: BaseException) -> None:
        """The state cannot be kept any more: that fails the job."""
        if self.failure is None and not self.finished.done():
            self.failure = JobFailed(
                f"graph {self._graph!r}: {error}", graph=self._graph, node="state"
            )
            self.failure.__cause__ = error
            self.stop()

    async def could_not_begin(self, error: BaseException) -> None:
        """Nothing has run yet: let go of the state, and tell everyone who waits."""
        if self._close is not None:
            await self._close()
        if not self.stopping:
            if isinstance(error, Exception):
                self.failure = error
            else:
                self.cancelled = JobCancelled("", unprocessed={}, settled={})
        self.lasted = self._clock.monotonic() - self.began
        self._conclude()

    def raise_what_came(self) -> None:
        """Raise the failure of the job that has ended, or that it was cancelled."""
        if self.failure is not None:
            raise self.failure
        if self.cancelled is not None:
            raise self.cancelled

    def _actor_done(self, task: asyncio.Task[None]) -> None:
        actor = self._tasks[task]
        if not actor.ready.done():
            actor.ready.set_result(False)  # Cancelled before its first turn.
        error = None if task.cancelled() else task.exception()
        if error is not None and self.failure is None:
            self.failure = error
            if not isinstance(error, JobFailed) and isinstance(error, Exception):
                self.failure = actor.failure(error, "failed")
                self.failure.__cause__ = error
        elif task.cancelled() and not self.stopping and self.failure is None:
            # Nobody of ours cancelled it: user code raised CancelledError, or cancelled the task.
            self.failure = actor.failure(
                asyncio.CancelledError("cancelled by something inside it"), "stopped"
            )
        # One that had done its work and only could not close holds up none of the others.
        if self.failure is not None and not actor.work_done:
            self.stop()
        # Counted here, not asked of the tasks: two may be done before either is looked at.
        self._left -= 1
        if not self._left:
            self._finish()

    def _give_up(self, names: Sequence[str]) -> None:
        """These actors go on whatever one does: end without them."""
        if self.failure is None:
            self.failure = JobFailed(
                f"graph {self._graph!r}: {names} did not stop within {PATIENCE:g} s of being "
                "cancelled: something in them swallows CancelledError",
                graph=self._graph,
                node=names[0],
            )
        self._finish()

    def _finish(self) -> None:
        if self.finished.done():
            return
        self.lasted = self._clock.monotonic() - self.began
        if self._close is None:
            self._conclude()
            return
        # Its last act: the next copy of the job need not wait for this one's state.
        closing = self._loop.create_task(self._close())
        closing.add_done_callback(self._conclude)

    def _conclude(self, closing: asyncio.Task[None] | None = None) -> None:
        if closing is not None and not closing.cancelled() and (error := closing.exception()):
            self.failure = self.failure or error
        if self.finished.done():
            return
        self._threads.close()
        if self.failure is not None:
            self.state = "failed"
        elif self.cancelled is not None:
            self.state = "cancelled"
            self.cancelled = left_behind(self._graph, self.actors)
        elif self.state == "suspending" and self.stopping:
            self.state = "suspended"
        else:
            self.state = "drained" if self.state == "draining" else "ended"
        self.finished.set_result(None)
