"""Does `score` find its settings by itself? Against the best of a grid measured by hand.

    python bench/tuning.py                  # about six minutes
    python bench/tuning.py --server thalweg # against `thalweg serve` instead of the light server

The server has 8 workers, each busy for 5 ms and 20 µs a row with a request; later both double.
`score` begins with batches of 64 and 8 in flight, as it does where nobody says otherwise, and with
`tune=Throughput(p99=…)`. It is given 30 s, and then has to reach the rate of the best setting of
the grid whose p99 is within the bound. On a machine that others use too a rate of now says little
about one of a minute ago: so each run of the tuner ends with the best setting of the grid, by hand
and on the same job, and that is what it is compared with. `--json` keeps what the tuner said.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import statistics
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import uvloop
from measure import Report, arguments, progress, spread
from peers.flowers import COLLECTOR, FIELDS, Flower, make
from servers import LightServer, ServedModel, change_faults

from thalweg import Graph, JobCancelled, Sink
from thalweg.operators import Throughput, score, sources
from thalweg.runtime.job import Job
from thalweg.runtime.progress import CallProgress

FAULTS = "workers=8,latency=5ms,per_row=20us"
SLOWER = {"latency": "10ms", "per_row": "40us"}
SIZES = (64, 256, 512, 1024, 2048)
CALLS = (8, 12, 16)
WANTED = 0.95
GIVEN = 30.0
"""Seconds that it has to find its settings."""


class Counting(Sink[Flower]):
    """Counts, and sees that records come in order."""

    def __init__(self) -> None:
        self._next = 0

    async def write(self, records: Sequence[Flower]) -> None:
        if records[0]["n"] != self._next:
            raise AssertionError(f"record {records[0]['n']} came, and not {self._next}")
        self._next = records[-1]["n"] + 1


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, and what it did: records a second, and the p99 of its calls in seconds."""

    calls: int
    size: int
    rate: float
    p99: float

    def __str__(self) -> str:
        return f"{self.calls} in flight, batches of {self.size:,}"


@cache
def flowers() -> list[Flower]:
    """The same for all jobs, and out of the collector's sight: its pauses would be theirs."""
    made = make(50_000)
    gc.collect()
    gc.freeze()
    return made


@asynccontextmanager
async def scoring(url: str, tune: Throughput | None, calls: int = 8) -> AsyncGenerator[Job, None]:
    """A job that scores flowers without end, with connections for so many calls at once."""
    some = flowers()

    def endless() -> Iterator[Flower]:
        for n in itertools.count():
            yield {**some[n % len(some)], "n": n}

    graph = Graph("tuning")
    asked = score(f"wml+{url}", fields=FIELDS, tune=tune, max_in_flight=calls)
    stream = graph.read("flowers", sources.records(endless)).batch(64, linger=0.05)
    stream.via("score", asked).to("counted", Counting())
    with contextlib.suppress(JobCancelled):
        async with graph.start() as job:
            yield job
            await job.cancel()


def calls_of(job: Job) -> CallProgress:
    """How its calls fare."""
    calls = job.progress().node("score").calls
    assert calls is not None
    return calls


async def watched(job: Job, seconds: float) -> tuple[float, float]:
    """Records a second over so many seconds, and the p99 of the calls in them."""
    loop = asyncio.get_running_loop()
    before, began = job.progress().node("score").records_out, loop.time()
    worst: list[float] = []
    while (left := began + seconds - loop.time()) > 0:
        await asyncio.sleep(min(left, 1.0))
        worst.append(calls_of(job).p99)
    rate = (job.progress().node("score").records_out - before) / (loop.time() - began)
    return rate, statistics.median(worst)


async def by_hand(url: str, calls: int, size: int, seconds: float) -> Setting:
    """One setting, on a job of its own."""
    async with scoring(url, None, calls) as job:
        job.adjust("score", max_in_flight=calls, max_batch_size=size)
        # What was cut in batches of 64 before has to be answered first.
        await asyncio.sleep(min(1.5, seconds))
        rate, p99 = await watched(job, seconds)
    return Setting(calls, size, rate, p99)


async def grid(url: str, p99: float, options: argparse.Namespace) -> list[Setting]:
    """Each setting once, and the three best of those within the bound again in turns."""
    found: list[Setting] = []
    for size in options.sizes:
        for calls in options.calls:
            found.append(await by_hand(url, calls, size, options.each))
            progress(f"{found[-1]}: {found[-1].rate:,.0f} records/s, p99 {found[-1].p99:.3g} s")
    within = sorted((one for one in found if one.p99 <= p99), key=lambda one: -one.rate)[:3]
    for one in within:
        again = [await by_hand(url, one.calls, one.size, options.each) for _ in range(2)]
        rate = statistics.median([one.rate, *(other.rate for other in again)])
        worst = statistics.median([one.p99, *(other.p99 for other in again)])
        found[found.index(one)] = Setting(one.calls, one.size, rate, worst)
    return found


def best_of(found: Sequence[Setting], p99: float) -> Setting:
    """The best within the bound; where none is, the quickest."""
    within = [one for one in found if one.p99 <= p99]
    return max(within, key=lambda one: one.rate) if within else min(found, key=lambda o: o.p99)


