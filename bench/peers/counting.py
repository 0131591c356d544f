"""The records of `checkpoints.py` and how their rate is measured: the same for everyone."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from peers.serving import COLLECTOR

__all__ = ["BATCH", "Event", "Meter", "key_of", "make", "measured"]

Event = dict[str, Any]

BATCH = 256
"""Records in a batch, for a peer that takes batches."""

_ROUNDS = 8
"""How often each key stands in the list that is read over and over."""


def make(keys: int) -> list[Event]:
    """Events of so many users, each of them several times, in a scattered order."""
    total = _ROUNDS * keys
    # A stride that has no common factor with the total visits every place once.
    stride = next(n for n in range(int(total * 0.618), 2 * total) if _coprime(n, total))
    return [
        {"n": n, "user": f"user-{n * stride % total % keys:06d}", "amount": n % 97}
        for n in range(total)
    ]


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1


def key_of(event: Event) -> str:
    """Whom an event belongs to."""
    user: str = event["user"]
    return user


class Meter:
    """Counts at the sink, and tells the source when the time is over.

    The steady rate is that of the sink between two reads of the source: the first after `warm`
    seconds, and the last.
    """

    def __init__(self, seconds: float, warm: float) -> None:
        self.count = 0
        self._seconds = seconds
        self._warm = warm
        self._began: float | None = None
        self._first: tuple[float, float, int] | None = None
        self._last = (0.0, 0.0, 0)

    def add(self, _: object) -> None:
        """One more has arrived."""
        self.count += 1

    def over(self) -> bool:
        """Whether the source has read long enough; asked at each read."""
        now = time.perf_counter()
        if self._began is None:
            self._began = now
        if now - self._began >= self._warm:
            self._last = now, time.process_time(), self.count
            if self._first is None:
                self._first = self._last
        return now - self._began >= self._seconds

    def steady(self) -> tuple[float, float, int]:
        """Seconds on the wall, of CPU time, and records, between the two reads."""
        if self._first is None:
            raise AssertionError("the run was over before it was warm")
        wall, cpu, count = (b - a for a, b in zip(self._first, self._last, strict=True))
        return wall, cpu, int(count)


def measured(meter: Meter, work: Callable[[], dict[str, int]], keys: int) -> dict[str, object]:
    """Run this and say how fast it was, in the whole and while it ran steadily.

    `work` returns what it counted for each key.
    """
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(*COLLECTOR)
    began, began_cpu = time.perf_counter(), time.process_time()
    try:
        counts = work()
    finally:
        wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        gc.set_threshold(*before)
        gc.unfreeze()
    if len(counts) != keys or sum(counts.values()) != meter.count:
        raise AssertionError(
            f"{meter.count} records arrived, and {sum(counts.values())} of {len(counts)} keys "
            f"were counted"
        )
    steady_wall, steady_cpu, steady_count = meter.steady()
    return {
        "records": meter.count,
        "rate": meter.count / wall,
        "cpu": cpu / meter.count,
        "steady rate": steady_count / steady_wall,
        "steady cpu": steady_cpu / steady_count,
    }
