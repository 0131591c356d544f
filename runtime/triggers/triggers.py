"""The triggers of one job: told by its epochs, or by who looks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..actors import SourceActor
from ..course import Course
from .counted import Counted, counted, watch_times
from .report import Status, TriggerReport
from .told import Span, told

if TYPE_CHECKING:
    from ..checkpoints.coordinator import Coordinator, Durations
    from ..clock import Clock

__all__ = ["Triggers"]

_MOST = 100
"""Triggers that are kept."""

_LEAST = 1.0
"""Seconds between two looks that begin a trigger each: more looks see the same one."""

_MESSAGES = {
    "created": "Not started yet",
    "starting": "Initializing sources",
    "suspending": "Stopping, with a last epoch",
    "draining": "Stopping, when all that was read has arrived",
}


class Triggers:
    """Knows what a job did in each of its last triggers, and says so in Spark's field names.

    With a store a trigger is an epoch: each actor is counted when it stands at the barrier. Without
    one it is what a source says belongs together, such as a group of files: each actor is counted
    when it has passed that on. Where no source says so, or one of several, nothing is counted until
    somebody looks, and what passed since the last look is the trigger.

    Parameters: `graph`, its name; `run`, the id of this job; `course`, the job's.
    """

    def __init__(self, graph: str, run: str, course: Course) -> None:
        self._graph = graph
        self._run = run
        self._course = course
        self._identity = run
        self._coordinator: Coordinator | None = None
        self._clock: Clock | None = None
        self._looking = threading.Lock()
        self._reports: deque[TriggerReport] = deque(maxlen=_MOST)
        self._before: Mapping[str, Counted] = {}
        self._began = self._ended = 0.0
        self._at_barrier: dict[int, dict[str, Counted]] = {}
        self._at_end: dict[str, Counted] = {}
        self._at_trigger: dict[int, dict[str, Counted]] = {}
        self._alone = False
        self._grouped = -1
        """The last group of records that was complete; -1 where no source says so."""
        self._watched = self._complete = False

    def begin(self, clock: Clock, coordinator: Coordinator | None, identity: str | None) -> None:
        """All is open, and nothing has been read. `identity` outlasts this run."""
        self._before = {actor.name: counted(actor) for actor in self._course.actors}
        self._began = self._ended = clock.monotonic()
        self._identity = identity or self._run
        sources = [one for one in self._course.actors if isinstance(one, SourceActor)]
        self._alone = coordinator is None and len(sources) == 1
        self._coordinator = coordinator
        if coordinator is not None:
            coordinator.watch = self
        self._clock = clock

    def passed(self, name: str, epoch: int | None) -> None:
        """The actor of this name stands at the barrier of this epoch; None: at its end."""
        actor = next(one for one in self._course.actors if one.name == name)
        if epoch is None:
            self._at_end[name] = counted(actor)
        else:
            self._at_barrier.setdefault(epoch, {})[name] = counted(actor)

    def triggered(self, name: str, number: int) -> None:
        """The actor of this name has passed on that the group of this number is complete.

        One that unites streams does so once for each of them, and the last word counts, unless
        all others have passed it on before.
        """
        clock = self._clock
        if not self._alone or clock is None or number <= self._grouped:
            return
        actor = next(one for one in self._course.actors if one.name == name)
        passed = self._at_trigger.setdefault(number, {})
        passed[name] = counted(actor)
        if len(passed) == len(self._course.actors):
            del self._at_trigger[number]
            self._grouped = number
            with self._looking:
                self._stretch(passed, clock.monotonic())

    def committed(self, epoch: int, durations: Durations) -> None:
        """An epoch is committed: that was a trigger."""
        after = {**self._before, **self._at_end, **self._at_barrier.pop(epoch, {})}
        began, self._began = self._began, durations.began
        until = durations.began + durations.barrier + durations.save + durations.commit
        steps = {
            "addBatch": durations.began + durations.barrier - began,
            "walCommit": durations.save,
            "commitOffsets": durations.commit,
            "triggerExecution": until - began,
        }
        read, worked = durations.began - began, until - self._ended
        self._add(after, Span(epoch, began, read, worked, steps))
        self._ended = until

    def last(self) -> TriggerReport | None:
        """The last trigger; None before there was one. Safe from any thread."""
        self._look()
        reports = self._reports
        return reports[-1] if reports else None

    def recent(self) -> list[TriggerReport]:
        """The last hundred triggers, the oldest first. Safe from any thread."""
        self._look()
        return list(self._reports)

    def close(self) -> None:
        """Without a store, begin another trigger here: what went before is one."""
        self._look(least=0.0)

    def status(self) -> Status:
        """What the job does at this moment. Safe from any thread."""
        course = self._course
        state, failure = course.state, course.failure
        active = state in ("running", "suspending", "draining")
        under_way = active and any(
            actor.settled_records < actor.read_records
            for actor in course.actors
            if isinstance(actor, SourceActor)
        )
        if state == "failed":
            message = f"Terminated with exception: {failure}"
        elif state == "running":
            message = "Processing new data" if under_way else "Waiting for data to arrive"
        else:
            message = _MESSAGES.get(state, "Stopped")
        taking = active and self._coordinator is not None and self._coordinator.taking
        return {
            "message": message,
            "isDataAvailable": under_way,
            "isTriggerActive": under_way or taking,
        }

    def _look(self, least: float = _LEAST) -> None:
        clock = self._clock
        if clock is None:
            return
        with self._looking:
            if not self._watched:
                self._watched = True
                for actor in self._course.actors:
                    watch_times(actor)
            if self._coordinator is not None or self._complete:
                return
            lasted = self._course.lasted
            now = clock.monotonic() if lasted is None else self._course.began + lasted
            if lasted is None and self._reports and now - self._began < least:
                return
            if lasted is None and self._grouped >= 0 and least:
                return  # It is told when its group is complete.
            self._complete = lasted is not None
            after = {actor.name: counted(actor) for actor in self._course.actors}
            self._stretch(after, now, said=self._grouped < 0)

    def _stretch(self, after: Mapping[str, Counted], now: float, *, said: bool = True) -> None:
        """Without a store: what passed up to now was a trigger, and unless `said` only if any did.

        Behind a group that is complete there is nothing to tell before more has come.
        """
        began, self._began = self._began, now
        seconds = now - began
        number = self._reports[-1]["batchId"] + 1 if self._reports else 0
        steps = {"triggerExecution": seconds}
        self._add(after, Span(number, began, seconds, seconds, steps), said=said)

    def _add(self, after: Mapping[str, Counted], span: Span, *, said: bool = True) -> None:
        clock, before, self._before = self._clock, self._before, after
        assert clock is not None
        report = told(
            self._course.actors,
            before,
            after,
            span,
            at=clock.now() - (clock.monotonic() - span.began),
            names=(self._identity, self._run, self._graph),
            store=self._coordinator is not None,
        )
        if _empty(report):
            if not said:
                self._before = before
                return
            if not self._reports:
                return  # Nothing has happened yet.
            last = self._reports[-1]
            if _empty(last):
                # One trigger of nothing is enough, and without a store it keeps its number.
                if self._coordinator is None:
                    report["batchId"] = last["batchId"]
                self._reports[-1] = report
                return
        self._reports.append(report)


def _empty(report: TriggerReport) -> bool:
    return not report["numInputRows"] and not report["sink"]["numOutputRows"]