@dataclass(slots=True)
class Found:
    """What the tuner came to, and right after it the best setting of the grid, by hand."""

    setting: Setting
    by_hand: Setting
    said: list[str]

    @property
    def share(self) -> float:
        """Its rate, as a share of the other."""
        return self.setting.rate / self.by_hand.rate


async def tuned(
    url: str, root: str, best: Setting, goal: Throughput, options: argparse.Namespace, *,
    slower: bool,
) -> Found:  # fmt: skip
    """Let it find its settings, measure them, and then set those of the grid on the same job."""
    change_faults(root, latency="5ms", per_row="20us")
    said: list[str] = []
    async with scoring(url, goal) as job:
        if slower:
            await follow(job, options.given / 1.5, said, "before")
            change_faults(root, **SLOWER)
        await follow(job, options.given, said, "doubled" if slower else "start")
        rate, p99 = await watched(job, options.each)
        calls = calls_of(job)
        found = Setting(calls.max_in_flight, calls.max_batch_size or 0, rate, p99)
        job.adjust("score", max_in_flight=best.calls, max_batch_size=best.size)
        await asyncio.sleep(min(1.5, options.each))
        rate, p99 = await watched(job, options.each)
    return Found(found, Setting(best.calls, best.size, rate, p99), said)


async def follow(job: Job, seconds: float, said: list[str], what: str) -> None:
    """Let so many seconds pass, and note what the tuner says."""
    loop = asyncio.get_running_loop()
    began, last = loop.time(), ""
    while (passed := loop.time() - began) < seconds:
        calls = calls_of(job)
        if calls.tuning and calls.tuning != last:
            last = calls.tuning
            said.append(f"{what} {passed:4.1f} s: {last} [client {calls.client:.0%}]")
        await asyncio.sleep(min(0.1, seconds - passed))


def tell(report: Report, title: str, settings: Sequence[Setting], best: Setting) -> None:
    """The grid, with a mark at its best."""
    report.table(
        title,
        ["", "records/s", "p99 of calls, ms", ""],
        [
            [str(one), f"{one.rate:,.0f}", f"{1000 * one.p99:.1f}", "best" if one is best else ""]
            for one in settings
        ],
    )


def main() -> int:
    parser = arguments("What the tuner finds, against a grid measured by hand.")
    parser.add_argument("--server", choices=["light", "thalweg"], default="light", help="which")
    parser.add_argument("--p99", type=float, default=0.2, help="the bound on calls, in seconds")
    parser.add_argument("--given", type=float, default=GIVEN, help="seconds that it has to find")
    parser.add_argument("--each", type=float, default=3.0, help="seconds of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="runs of the tuner in each state")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="of the grid")
    parser.add_argument("--calls", type=int, nargs="+", default=list(CALLS), help="of the grid")
    options = parser.parse_args()
    report = Report(f"tuning: {FAULTS}, then twice as slow; {options.server} server")
    goal = Throughput(p99=options.p99)
    gc.set_threshold(*COLLECTOR)
    server = ServedModel(FAULTS) if options.server == "thalweg" else LightServer([FAULTS])
    if isinstance(server, ServedModel):
        url, root = server.wml, server.root
    else:
        url, root = server.urls[FAULTS], server.roots[FAULTS]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for slower, name in ((False, "from the start"), (True, "after the delay doubled")):
                change_faults(root, latency="5ms", per_row="20us")
                if slower:
                    change_faults(root, **SLOWER)
                settings = runner.run(grid(url, options.p99, options))
                best = best_of(settings, options.p99)
                tell(report, f"by hand, {'twice as slow' if slower else FAULTS}", settings, best)
                found: list[Found] = []
                for number in range(options.rounds):
                    progress(f"{name}: run {number + 1} of {options.rounds}")
                    found.append(runner.run(tuned(url, root, best, goal, options, slower=slower)))
                judge(report, name, found, options)
    finally:
        server.close()
    return report.finish(options)


def judge(report: Report, name: str, found: Sequence[Found], options: argparse.Namespace) -> None:
    """What the tuner found, and whether that is enough."""
    report.table(
        f"found by itself {name}, {options.given:g} s later",
        ["", "records/s", "p99 of calls, ms", "records/s of the best, right after", "share"],
        [
            [str(one.setting), f"{one.setting.rate:,.0f}", f"{1000 * one.setting.p99:.1f}",
             f"{one.by_hand.rate:,.0f}", f"{one.share:.3f}"]
            for one in found
        ],
    )  # fmt: skip
    shares = [one.share for one in found]
    p99s = [one.setting.p99 for one in found]
    report.figure(
        f"{name}: share of the best of the grid, at least {WANTED}",
        spread(shares, "{:.3f}"),
        reached=statistics.median(shares) >= WANTED,
    )
    report.figure(
        f"{name}: p99 of calls within {options.p99:g} s",
        spread(p99s, "{:.3f}"),
        reached=statistics.median(p99s) <= options.p99,
    )
    report.numbers[name] = {
        "shares": shares,
        "p99": p99s,
        "said": [one.said for one in found],
    }


if __name__ == "__main__":
    sys.exit(main())
