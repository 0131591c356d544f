"""One setting while it is measured."""

from __future__ import annotations

import math

from ..dataclass import dataclass
from .dials import Dials
from .meter import quantile

__all__ = ["Measured", "Trial"]

_SHORTEST = 0.5
"""Seconds of a measurement, at least."""

_LONGEST = 4.0
"""Seconds after which a measurement ends with what there is."""

_CALLS = 24
"""Calls that a measurement needs, and three rounds of those in flight."""

_PATIENCE = 2.0
"""Seconds after which batches of any size count: no others seem to come."""

_OVER = 3
"""Calls above the bound that are enough to say so."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a setting has shown: `rate` in records a second, times in seconds.

    `full` is the share of the batch size that calls had, `at_once` how many of the calls that may
    run at once did, on average.
    """

    dials: Dials
    rate: float
    p50: float
    p99: float
    calls: int
    failed: int
    full: float
    at_once: float

    @property
    def starved(self) -> bool:
        """Whether there was too little to do for the setting to show what it can."""
        return self.at_once < 0.6 * self.dials.max_in_flight or self.full < 0.6


class Trial:
    """Collects what becomes of calls, from when those of the setting before are done.

    Parameters: `dials`, the setting; `now`, the time; `rest`, the seconds that what was under way
    before may still take; `lasts`, the least seconds of the measurement (0.5); `bound`, the seconds
    that calls may take: a few above it end the trial at once (None: no bound).
    """

    __slots__ = (
        "_began", "_bound", "_first", "_last", "_lasts", "_over", "_ready", "_records",
        "_took", "_with_first", "dials", "failed",
    )  # fmt: skip

    def __init__(
        self,
        dials: Dials,
        now: float,
        *,
        rest: float = 0.0,
        lasts: float = _SHORTEST,
        bound: float | None = None,
    ) -> None:
        self._bound = math.inf if bound is None else bound
        self._over = 0
        self._ready = dials.max_batch_size is None
        self.dials = dials
        self._began = now + rest
        self._lasts = lasts
        self._took: list[float] = []
        self._records = 0
        self._first = self._last = 0.0
        self._with_first = 0
        self.failed = 0

    def answered(self, records: int, seconds: float, now: float) -> None:
        """A call was answered."""
        # Batches that were cut before, and have waited since, say nothing of this setting.
        ours = records == self.dials.max_batch_size or now >= self._began + _PATIENCE
        if not self._ready and ours and now >= self._began:
            self._ready = True
            self._began = now
        # Larger ones may come behind the first of ours, and would break the bound in its name.
        size = self.dials.max_batch_size
        late = size is not None and records > size and now < self._began + _PATIENCE
        if self._ready and not late:
            if not self._took:
                self._first = now
            if now - self._first < 1e-4:
                self._with_first += records
            self._over += seconds > self._bound
            self._took.append(seconds)
            self._records += records
            self._last = now

    def done(self, now: float) -> Measured | None:
        """What was measured, if that is enough."""
        if not self._ready and now < self._began + _PATIENCE:
            return None
        passed, calls = now - self._began, len(self._took)
        needed = max(_CALLS, 3 * self.dials.max_in_flight)
        early = passed < self._lasts or (calls < needed and passed < _LONGEST)
        if early and self._over < _OVER:
            return None
        took = sorted(self._took)
        size = self.dials.max_batch_size
        batch = self._records / calls if calls else 0.0
        return Measured(
            self.dials,
            rate=self._rate(passed),
            p50=quantile(took, 0.5),
            p99=quantile(took, 0.99),
            calls=calls,
            failed=self.failed,
            full=1.0 if size is None else batch / size,
            at_once=sum(took) / max(passed, 1e-9),
        )

    def _rate(self, passed: float) -> float:
        """Records a second, from the first answer to the last.

        Calls that began together are answered together: what came with the first of them was made
        before, and the time behind the last belongs to those that are still under way.
        """
        if passed <= 0.0 or self._last - self._first < 0.5 * passed:
            return self._records / max(passed, 1e-9)
        return (self._records - self._with_first) / (self._last - self._first)
