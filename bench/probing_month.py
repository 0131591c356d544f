"""30 days of a usage experiment in virtual time: 169 classroom machines that are up half the time.

The machines are simulated, and everything behind them is as in production: sweeps, results,
recovery with a store, the trace and the database. Three times the power fails in mid-sweep.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from pathlib import Path

from measure import Report, progress

from thalweg import Graph, JobCancelled, State
from thalweg.operators import sinks
from thalweg.operators.fleet import (
    Probe,
    Simulated,
    SimulatedProber,
    Target,
    Timetable,
    Visit,
    probe,
    read_trace,
    sweep_summaries,
    usage_database,
    usage_samples,
    usage_table,
)
from thalweg.operators.fleet.usage.query_rows import query_rows
from thalweg.operators.sources import Sweeps
from thalweg.testing import VirtualTimeLoop

__all__ = ["measure_month"]

MACHINES = 169
SWEEPS = 2_867
UP = 0.4856
EVERY = 900.0
BEGAN = 1_081_948_390
FAILURES = (5.2, 14.7, 23.1)
"""Days on which the power fails, each time for two hours."""
BOUND = 300.0
_HOURS = 7_200
_DARK = 7_200.0


class Month(VirtualTimeLoop):
    """A loop whose wall clock stood in April 2004 when it began."""

    def wall(self) -> float:
        """Unix seconds."""
        return BEGAN + self.time()


class Classroom:
    """What the machines would answer, and when the power fails."""

    def __init__(self) -> None:
        self.failures = [BEGAN + day * 86_400 for day in FAILURES]
        self.dark = asyncio.Event()

    def answer(self, visit: Visit, asked: Probe) -> Simulated:
        """One machine is up for hours, then down for hours, with or without a user."""
        if self.failures and visit.sweep >= self.failures[0]:
            del self.failures[0]
            self.dark.set()
        if not is_up(visit.sweep, visit.target.name):
            return Simulated("unreachable", seconds=3.0, detail="nothing answers within 3 s")
        draw = _draw(visit.sweep, visit.target.name)
        draw.random()
        uptime = float((visit.sweep - BEGAN) % _HOURS + 60)
        session = f"session=somebody pts/0 @{visit.sweep}\n" if draw.random() < 0.45 else ""
        text = (
            f"usage=1\nboot_id={visit.sweep // _HOURS}\ncpu=Pentium 4\nuptime={uptime}\n"
            f"idle={uptime * 0.97:.2f}\nboot={visit.sweep - int(uptime)}\ncpus=1\nmemory=524288\n"
            "memory_free=214000\nswap=1048576\nswap_free=780000\nfilesystem=38000000 24400000 /\n"
            "disk=hda 39082680 ST340016A\ninterface=eth0 physical 00:0d:56\n"
            f"traffic=eth0 {int(uptime * 450)} {int(uptime * 250)}\n"
            f"sessions=known\n{session}end=1\n"
        )
        return Simulated(stdout=text, exit_status=0, seconds=1.0 + 2.0 * draw.random())


def _draw(sweep: int, target: str) -> random.Random:
    return random.Random(int(target[1:]) * 1_000_003 + (sweep - BEGAN) // _HOURS)


def is_up(sweep: int, target: str) -> bool:
    """Whether this machine is up at this time."""
    return _draw(sweep, target).random() < UP


def _experiment(room: Classroom, folder: Path, count: int) -> Graph:
    graph = Graph("classroom")
    lab = [Target(f"m{number}") for number in range(1, MACHINES + 1)]
    source = Sweeps(
        lab,
        [probe("usage", name="usage")],
        timetable=Timetable.of(every=EVERY, minimum_gap=30.0, sweeps=count),
        prober=SimulatedProber(room.answer),
    )
    # As anyone would who writes to a database: the results of some seconds at a time.
    results = graph.read("lab", source).batch(1_000, linger=10.0)
    summaries = results.via("summaries", sweep_summaries())
    summaries.to("trace", sinks.sweep_trace(folder))
    samples = results.via("samples", usage_samples())
    usage_database(folder / "usage.db", results=results, sweeps=summaries, samples=samples)
    return graph


async def _run(folder: Path, count: int) -> int:
    """Run to the end, over all power failures; return how often it was started."""
    room, starts = Classroom(), 0
    while True:
        starts += 1
        graph = _experiment(room, folder, count)
        state = State(folder / "state", interval=EVERY, batches=100)
        with contextlib.suppress(JobCancelled):
            async with graph.start(state=state) as job:
                ended = asyncio.ensure_future(job.wait())
                dark = asyncio.ensure_future(room.dark.wait())
                await asyncio.wait([ended, dark], return_when=asyncio.FIRST_COMPLETED)
                dark.cancel()
                if ended.done():
                    await ended
                    return starts
                room.dark.clear()
                await asyncio.sleep(2.0)  # Some have answered, and some have not.
                await job.cancel()
                await ended
        await asyncio.sleep(_DARK)


def measure_month(report: Report, count: int = SWEEPS) -> None:
    """Run the month, and compare what is in the database and in the trace with what was told."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress(f"{count:,} sweeps of {MACHINES} machines in virtual time")
        began, spent = time.monotonic(), time.process_time()
        with asyncio.Runner(loop_factory=Month) as runner:
            starts = runner.run(_run(folder, count))
            virtual = runner.get_loop().time()
        seconds, spent = time.monotonic() - began, time.process_time() - spent
        rows = query_rows(folder / "usage.db", "SELECT sweep, target, outcome FROM attempts")
        samples = query_rows(folder / "usage.db", "SELECT sweep, target FROM samples")
        table = usage_table(folder / "usage.db")
        trace = list(read_trace(folder / "usage.trace"))
    attempts = len(rows)
    interrupted = sum(outcome == "interrupted" for *_, outcome in rows)
    wrong = sum(
        outcome != ("ok" if is_up(sweep, target) else "unreachable")
        for sweep, target, outcome in rows
        if outcome != "interrupted"
    )
    ok = {(sweep, target) for sweep, target, outcome in rows if outcome == "ok"}
    traced = {(line["sweep"], target) for line in trace for target in line["ok"]}
    agree = (
        attempts == len({(sweep, target) for sweep, target, _ in rows}) == count * MACHINES
        and len(trace) == len({line["sweep"] for line in trace}) == count
        and ok == traced == {(sweep, target) for sweep, target in samples}
        and len(samples) == len(ok)
        and wrong == 0
    )
    report.table(
        f"{virtual / 86_400:.1f} days of {MACHINES} machines in virtual time",
        ["", ""],
        [
            ["sweeps", f"{count:,}"],
            ["starts, after power failures in mid-sweep", f"{starts}"],
            ["attempts in the database", f"{attempts:,}"],
            ["samples in the database", f"{len(samples):,}"],
            ["ok in the trace", f"{len(traced):,}"],
            ["cut off by a failure", f"{interrupted:,}"],
            ["other than what the machine would have answered", f"{wrong:,}"],
            ["seconds", f"{seconds:.1f}"],
            ["… of processor time, all threads", f"{spent:.1f}"],
        ],
    )
    for line in str(table).splitlines():
        report.note(line)
    report.numbers["month"] = {
        "seconds": seconds,
        "processor": spent,
        "attempts": attempts,
        "samples": len(samples),
    }
    report.figure(
        "30 days of 169 machines in virtual time in under 5 minutes",
        f"{seconds:.0f} s",
        reached=seconds < BOUND,
    )
    report.figure(
        "trace, database and counts agree to the last sample",
        "they do" if agree else "they do not",
        reached=agree,
    )
