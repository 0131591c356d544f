"""Hears of each call while settings are searched: for the setting in force, and for the line."""

from __future__ import annotations

from collections.abc import Callable

from ...runtime.dataclass import dataclass
from ...runtime.tuning.dials import Dials
from ...runtime.tuning.meter import Observer, quantile
from .measurements import Measurements

__all__ = ["Load", "Watching", "one_line", "shown"]

_LONGEST = 300
"""Letters of a text from outside that are shown."""


@dataclass(frozen=True, slots=True)
class Load:
    """How calls fared since the last look: records a second, times in seconds.

    `failures` counts since the start, records that were given up included. `limited_by` says what
    holds the operator back.
    """

    seconds: float
    rate: float
    p50: float
    p99: float
    failures: int
    dials: Dials
    limited_by: str | None

    def __str__(self) -> str:
        limit = f"  {one_line(self.limited_by)}" if self.limited_by else ""
        return (
            f"{self.seconds:3.0f} s  {self.rate:,.0f} records/s  p50 {shown(self.p50)}  "
            f"p99 {shown(self.p99)}  failures {self.failures:,}  at {self.dials}{limit}"
        )


class Watching:
    """The observer of all calls: counts for the setting in force, and hands on to who measures.

    Parameters: `table`, where to count; `now`, the setting in force; `clock`, the monotonic time.
    """

    def __init__(
        self, table: Measurements, now: Callable[[], Dials], clock: Callable[[], float]
    ) -> None:
        self.next: Observer | None = None
        """Who measures just now."""
        self._table = table
        self._now = now
        self._clock = clock
        self._began = self._since = clock()
        self._records = 0
        self._took: list[float] = []
        self._failures = 0

    def answered(self, records: int, seconds: float) -> None:
        """A call was answered."""
        self._records += records
        self._took.append(seconds)
        self._table.of(self._now()).answered += 1
        if self.next is not None:
            self.next.answered(records, seconds)

    def refused(self) -> None:
        """A call was told to wait."""
        self._failures += 1
        self._table.of(self._now()).refused += 1
        if self.next is not None:
            self.next.refused()

    def failed(self) -> None:
        """A call came to nothing."""
        self._failures += 1
        self._table.of(self._now()).failed += 1
        if self.next is not None:
            self.next.failed()

    def rejected(self, count: int) -> None:
        """So many records were given up."""
        if count:
            self._failures += count
            self._table.of(self._now()).rejected += count

    def load(self, limited_by: str | None) -> Load:
        """What has been heard since this was asked last."""
        now = self._clock()
        passed, took = now - self._since, sorted(self._took)
        load = Load(
            seconds=now - self._began,
            rate=self._records / passed if passed > 0.0 else 0.0,
            p50=quantile(took, 0.5),
            p99=quantile(took, 0.99),
            failures=self._failures,
            dials=self._now(),
            limited_by=limited_by,
        )
        self._since, self._records, self._took = now, 0, []
        return load


def shown(seconds: float) -> str:
    """A time as a person reads it, in milliseconds up to ten seconds.

    >>> shown(0.0312), shown(0.00051), shown(12.3)
    ('31.2 ms', '0.51 ms', '12.3 s')
    """
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def one_line(text: str) -> str:
    """Text from outside on one line, without what could command a terminal.

    >>> one_line("not\\nfound\\x1b[31m")
    'not found [31m'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
