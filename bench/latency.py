"""How long one record takes through source, map and sink when the engine has nothing else to do.

    python bench/latency.py

The program pushes one record, waits until it has arrived and lets the loop fall idle before the
next. Latency is from the call of `push` to the call of the sink's function. Beside it stands a
chain of the same length made of bare tasks and `asyncio.Queue`s, on the same loop, in turns; and
the CPU time of the same spans, which leaves out what other processes take on a busy machine.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop
from measure import Report, arguments, progress

from thalweg import Graph
from thalweg.operators import sinks, sources

Record = dict[str, float]
PAUSE = 0.0005

Took = tuple[float, float]
"""Seconds on the wall, and of CPU time."""


def add_one(record: Record) -> Record:
    """What the map does."""
    return {**record, "more": record["n"] + 1}


class Arrival:
    """The sink's function: it notes the time, and lets the program go on."""

    def __init__(self) -> None:
        self.at = 0.0
        self.cpu = 0.0
        self.waiter: asyncio.Future[None] | None = None

    def note(self, record: Record) -> None:
        """The record is here."""
        self.at = time.perf_counter()
        self.cpu = time.thread_time()
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


async def measured(
    send: Callable[[Record], Awaitable[object]], arrival: Arrival, count: int
) -> list[Took]:
    """Seconds from the call of `send` to the arrival, of `count` records, one at a time."""
    loop = asyncio.get_running_loop()
    took: list[Took] = []
    for number in range(count):
        await asyncio.sleep(PAUSE)
        record = {"n": float(number)}
        arrival.waiter = loop.create_future()
        began_cpu = time.thread_time()
        began = time.perf_counter()
        await send(record)
        await arrival.waiter
        took.append((arrival.at - began, arrival.cpu - began_cpu))
    return took


async def rounds(records: int, number: int, warm: int) -> tuple[list[Took], list[Took]]:
    """The latencies of the engine, and of the chain of queues."""
    ours, theirs = Arrival(), Arrival()
    graph = Graph("latency")
    graph.read("in", sources.push()).map(add_one).to("out", sinks.each(ours.note))
    first: asyncio.Queue[Record] = asyncio.Queue(16)
    second: asyncio.Queue[Record] = asyncio.Queue(16)
    third: asyncio.Queue[Record] = asyncio.Queue(16)

    async def source() -> None:
        while True:
            await second.put(await first.get())

    async def function() -> None:
        while True:
            await third.put(add_one(await second.get()))

    async def sink() -> None:
        while True:
            theirs.note(await third.get())

    tasks = [asyncio.create_task(work()) for work in (source, function, sink)]
    through_thalweg: list[Took] = []
    through_queues: list[Took] = []
    async with graph.start() as job:

        async def push(record: Record) -> None:
            await job.push("in", [record])

        await measured(push, ours, warm)
        await measured(first.put, theirs, warm)
        for turn in range(number):
            progress(f"round {turn + 1} of {number}")
            through_thalweg += await measured(push, ours, records // number)
            through_queues += await measured(first.put, theirs, records // number)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return through_thalweg, through_queues


def quantiles(seconds: list[float]) -> dict[str, float]:
    """What is said of a list of latencies, in microseconds."""
    at = statistics.quantiles(seconds, n=1000, method="inclusive")
    return {
        "median": 1e6 * statistics.median(seconds),
        "p90": 1e6 * at[899],
        "p99": 1e6 * at[989],
        "p99.9": 1e6 * at[998],
        "worst": 1e6 * max(seconds),
    }


def main() -> int:
    parser = arguments("Latency of one record through an idle engine.")
    parser.add_argument("--records", type=int, default=20_000, help="records, in all rounds")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--warm", type=int, default=500, help="records before that")
    options = parser.parse_args()
    report = Report("latency: one record at a time through push, map, each; uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ours, queues = runner.run(rounds(options.records, options.rounds, options.warm))
    latencies = {
        name: quantiles([each[clock] for each in took])
        for name, took, clock in (
            ("thalweg", ours, 0),
            ("asyncio.Queue", queues, 0),
            ("thalweg, CPU time", ours, 1),
            ("asyncio.Queue, CPU time", queues, 1),
        )
    }
    rows = [
        [name, *(f"{value:.0f}" for value in values.values())] for name, values in latencies.items()
    ]
    for name in ("", ", CPU time"):
        theirs = latencies[f"asyncio.Queue{name}"]
        ratios = [f"{v / theirs[q]:.2f}" for q, v in latencies[f"thalweg{name}"].items()]
        rows.append([f"ratio{name}", *ratios])
    report.table(f"{len(ours):,} records, µs from push to sink", ["", *theirs], rows)
    mine = latencies["thalweg"]
    report.figure("median under 100 µs", f"{mine['median']:.0f} µs", reached=mine["median"] < 100)
    report.figure("p99 under 1 ms", f"{mine['p99']:.0f} µs", reached=mine["p99"] < 1000)
    report.numbers["microseconds"] = latencies
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
