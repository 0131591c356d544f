"""Searches the settings of one operator of a running job: climbs, looks around, makes sure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from ...runtime.actors.call_actor import CallActor
from ...runtime.job import Job
from ...runtime.tuning.controller import Controller
from ...runtime.tuning.decisions import Decisions
from ...runtime.tuning.dials import Dials
from ...runtime.tuning.fit import Fit
from ...runtime.tuning.objective import Throughput
from ...runtime.tuning.trial import Trial
from .load import Rejecting
from .measurements import Measurements, Point
from .watching import Load, Watching

__all__ = ["Search"]

_TICK = 0.05
"""Seconds between two looks."""

_LINE = 5.0
"""Seconds between two lines about the load."""

_CLIMB, _SURVEY = 0.6, 0.85
"""The shares of the time until which it climbs, and looks around."""

_SURVEYED = 1.0
"""Seconds that a setting is measured for, to draw the curve."""

_SIZES = (1.5, 1 / 1.5, 2.0, 1 / 2, 1 / 4, 4.0, 1 / 8, 1 / 16)
"""Batch sizes that are measured around the best one."""

_CALLS = ((1.0, 1), (1.0, -1), (1.5, 1), (0.5, -1), (2.0, 1), (0.25, -1))
"""Calls at once around the best: times so much, and a step further at least."""

_BOTH = (1.5, 2.0, 1 / 1.5)
"""Larger batches, and as many fewer of them: the same records under way, in another form."""

_APART = 1.15
"""Batch sizes that differ by a smaller factor are the same, as far as a curve is concerned."""

_CONFIRMED = 5.0
"""Seconds for which the best one is measured again at most: a p99 needs many calls."""


class Search:
    """Turns the dials of a node, and notes what each setting gives.

    First the controller climbs that also tunes nodes on line, then neighbours of the best setting
    are measured so that the curve around it is known, then the best one again and for longer. It
    ends before its time when that is done. Parameters: `job`, which runs; `node`, the name of the
    operator; `goal`, what to reach; `rejecting`, the sink of what it gives up; `say`, what to do
    with a line about the load.
    """

    def __init__(
        self,
        job: Job,
        node: str,
        goal: Throughput,
        *,
        rejecting: Rejecting,
        say: Callable[[Load], None],
    ) -> None:
        (actor,) = (
            one for one in job.actors if isinstance(one, CallActor) and one.nodes[0].name == node
        )
        self.table = Measurements(goal)
        self.limited_by: str | None = None
        """What held the operator back at the last look, with why."""
        self.fit = Fit()
        self._job = job
        self._node = node
        self._goal = goal
        self._dials = actor.dials
        self._clock = actor.monotonic
        self._rejecting = rejecting
        self._rejected = 0
        self._say = say
        self._dials.by_hand(self._dials.now)  # Who was to tune it leaves it to this search.
        self._watching = Watching(self.table, lambda: self._dials.now, self._clock)
        self._meter = actor.meter
        self._meter.listener = self._watching
        self._waits: tuple[asyncio.Future[Any], ...] = ()
        self._over = False

    async def run(self, seconds: float, stop: asyncio.Event) -> None:
        """Search for so many seconds at most, or until `stop`. Raises JobFailed as a job does."""
        began = self._clock()
        self._next_line = began + _LINE
        ending = asyncio.ensure_future(self._job.wait())
        stopping = asyncio.ensure_future(stop.wait())
        self._waits = (ending, stopping)
        try:
            await self._climb(began + _CLIMB * seconds)
            await self._settle(began + _SURVEY * seconds, began + seconds)
        finally:
            for one in self._waits:
                one.cancel()
            await asyncio.gather(*self._waits, return_exceptions=True)
        if ending.done() and not ending.cancelled():
            await ending

    async def _climb(self, until: float) -> None:
        decisions = Decisions(lambda measured, _: self.table.note(measured))
        controller = Controller(
            self._goal, self._dials.now, self._dials.set, self._clock, decisions, fed=True
        )
        self.fit = controller.fit
        self._watching.next = controller
        while not controller.settled and self._clock() < until and not self._over:
            await self._tick()
            controller.look()
            self.fit = controller.fit
        self._watching.next = None

    async def _settle(self, until: float, end: float) -> None:
        """Measure what lies around the best setting, nearest first, and make sure of the best.

        Where that makes another one the best, go on from there. After `until` nothing is measured
        but what may be the best.
        """
        while not self._over and self._clock() < end:
            dials = self._neighbour() if self._clock() + _SURVEYED < until else None
            if dials is not None:
                await self._measure(dials, _SURVEYED, until)
                continue
            best = self.table.best()
            if best is None or best.confirmed:
                return
            await self._confirm(best, end)

    def _neighbour(self) -> Dials | None:
        """The nearest setting beside the best one that may tell something."""
        best = self.table.best()
        for size, calls in () if best is None else _around(best):
            if self._may_be_tried(size, calls):
                return replace(self._dials.now, max_batch_size=size, max_in_flight=calls)
        return None

    def _may_be_tried(self, size: int, calls: int) -> bool:
        goal, refused = self._goal, self.table.least_refused()
        if not (1 <= size <= goal.max_batch_size and 1 <= calls <= goal.max_in_flight):
            return False
        if refused is not None and calls >= refused:
            return False
        for one in self.table.points:
            apart = max(one.max_batch_size, size) / min(one.max_batch_size, size)
            if one.max_in_flight == calls and apart < _APART:
                return False
            beyond = one.max_batch_size <= size and one.max_in_flight <= calls
            # A few slow calls may be a hiccup; where half of them are near the bound, it is none.
            if beyond and not one.within(goal) and (one.p50 or 0.0) > goal.p99 / 2.0:
                return False  # One that asks for less breaks the bound already.
        return True

    async def _confirm(self, best: Point, end: float) -> None:
        """Measure a setting again, for longer."""
        dials = replace(
            self._dials.now,
            max_batch_size=best.max_batch_size,
            max_in_flight=best.max_in_flight,
        )
        lasts = min(_CONFIRMED, (end - self._clock()) / 2.0)
        await self._measure(dials, lasts, end, confirms=True)
        self._limit()

    async def _measure(
        self, dials: Dials, lasts: float, until: float, *, confirms: bool = False
    ) -> None:
        before = self.table.of(self._dials.now).p99 or 0.0
        self._dials.set(dials)
        self._meter.calls.clear()  # What limits is said of this setting, and of no other.
        bound = None if confirms else self._goal.p99
        trial = Trial(dials, self._clock(), rest=max(0.2, 2.0 * before), lasts=lasts, bound=bound)
        self._watching.next = _Measuring(trial, self._clock)
        while not self._over and self._clock() < until:
            await self._tick()
            measured = trial.done(self._clock())
            if measured is not None:
                self.table.note(measured, confirmed=confirms)
                break
        self._watching.next = None

    async def _tick(self) -> None:
        """Wait a moment; tell the load when it is time to."""
        done, _ = await asyncio.wait(
            self._waits, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED
        )
        self._over = bool(done)
        rejected = len(self._rejecting.errors)
        self._watching.rejected(rejected - self._rejected)
        self._rejected = rejected
        now = self._clock()
        if now >= self._next_line:
            self._next_line = now + _LINE
            self._limit()
            self._say(self._watching.load(self.limited_by))

    def _limit(self) -> None:
        calls = self._job.progress().node(self._node).calls
        limit = None if calls is None else calls.limited_by
        if limit is not None and limit.startswith("input: "):
            # Of a sample that never ends there is always more: it is handed over too slowly.
            limit = f"client: {limit.removeprefix('input: ').removesuffix(', no more come')}"
            limit += ", and this process is not quick enough to have more"
        self.limited_by = limit


def _around(best: Point) -> list[tuple[int, int]]:
    """Batch sizes and calls at once beside the best: one changed, the other, then both."""
    size, here = best.max_batch_size, best.max_in_flight
    sizes = [(round(size * factor), here) for factor in _SIZES]
    calls = [
        (size, (max if step > 0 else min)(here + step, round(here * factor)))
        for factor, step in _CALLS
    ]
    both = [(round(size * factor), round(here / factor)) for factor in _BOTH]
    return [one for turn in zip_longest(sizes, calls, both) for one in turn if one is not None]


class _Measuring:
    """Hands on what a trial wants to know."""

    def __init__(self, trial: Trial, clock: Callable[[], float]) -> None:
        self._trial = trial
        self._clock = clock

    def answered(self, records: int, seconds: float) -> None:
        """A call was answered."""
        self._trial.answered(records, seconds, self._clock())

    def refused(self) -> None:
        """A call was told to wait: counted elsewhere."""

    def failed(self) -> None:
        """A call came to nothing."""
        self._trial.failed += 1
