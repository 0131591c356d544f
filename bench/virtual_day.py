"""A day of ticks in virtual time: how long does it really take?

    python bench/virtual_day.py

Each graph ticks once a second for 86,400 seconds on the loop of `thalweg.testing`, and is built as
anyone would write it, without a store. What arrives is counted, and the clock is read at the end.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass

from measure import Report, arguments, progress, spread

from thalweg import Graph
from thalweg.operators import sinks, sources
from thalweg.runtime.contracts import Context, Operator
from thalweg.testing import run_virtual

Record = dict[str, object]

LIMIT = 10.0


@dataclass(slots=True)
class Arrived:
    """What came to the sink."""

    count: int = 0

    def add(self, record: object) -> None:
        """One more."""
        self.count += 1

    async def add_async(self, record: object) -> None:
        """One more, in a sink with an actor of its own."""
        self.count += 1


class Counting(Operator[Record, Record]):
    """Counts the ticks, and emits the count on a timer of its own, each second."""

    async def open(self, context: Context) -> None:
        self._count = 0
        self._next: float | None = None

    def process(self, record: Record) -> Iterable[Record]:
        self._count += 1
        if self._next is None:
            self._next = float(str(record["at"])) + 0.5
        return ()

    def wake_at(self) -> float | None:
        return self._next

    def on_wake(self, now: float) -> Iterable[Record]:
        self._next = now + 1.0
        return [{"at": now, "count": self._count}]

    def snapshot(self) -> bytes | None:
        return str(self._count).encode()


def seen(record: Record) -> Record:
    """The function in the middle."""
    return {**record, "seen": True}


def generated(seconds: int, arrived: Arrived) -> Graph:
    """An async generator that sleeps, a function, a sink."""

    async def ticks() -> AsyncIterator[Record]:
        for number in range(seconds):
            yield {"n": number}
            await asyncio.sleep(1.0)

    graph = Graph("generated")
    graph.read("ticks", sources.generate(ticks)).map(seen).to("out", sinks.each(arrived.add))
    return graph


def paced(seconds: int, arrived: Arrived) -> Graph:
    """An iterable at one record a second, a function, an async sink."""

    def ticks() -> Iterator[Record]:
        for number in range(seconds):
            yield {"n": number}

    graph = Graph("paced")
    stream = graph.read("ticks", sources.records(ticks, rate=1.0)).map(seen)
    stream.to("out", sinks.each(arrived.add_async))
    return graph


def timed(seconds: int, arrived: Arrived) -> Graph:
    """A generator that sleeps, an operator with memory and a timer each second, a sink."""

    async def ticks() -> AsyncIterator[Record]:
        started = time.time()
        for number in range(seconds):
            yield {"n": number, "at": started + number}
            await asyncio.sleep(1.0)

    graph = Graph("timed")
    stream = graph.read("ticks", sources.generate(ticks)).map(seen)
    stream.via("counting", Counting(), volatile=True).to("out", sinks.each(arrived.add))
    return graph


GRAPHS: dict[str, Callable[[int, Arrived], Graph]] = {
    "source, function, sink": generated,
    "paced source, function, async sink": paced,
    "source, function, operator with a timer, sink": timed,
}


def day(make: Callable[[int, Arrived], Graph], seconds: int) -> float:
    """How long so many virtual seconds take, in real ones."""
    arrived = Arrived()
    graph = make(seconds, arrived)

    async def main() -> float:
        began = asyncio.get_running_loop().time()
        async with graph.start() as job:
            await job.wait()
        return asyncio.get_running_loop().time() - began

    began = time.perf_counter()
    lasted = run_virtual(main)
    took = time.perf_counter() - began
    if not (arrived.count >= seconds - 1 and lasted >= seconds - 1):
        raise AssertionError(f"{arrived.count} records arrived in {lasted} s, not {seconds}")
    return took


def main() -> int:
    parser = arguments("Virtual time: a day of ticks.")
    parser.add_argument("--seconds", type=int, default=86_400, help="of virtual time")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    options = parser.parse_args()
    report = Report("virtual_day: a tick a second on the loop of thalweg.testing")
    took: dict[str, list[float]] = {name: [] for name in GRAPHS}
    for number in range(options.rounds):
        for name in reversed(GRAPHS) if number % 2 else GRAPHS:
            progress(f"round {number + 1} of {options.rounds}, {name}")
            took[name].append(day(GRAPHS[name], options.seconds))
    report.table(
        f"{options.seconds:,} virtual seconds, in {options.rounds} interleaved rounds",
        ["", "real seconds", "µs a tick", "times as fast as life"],
        [
            [
                name,
                spread(times),
                f"{1e6 * statistics.median(times) / options.seconds:.0f}",
                f"{options.seconds / statistics.median(times):,.0f}",
            ]
            for name, times in took.items()
        ],
    )
    name = next(iter(GRAPHS))
    median = statistics.median(took[name])
    report.figure(
        f"a day of ticks, {name}: under {LIMIT:g} s",
        f"{median:.2f} s",
        reached=median < LIMIT * options.seconds / 86_400,
    )
    report.numbers["real seconds"] = took
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
