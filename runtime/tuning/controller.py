"""The controller: it finds a node's settings from what it measures, and says why."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from .decisions import Decisions, Outcome
from .dials import Dials
from .fit import Fit
from .objective import Throughput
from .trial import Measured, Trial

__all__ = ["Controller", "linger_for"]

_BETTER = 1.02
"""A larger setting must raise the rate by so much: it costs time and memory."""

_AS_GOOD = 0.985
"""A smaller one may lower it by so much: it gives quicker answers."""

_MARGIN = 0.9
"""The share of the bound on the p99 that a step may be expected to use."""

_CHANGED = 0.15
"""A rate that differs by more from what the same setting had: the other side has changed."""

_QUIET = 10.0
"""Seconds between two trials once nothing better was found."""

_QUICKER = 0.95
"""A step back that leaves more of the time of a call has not helped."""

_REMEMBERED = 30.0
"""Seconds for which a refusal keeps the calls at once below what was refused."""

_AVOIDED = 120.0
"""Seconds for which a setting that broke the bound is not tried again."""

_MOVES: tuple[tuple[str, float], ...] = (
    ("size", 2.0),
    ("calls", 1.5),
    ("size", 1.4),
    ("calls", 1.2),
    ("calls", 1 / 1.3),
    ("size", 1 / 1.5),
)
"""What is tried, in this order: larger batches first, since they cost the other side least."""


def linger_for(size: int, rate: float, goal: Throughput) -> float:
    """The seconds in which a batch of this size fills at this rate, and some: a share of the bound.

    >>> linger_for(500, 10_000, Throughput(p99=1.0))
    0.06
    """
    return round(min(max(1.2 * size / rate, 0.001), goal.p99 / 4.0), 4)


class Controller:
    """Climbs to the highest rate within a bound on the time of calls, one step at a time.

    A step changes the batch size or the calls at once by a factor, and is kept if the rate says
    so. The line through the times by size (`Fit`) tells beforehand which size would break the
    bound. A refusal cuts the calls at once by three tenths and is remembered. When no step is left,
    one is tried again each ten seconds; when the rate of the setting changes by itself, all are.
    Where there is too little to do, no step is judged, and the linger follows the arrivals.

    The gradient of the rate is followed rather than that of the time (as in TCP Vegas, or the
    gradient limits of Netflix' concurrency-limits): what is asked for is the rate.

    Parameters: `goal`, what to reach; `dials`, the setting to begin with; `apply`, what makes a
    setting the one in force; `clock`, the monotonic time in seconds; `decisions`, who hears what
    became of each trial (None: kept for itself); `fed`, whether there is always more to do, so that
    what could not be made use of is this process's own limit and is judged as it is.
    """

    def __init__(
        self,
        goal: Throughput,
        dials: Dials,
        apply: Callable[[Dials], None],
        clock: Callable[[], float],
        decisions: Decisions | None = None,
        *,
        fed: bool = False,
    ) -> None:
        self.goal = goal
        self._fed = fed
        self.decisions = Decisions() if decisions is None else decisions
        self.dials = dials
        self.fit = Fit()
        self.why = "measuring the setting to begin with"
        self._apply = apply
        self._best: Measured | None = None
        self._left = list(_MOVES)
        self._move: tuple[str, float] | None = None
        self._clock = clock
        self._trial = Trial(dials, clock())
        self._ceiling: tuple[int, float] | None = None
        self._again_at = 0.0
        self._odd = 0
        self._rest = 0.0
        self._retreated: tuple[Dials, float] | None = None
        """Where the last step back came from, and the p50 there."""
        self._broken: deque[tuple[int, int, float]] = deque(maxlen=8)
        """Settings that broke the bound: batch size, calls at once, and when."""

    @property
    def settled(self) -> bool:
        """Whether no step is left for now: nothing that may be tried promises more."""
        return self._move is None and self._best is not None and self._clock() < self._again_at

    def answered(self, records: int, seconds: float) -> None:
        """A call was answered."""
        self._trial.answered(records, seconds, self._clock())

    def refused(self) -> None:
        """A call was told to wait: so many at once are too many."""
        now = self._clock()
        if self._ceiling is None or now - self._ceiling[1] > 1.0:
            calls = max(1, int(0.7 * self.dials.max_in_flight))
            self.decisions.refusals += 1
            self._ceiling = self.dials.max_in_flight, now
            self._settle(
                replace(self.dials, max_in_flight=calls),
                now,
                f"refused at {self.dials.max_in_flight} in flight: {calls} now",
            )

    def failed(self) -> None:
        """A call came to nothing."""
        self._trial.failed += 1

    def look(self) -> None:
        """Judge the setting in force once enough is known of it; called now and then."""
        now = self._clock()
        measured = self._trial.done(now)
        if measured is None:
            return
        if measured.calls == 0 or measured.failed > measured.calls // 10:
            self.decisions.note(measured, "failed" if measured.failed else "starved")
            self._measure_again(now)  # Nothing can be learned while it is down.
            return
        starved = measured.starved and not self._fed
        if starved and self._move is None:
            self.decisions.note(measured, "starved")
            self._follow_arrivals(measured, now)
            return
        best = self._best
        if not starved:
            self._note(measured)
        if self._move is None or best is None:
            self._judge_the_present(measured, now)
        else:
            self._judge_the_step(measured, best, now)

    def _note(self, measured: Measured) -> None:
        """Add a size to the line, where its time is that of the size alone."""
        size, best = measured.dials.max_batch_size, self._best
        if size is None or not 0.9 < measured.full < 1.1:
            return
        if measured.p99 > self.goal.p99 and self._move is not None:
            return  # It was given up after a few calls.
        if best is None or measured.dials.max_in_flight == best.dials.max_in_flight:
            # With more calls at once they wait for each other, whatever their size.
            self.fit.note(size, measured.p50)

    def _judge_the_present(self, measured: Measured, now: float) -> None:
        best = self._best
        if measured.p99 > self.goal.p99:
            self.decisions.note(measured, "over_bound")
            self._retreat(measured, now)
            return
        self._retreated = None
        outcome: Outcome = "confirmed"
        if best is not None and best.dials == measured.dials:
            off = abs(measured.rate / best.rate - 1.0) > _CHANGED if best.rate else True
            self._odd = self._odd + 1 if off else 0
            if self._odd == 1:
                self._measure_again(now)
                return
            if self._odd:
                outcome = "changed"
                self._left = list(_MOVES)
                self._again_at = 0.0
                self._odd = 0
                self.fit = Fit()
                self._broken.clear()
        self.decisions.note(measured, outcome)
        self._best = measured
        self._try_next(now)

    def _retreat(self, measured: Measured, now: float) -> None:
        """The bound is broken as things are: smaller, by what takes the time."""
        dials, size = measured.dials, measured.dials.max_batch_size
        calls = dials.max_in_flight
        over = measured.p99 / (_MARGIN * self.goal.p99)
        # Fewer records make a call quicker, queued or not, unless most of its time is the base.
        by_size = self.fit.base < 0.5 * measured.p50
        if self._retreated is not None:
            before, p50 = self._retreated
            if measured.p50 > _QUICKER * p50:
                # That step back made nothing quicker: it is the other one that takes the time.
                by_size = before.max_batch_size == size
                if by_size:
                    dials = replace(dials, max_in_flight=before.max_in_flight)
                    calls = dials.max_in_flight
        self._retreated = measured.dials, measured.p50
        if size is not None and size > 1 and by_size:
            lower = replace(dials, max_batch_size=max(1, min(size - 1, int(size / over))))
        elif calls > 1:
            lower = replace(dials, max_in_flight=max(1, min(calls - 1, int(calls / over))))
        elif size is not None and size > 1:
            lower = replace(dials, max_batch_size=max(1, min(size - 1, int(size / over))))
        else:
            self.why = f"the least there is, and p99 is {measured.p99:.3g} s"
            self._measure_again(now)
            return
        self._left = list(_MOVES)
        self._settle(
            lower,
            now,
            f"p99 was {measured.p99:.3g} s of {self.goal.p99:g} s: {lower} now",
            rest=2.0 * measured.p99,
        )

    def _judge_the_step(self, measured: Measured, best: Measured, now: float) -> None:
        assert self._move is not None
        _, factor = self._move
        gain = measured.rate / best.rate if best.rate else 2.0
        starved = measured.starved and not self._fed
        needed = _BETTER if factor > 1.0 else _AS_GOOD
        shown = (
            f"{best.dials} to {measured.dials}: "
            f"{best.rate:,.0f} to {measured.rate:,.0f} records/s, "
            f"p99 {measured.p99:.3g} s of {self.goal.p99:g} s"
        )
        move, self._move = self._move, None
        if gain >= needed and measured.p99 <= self.goal.p99 and not starved:
            self.why = f"{shown}: kept"
            self.decisions.note(measured, "kept")
            self._best = measured
            # The same again first; what it has just come from is not tried at once.
            opposite = [
                one for one in _MOVES if one[0] == move[0] and (one[1] > 1.0) != (factor > 1)
            ]
            self._left = [move, *(one for one in _MOVES if one != move and one not in opposite)]
            self._try_next(now)
            return
        self.why = f"{shown}: not kept"
        over = measured.p99 > self.goal.p99
        self.decisions.note(measured, "over_bound" if over else "starved" if starved else "slower")
        if over:
            # The trial ended with the first calls that did, so its rate says nothing.
            self.why = (
                f"{best.dials} to {measured.dials}: p99 {measured.p99:.3g} s "
                f"of {self.goal.p99:g} s: not kept"
            )
            # What it has begun is still under way, and holds up what is tried next.
            self._rest = 2.0 * measured.p99
            # One call more than there are workers waits for a whole other: so does a second.
            calls = best.dials.max_in_flight + (move[0] == "calls")
            self._broken.append((measured.dials.max_batch_size or 1, calls, now))
        self._put(best.dials)
        self._try_next(now)

    def _try_next(self, now: float) -> None:
        """The next step that makes sense; none, and the present one is watched for a while."""
        best = self._best
        assert best is not None
        if now < self._again_at:
            self._watch(now)
            return
        while self._left:
            move = self._left.pop(0)
            dials = self._stepped(best, move, now)
            if dials is not None:
                self._move = move
                self._put(dials)
                rest = max(0.2, 2.0 * best.p99, self._rest)
                self._rest = 0.0
                self._trial = Trial(dials, now, rest=rest, bound=self.goal.p99)
                return
        # Smaller ones have been tried at this setting, and cost records while they are.
        self._left = [move for move in _MOVES if move[1] > 1.0]
        self._again_at = now + _QUIET
        self._watch(now)

    def _watch(self, now: float) -> None:
        best = self._best
        assert best is not None
        if self.dials != best.dials:
            self._put(best.dials)
        rest = max(0.2, 2.0 * best.p99, self._rest)
        self._rest = 0.0
        self._trial = Trial(self.dials, now, rest=rest, lasts=1.5)

    def _stepped(self, best: Measured, move: tuple[str, float], now: float) -> Dials | None:
        """The setting after this step; None where it may not be, or promises nothing."""
        what, factor = move
        dials, goal = best.dials, self.goal
        if what == "calls":
            calls = dials.max_in_flight
            wanted = max(calls + 1, round(calls * factor)) if factor > 1 else int(calls * factor)
            wanted = min(max(1, wanted), goal.max_in_flight)
            if self._ceiling is not None:
                refused, at = self._ceiling
                if wanted >= refused and now - at < _REMEMBERED:
                    return None
            if wanted > calls:
                wanted = self._within_bound(best, wanted, now)
            return None if wanted == calls else replace(dials, max_in_flight=wanted)
        size = dials.max_batch_size
        if size is None:
            return None
        wanted = min(max(1, round(size * factor)), goal.max_batch_size)
        expected = self.fit.seconds(wanted) / max(1e-9, self.fit.seconds(size))
        if wanted == size or (factor > 1 and best.p99 * expected > _MARGIN * goal.p99):
            return None
        if factor > 1 and self.fit.base and wanted / size / expected < 1.0 + (_BETTER - 1.0) / 2:
            return None  # By the line, it would not be worth it.
        return replace(dials, max_batch_size=wanted)

    def _within_bound(self, best: Measured, wanted: int, now: float) -> int:
        """So many calls at once as the bound allows, if each one more makes all take longer.

        Below the number that the other side works on at once they do not: then one more may be
        tried, until that has once broken the bound.
        """
        calls, size = best.dials.max_in_flight, best.dials.max_batch_size or 1
        safe = min(wanted, int(calls * self.goal.p99 / max(1e-9, best.p99)))
        if safe <= calls:
            safe = calls + 1
        for broken_size, broken_calls, at in self._broken:
            if now - at < _AVOIDED and size >= broken_size:
                safe = min(safe, broken_calls - 1)
        return max(safe, calls)

    def _follow_arrivals(self, measured: Measured, now: float) -> None:
        """There is too little to do: batches wait as long as they may fill, within the bound."""
        size, linger = self.dials.max_batch_size, self.dials.linger
        if size is not None and linger is not None and measured.rate > 0.0:
            wanted = linger_for(size, measured.rate, self.goal)
            if not 0.8 < wanted / max(linger, 1e-6) < 1.25:
                self._put(replace(self.dials, linger=wanted))
        self.why = f"{measured.rate:,.0f} records/s arrive, and {self.dials} can take them"
        self._best = None
        self._left = list(_MOVES)
        self._again_at = 0.0
        self._measure_again(now)

    def _settle(self, dials: Dials, now: float, why: str, *, rest: float = 0.2) -> None:
        """Go on from this setting, once what is under way has returned."""
        self._put(dials)
        self.why = why
        self._move = None
        self._best = None
        self._trial = Trial(dials, now, rest=max(0.2, rest))

    def _measure_again(self, now: float) -> None:
        self._move = None
        if self._best is not None and self._best.dials != self.dials:
            self._put(self._best.dials)
        self._trial = Trial(self.dials, now)

    def _put(self, dials: Dials) -> None:
        if dials != self.dials:
            self.dials = dials
            self._apply(dials)
