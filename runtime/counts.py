"""The plain integers behind progress and metrics, bumped once per batch."""

from __future__ import annotations

from collections import Counter
from typing import Literal

__all__ = ["LATENCY_BUCKETS", "ActorCounts", "Latency", "NodeCounts", "streak"]

LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                   0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # fmt: skip
"""The upper bounds, in seconds, of the latency histogram."""


class NodeCounts:
    """What one node has done so far."""

    __slots__ = (
        "converted",
        "converting",
        "cuts",
        "dead_letters",
        "fail_after",
        "in_flight",
        "kind",
        "late",
        "node",
        "records_in",
        "records_out",
        "retries",
        "streak",
        "waiting",
    )

    def __init__(self, node: str, kind: str, fail_after: int | None) -> None:
        self.node = node
        self.kind = kind
        self.fail_after = fail_after
        self.records_in = 0
        self.records_out = 0
        self.dead_letters = 0
        self.late = 0
        self.in_flight = 0
        self.retries = 0
        self.streak = 0
        self.waiting: str | None = None
        self.converted = 0
        self.converting = 0.0
        """Rows that were made of columns, or columns of, at the inbox, and the seconds it took."""
        self.cuts: Counter[str] = Counter()
        """Of a `batch`: how many batches went, by why they went."""


class Waits:
    """The seconds that one actor has waited for one thing, the wait that goes on included.

    Read from other threads too: what belongs together is replaced in one step.
    """

    __slots__ = ("_waited",)

    def __init__(self) -> None:
        self._waited: tuple[float, float | None] = 0.0, None

    def begin(self, now: float) -> None:
        """A wait begins."""
        self._waited = self._waited[0], now

    def end(self, now: float) -> None:
        """The wait is over."""
        self._waited = self.seconds(now), None

    def forget(self) -> None:
        """It was no wait."""
        self._waited = self._waited[0], None

    @property
    def since(self) -> float | None:
        """Since when it waits; None while it does not."""
        return self._waited[1]

    def seconds(self, now: float) -> float:
        """All waits up to now."""
        before, since = self._waited
        return before if since is None else before + max(0.0, now - since)


class ActorCounts:
    """Where one actor's time went, in seconds of the monotonic clock."""

    __slots__ = ("began", "ended", "input", "output", "rested", "state")

    def __init__(self) -> None:
        self.state: Literal["opening", "running", "ended", "failed", "cancelled"] = "opening"
        self.began: float | None = None
        self.ended: float | None = None
        self.rested = 0.0
        self.input = Waits()
        self.output = Waits()


class Latency:
    """How long records took from their source to a sink: a histogram by batch.

    `here` counts what fell into the bucket between `low` and `high` since the last change of
    bucket: neighbouring batches mostly fall into the same one.
    """

    __slots__ = ("_at", "_buckets", "here", "high", "low", "sum")

    def __init__(self) -> None:
        self._buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        self._at = 0
        self.here = 0
        self.low = self.high = 0.0
        self.sum = 0.0

    def note(self, seconds: float, records: int) -> None:
        """`records` records arrived together, `seconds` after the first of them was read."""
        if self.low < seconds <= self.high:
            self.here += records
            self.sum += seconds * records
        else:
            self.observe(seconds, records)

    def observe(self, seconds: float, records: int) -> None:
        """As `note`, where the bucket is another one."""
        # It is a library of its own, and to load one waits for who loads another, as a source may.
        from bisect import bisect_left

        self._buckets[self._at] += self.here
        self._at = at = bisect_left(LATENCY_BUCKETS, seconds)
        self.low = LATENCY_BUCKETS[at - 1] if at else -1.0
        self.high = LATENCY_BUCKETS[at] if at < len(LATENCY_BUCKETS) else float("inf")
        self.here = records
        self.sum += seconds * records

    @property
    def buckets(self) -> list[int]:
        """The records in each bucket, the last without an upper bound."""
        counted = list(self._buckets)
        counted[self._at] += self.here
        return counted


def streak(failed: list[int], count: int, carried: int) -> tuple[int, int]:
    """The longest run of failures with none between them that passed, and the one still going.

    `failed` are the ascending indices of the bad records among `count`, `carried` is the run that
    was going before them.
    """
    longest = run = carried
    expected = 0
    for index in failed:
        run = run + 1 if index == expected else 1
        longest = max(longest, run)
        expected = index + 1
    return longest, run if expected == count else 0
