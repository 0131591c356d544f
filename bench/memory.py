"""A sink 100 times slower than the source, for ten minutes: does anything pile up?

    python bench/memory.py

The ten minutes are virtual (`thalweg.testing`), so they take some seconds; the records are real,
a kilobyte each. At every read, every call of a function and every write the job's own progress is
asked for, and each channel compared with its bounds. Resident memory is taken each virtual second.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from measure import Report, arguments, progress

from thalweg import Graph, JobCancelled
from thalweg.operators import sinks, sources
from thalweg.runtime.job import Job
from thalweg.runtime.progress import ChannelStatistics
from thalweg.testing import run_virtual

Record = dict[str, object]

SLOWER = 100
PAYLOAD = 1024
SETTLING = 30
"""Virtual seconds after the channels are full that memory has to come to rest."""
FLAT = 2.0
"""MiB that resident memory may still grow by after that."""


@dataclass(slots=True)
class Watch:
    """What was seen of the job while it ran."""

    job: Job | None = None
    looks: int = 0
    read: int = 0
    written: int = 0
    full_at: float | None = None
    over: list[str] = field(default_factory=list[str])
    most: dict[str, ChannelStatistics] = field(default_factory=dict[str, ChannelStatistics])
    resident: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def look(self) -> None:
        """Compare every channel with its bounds."""
        if self.job is None:
            return
        self.looks += 1
        channels = [
            (node.node, node.inbox) for node in self.job.progress().nodes if node.inbox is not None
        ]
        for name, channel in channels:
            most = self.most.get(name)
            if most is None or channel.records > most.records:
                self.most[name] = channel
            # A batch that is larger than a bound passes alone.
            if channel.batches > channel.max_batches or (
                channel.batches > 1
                and (channel.records > channel.max_records or channel.bytes > channel.max_bytes)
            ):
                self.over.append(f"{name}: {channel}")
        if self.full_at is None and channels and all(one.sender_waits for _, one in channels):
            self.full_at = asyncio.get_running_loop().time()


def resident_mib() -> float:
    """The resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1024 / 1024


async def ten_minutes(seconds: float, rate: float, watch: Watch) -> None:
    """Run the job for so long, taking memory each second; then cancel it."""

    def endless() -> Iterator[Record]:
        number = 0
        while True:
            watch.look()
            watch.read += 1
            yield {"n": number, "payload": number.to_bytes(8, "big") * (PAYLOAD // 8)}
            number += 1

    def annotate(record: Record) -> Record:
        watch.look()
        return {**record, "seen": True}

    async def write(record: Record) -> None:
        watch.look()
        watch.written += 1
        await asyncio.sleep(SLOWER / rate)

    graph = Graph("slow_sink")
    stream = graph.read("fast", sources.records(endless, rate=rate))
    stream.map(annotate).to("slow", sinks.each(write))
    with contextlib.suppress(JobCancelled):
        async with graph.start() as job:
            watch.job = job
            for second in range(int(seconds)):
                if second % 60 == 0:
                    progress(f"minute {second // 60} of {seconds / 60:g}")
                watch.resident.append((float(second), resident_mib()))
                await asyncio.sleep(1.0)
            await job.cancel()


def main() -> int:
    parser = arguments("Memory with a sink much slower than its source.")
    parser.add_argument("--seconds", type=float, default=600.0, help="of virtual time")
    parser.add_argument("--rate", type=float, default=10_000.0, help="records a second, read")
    options = parser.parse_args()
    report = Report(f"memory: a sink {SLOWER} times slower than the source; virtual time")
    watch = Watch()
    run_virtual(lambda: ten_minutes(options.seconds, options.rate, watch))
    report.table(
        f"{options.seconds:g} virtual seconds, {options.rate:g} records/s offered, "
        f"{options.rate / SLOWER:g} a second written",
        ["the fullest that each inbox was", "batches", "records", "bytes", "bounds"],
        [
            [
                name,
                str(one.batches),
                str(one.records),
                str(one.bytes),
                f"{one.max_batches}, {one.max_records}, {one.max_bytes}",
            ]
            for name, one in watch.most.items()
        ],
    )
    after = (watch.full_at if watch.full_at is not None else options.seconds) + SETTLING
    flat = [resident for second, resident in watch.resident if second >= after]
    report.note(f"{watch.read:,} records read, {watch.written:,} written, {watch.looks:,} looks")
    report.figure(
        "channels never above their bounds",
        watch.over[0] if watch.over else f"{watch.looks:,} looks, none above",
        reached=watch.looks > 0 and not watch.over,
    )
    if watch.full_at is None or len(flat) < 2:
        report.figure("memory flat", "the channels have not been full long enough", reached=False)
        return report.finish(options)
    growth = max(flat) - flat[0]
    waiting = (options.rate - options.rate / SLOWER) * (options.seconds - watch.full_at)
    report.note(f"channels full after {watch.full_at:.1f} s; without bounds {waiting:,.0f} more")
    report.note(f"records would wait at the end, about {waiting * PAYLOAD / 1024 / 1024:,.0f} MiB")
    report.note(
        f"resident: {watch.resident[0][1]:.1f} MiB at the start, {flat[0]:.1f} at {after:.0f} s, "
        f"then {min(flat):.1f} to {max(flat):.1f}, median {statistics.median(flat):.1f}"
    )
    report.figure(
        f"resident memory flat (within {FLAT:g} MiB) once the channels are full",
        f"{growth:+.2f} MiB in {watch.resident[-1][0] - after:.0f} s",
        reached=growth <= FLAT,
    )
    report.numbers["resident MiB by second"] = watch.resident
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
