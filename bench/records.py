"""A million records through map, filter, map and a counting sink, against a bare `for` loop.

    python bench/records.py                 # with all peers, in environments of their own
    python bench/records.py --peers none

Every contender gets the same list of records, made before, and calls the same functions with
them; what counts is the CPU time of the process. Each round runs the bare loop, the contender and
the bare loop again in one process, so that a ratio compares times taken close together. The loop
is uvloop and the garbage collector is set as `thalweg run` sets it, for everyone.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from environments import PeerMissing, Worker, prepare
from measure import Report, arguments, progress, spread
from peers.readings import Reading, bare, make
from peers.serving import cpu_seconds
from records_works import (
    Work,
    one_by_one_through_queues,
    one_by_one_through_thalweg,
    through_queues,
    through_thalweg,
    through_two_queues,
)

PEERS = {
    "bytewax": ("bytewax", "bytewax, batched"),
    "streamz": ("streamz, batched",),
    "reactivex": ("reactivex",),
    "aiostream": ("aiostream, batched",),
}
Measure = Callable[[str], float]
"""Measures the contender of this name, in its process, and returns the seconds of CPU time."""


@dataclass(slots=True)
class Contender:
    """Someone who takes part, with its times and those of what it is compared with."""

    name: str
    base: str
    measure: Measure
    seconds: list[float] = field(default_factory=list[float])
    base_seconds: list[float] = field(default_factory=list[float])

    def round(self) -> None:
        """Measure both: the base before and after."""
        before = self.measure(self.base)
        self.seconds.append(self.measure(self.name))
        self.base_seconds.append((before + self.measure(self.base)) / 2)

    def shares(self) -> list[float]:
        """Rate over rate, round by round."""
        return [its / own for its, own in zip(self.base_seconds, self.seconds, strict=True)]

    def share(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.shares())

    def row(self, records: int) -> list[str]:
        """A line of the table."""
        return [
            self.name,
            f"{records / statistics.median(self.seconds) / 1000:.0f}",
            spread([1e6 * one / records for one in self.seconds], "{:.3f}"),
            spread(self.shares(), "{:.3f}"),
        ]

    def numbers(self) -> dict[str, object]:
        """All of it, for the file."""
        return {
            f"seconds of {self.name}": self.seconds,
            f"seconds of {self.base}": self.base_seconds,
            "shares": self.shares(),
        }


def here(works: Mapping[str, Work], readings: list[Reading]) -> Measure:
    """Measures these works in this process."""
    expected = bare(readings)
    return lambda name: cpu_seconds(lambda: works[name](readings), expected)


def take_turns(contenders: Sequence[Contender], rounds: int, what: str) -> None:
    """Measure everyone once a round, every other round in the opposite order."""
    for number in range(rounds):
        for one in reversed(contenders) if number % 2 else contenders:
            progress(f"{what}: round {number + 1} of {rounds}, {one.name}")
            one.round()


def tabulate(
    report: Report, title: str, contenders: Sequence[Contender], records: int, base: str
) -> None:
    """Print what was measured, the base first: all that was measured of it, in all processes."""
    base_seconds = [one for contender in contenders for one in contender.base_seconds]
    rows = [Contender(base, base, lambda name: 0.0, base_seconds, base_seconds).row(records)]
    rows += [one.row(records) for one in contenders]
    report.table(title, ["", "records/ms", "CPU µs a record", f"rate, share of {base}"], rows)


def batched(report: Report, records: int, rounds: int, peers: Sequence[str]) -> None:
    """The first part: default settings, and everyone who takes part."""
    base = "bare loop"
    measure = here(
        {
            base: bare,
            "thalweg": through_thalweg,
            "asyncio.Queue by 64": through_queues,
            "asyncio.Queue by 64, fused by hand": through_two_queues,
        },
        make(records),
    )
    ours = Contender("thalweg", base, measure)
    contenders = [
        ours,
        Contender("asyncio.Queue by 64", base, measure),
        Contender("asyncio.Queue by 64, fused by hand", base, measure),
    ]
    workers: list[Worker] = []
    try:
        for peer in peers:
            try:
                worker = Worker(peer, prepare(peer), f"records_{peer}", [str(records)])
            except PeerMissing as missing:
                report.figure(f"ahead of {peer}", str(missing), reached=False)
                continue
            workers.append(worker)
            contenders += [Contender(name, base, worker.measure) for name in PEERS[peer]]
        take_turns(contenders, rounds, "batched")
    finally:
        for worker in workers:
            worker.close()
    tabulate(
        report, f"{records:,} records through map, filter, map, count; default settings",
        contenders, records, base,
    )  # fmt: skip
    report.note(
        f"medians of {rounds} rounds (least … greatest); each share compares a run with the"
    )
    report.note("bare loop's runs right before and after it, in the same process")
    report.figure(
        "share of the bare loop, at least 0.90", f"{ours.share():.3f}", reached=ours.share() >= 0.90
    )
    for one in contenders[1:]:
        rank = "ahead of" if one.name.startswith(tuple(PEERS)) else "not behind"
        report.figure(
            f"{rank} {one.name}", f"{ours.share():.3f} to {one.share():.3f}",
            reached=ours.share() >= one.share(),
        )  # fmt: skip
    report.numbers["batched"] = {one.name: one.numbers() for one in contenders}


def one_by_one(report: Report, records: int, rounds: int) -> None:
    """The second part: one record a batch, three unfused actors, against queues of 16."""
    base = "asyncio.Queue(16)"
    works = {base: one_by_one_through_queues, "thalweg": one_by_one_through_thalweg}
    ours = Contender("thalweg", base, here(works, make(records)))
    take_turns([ours], rounds, "one by one")
    tabulate(
        report, f"{records:,} records, one a batch, an actor for each function",
        [ours], records, base,
    )  # fmt: skip
    report.figure(
        f"one record a batch, share of {base}, at least 1", f"{ours.share():.3f}",
        reached=ours.share() >= 1.0,
    )  # fmt: skip
    report.numbers["one by one"] = ours.numbers()


def main() -> int:
    parser = arguments("Throughput of plain functions, in CPU time.")
    parser.add_argument("--records", type=int, default=1_000_000, help="records of the first part")
    parser.add_argument("--single", type=int, default=200_000, help="records of the second part")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=[*PEERS, "none"], help="who else runs"
    )
    options = parser.parse_args()
    report = Report("records: throughput of plain functions")
    peers = [peer for peer in options.peers if peer != "none"]
    if options.records:
        batched(report, options.records, options.rounds, peers)
    if options.single:
        one_by_one(report, options.single, options.rounds)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
