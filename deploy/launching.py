"""Runs a job to its end as a program does: signals, progress, health, exit status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Generator
from types import FrameType
from typing import TYPE_CHECKING

from ..runtime.errors import (
    JobCancelled,
    JobFailed,
    StateLost,
    StateUnavailable,
    ThalwegError,
)
from ..runtime.graph import Graph
from .address import Address
from .collector import calm_collector
from .event_loop import loop_factory
from .exit_status import ExitStatus
from .reporter import Form, Reporter, ReportingHandler
from .reporting import dead_letter_sinks, left_undone, summary
from .running_jobs import RunningJob, told
from .watchdog import Watchdog

if TYPE_CHECKING:
    from ..runtime.checkpoints.options import State
    from ..runtime.job import Job
    from .http import HttpServer

__all__ = ["Launcher"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Launcher:
    """Starts a graph and stays with it until it has ended.

    SIGTERM and SIGINT drain the job, or suspend it where it has a store; a second one cancels it;
    a third ends the process at once, as it would have without us. Parameters: `http`, where to
    tell metrics and health, or None; `drain_timeout`, seconds a drain may take; `form`, how to
    show progress; `show_traceback`, whether a failure is told with its traceback; `state`, where
    the job keeps its epochs.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        http: Address | None,
        drain_timeout: float,
        form: Form,
        state: State | None = None,
        show_traceback: bool = False,
    ) -> None:
        self._graph = graph
        self._http = http
        self._drain_timeout = drain_timeout
        self._form: Form = form
        self._state = state
        self._show_traceback = show_traceback
        self._bad = dead_letter_sinks(graph)

    def run(self) -> ExitStatus:
        """Run to the end. Raises GraphError, AddressError or MissingExtra before anything runs."""
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(self._run())

    async def _run(self) -> ExitStatus:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            registry = address = None
            if self._http is not None:
                from ..runtime.metrics import new_registry

                registry = new_registry()
            job = self._graph.start(state=self._state, metrics=registry)
            reporter = Reporter(sys.stderr, self._form, job.progress, self._bad)
            watchdog = Watchdog(loop, reporter.say)
            if self._http is not None and registry is not None:
                from .adjusting import adjuster
                from .answering import asker
                from .http import HttpServer, Pages

                drawing = {**job.plan.as_dict(), "mermaid": job.plan.mermaid()}
                pages = Pages(
                    registry,
                    job.progress,
                    lambda: drawing,
                    watchdog.blocked,
                    adjuster(job, asyncio.get_running_loop()),
                    lambda: job.status,
                    lambda: job.recent_progress,
                    asker(job),
                )
                server = HttpServer(self._http, pages)
                server.start()
                stack.callback(server.stop)  # the last to stop
                _announce(server, reporter, sql=pages.sql is not None)
                address = str(server.address.near)
            running = RunningJob(job.name, job.id, os.getpid(), address)
            try:
                stack.enter_context(told(running))
            except ThalwegError as error:
                reporter.say(f"thalweg: {job.name} is not found by its name: {error}")
            reporter.start()
            stack.callback(reporter.stop)
            stack.enter_context(_logging_to(reporter))
            watchdog.start()
            stack.callback(watchdog.stop)
            return await self._follow(job, reporter)

    async def _follow(self, job: Job, reporter: Reporter) -> ExitStatus:
        main = asyncio.current_task()
        assert main is not None
        what = "draining" if self._state is None else "suspending"
        stops = _Stops(asyncio.get_running_loop(), reporter.say, what, self._drain_timeout)

        def give_up_opening(_: object) -> None:
            if job.state in ("created", "starting"):
                main.cancel()

        stops.first.add_done_callback(give_up_opening)
        status = ExitStatus.FINE
        undone = ""
        with stops:
            try:
                async with job:
                    _say_where(job, reporter)
                    with calm_collector():
                        await self._supervise(job, stops)
            except asyncio.CancelledError:
                if not stops.first.done():
                    raise
                reporter.say(f"thalweg: {job.name} was stopped before it began")
            except JobCancelled as error:
                status, undone = ExitStatus.CANCELLED, f"thalweg: {left_undone(error)}"
            except (StateLost, StateUnavailable) as error:
                # Not a mistake of the graph's, and it may pass: another start may do better.
                reporter.say(f"thalweg: {error}")
                return ExitStatus.FAILED
            except JobFailed as error:
                status, undone = ExitStatus.FAILED, f"thalweg: {error}"
                if self._show_traceback:
                    undone = "".join(traceback.format_exception(error)).rstrip() + "\n" + undone
        if self._form != "none":
            reporter.say(summary(job.progress(), self._bad))
        if undone:
            reporter.say(undone)
        return status

    async def _supervise(self, job: Job, stops: _Stops) -> None:
        """Until the job ends: drain it at the first signal, cancel it at the second."""
        waiting = asyncio.ensure_future(job.wait())
        await asyncio.wait({waiting, stops.first}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            stop = job.drain if self._state is None else job.suspend
            draining = asyncio.ensure_future(stop(timeout=self._drain_timeout))
            await asyncio.wait({draining, stops.second}, return_when=asyncio.FIRST_COMPLETED)
            if not draining.done():
                await job.cancel()
            await asyncio.gather(draining, return_exceptions=True)
        await waiting


class _Stops:
    """The first and the second signal that asks to stop, as futures."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        say: Callable[[str], None],
        what: str,
        drain_timeout: float,
    ) -> None:
        self.first: asyncio.Future[None] = loop.create_future()
        self.second: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._say = say
        self._what = what
        self._drain_timeout = drain_timeout
        self._count = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> None:
        for number in _SIGNALS:
            self._before[number] = signal.getsignal(number)
            # Not the loop's handler: this one speaks even while user code blocks the loop.
            signal.signal(number, self._received)

    def __exit__(self, *_: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._before[number])  # type: ignore[arg-type]

    def _received(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        name = signal.Signals(number).name
        if self._count == 1:
            self._say(
                f"thalweg: {name}: {self._what}, for {self._drain_timeout:g} s at most; "
                "a second signal cancels"
            )
            self._loop.call_soon_threadsafe(_resolve, self.first)
            return
        self._say(f"thalweg: {name}: cancelling; a third signal ends the process at once")
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        self._loop.call_soon_threadsafe(_resolve, self.second)


def _say_where(job: Job, reporter: Reporter) -> None:
    """Say from which epoch a job goes on, or that nothing is left for it to do."""
    restored = job.restored
    if restored is None or not restored.epoch:
        return
    if restored.finished:
        reporter.say(
            f"thalweg: {job.name} had ended with epoch {restored.epoch}: nothing is left to do "
            "(another --state begins anew)"
        )
    else:
        reporter.say(f"thalweg: {job.name} goes on from epoch {restored.epoch}")


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _announce(server: HttpServer, reporter: Reporter, *, sql: bool) -> None:
    if not server.address.loopback:
        reporter.say(
            f"thalweg: warning: {server.address} can be reached from other machines, "
            "and asks nobody who they are"
        )
    reporter.say(
        f"thalweg: http://{server.address} tells /metrics /healthz /readyz /progress /status /graph"
        f"{', and answers POST /sql' if sql else ''}"
    )


@contextlib.contextmanager
def _logging_to(reporter: Reporter) -> Generator[None]:
    """Log records go through the reporter, unless the graph file has set logging up itself.

    Of the runtime also what is no warning: there is little, such as the columns that were seen.
    """
    root, own = logging.getLogger(), logging.getLogger("thalweg")
    if root.handlers:
        yield
        return
    handler, level = ReportingHandler(reporter), own.level
    root.addHandler(handler)
    own.setLevel(level or logging.INFO)
    try:
        yield
    finally:
        own.setLevel(level)
        root.removeHandler(handler)
