"""What an epoch a second costs: a keyed count without a store, with each, and on bytewax.

    python bench/checkpoints.py
    python bench/checkpoints.py --peers none --postgres none

Everyone reads the same list of events over and over for so many seconds, takes the key of each by
the same function, counts by key, and hands on the key with its count; the sink counts what comes
and keeps the last count of each key, which are compared at the end. All keys change within each
epoch. Each contender runs in a process of its own, in turns with the others; the loop is uvloop
and the garbage collector is set as `thalweg run` sets it, for everyone. The steady rate leaves out
the first seconds and the end, the rate of the whole has both, and the last epoch.

Then the same count with more keys, while a timer ticks each millisecond on the event loop: how long
it was kept waiting while an epoch was taken.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from environments import PeerMissing, Worker, prepare
from measure import Report, arguments, progress, spread
from services import POSTGRES, postgres_at

BARE, LOCAL, REMOTE = "no store", "local store", "PostgreSQL"
BYTEWAX = ("bytewax, recovery store", "bytewax by batch, recovery store")
ALSO = ("bytewax", "bytewax by batch")
WANTED = 0.95
LONGEST = 20.0
ENOUGH = 25 / 30
"""Epochs a second that must have been completed for a run to count."""

Result = dict[str, Any]


@dataclass(slots=True)
class Contender:
    """Someone who counts, and what each of its runs said."""

    name: str
    worker: Worker
    results: list[Result] = field(default_factory=list[Result])

    def run(self, seconds: float, warm: float, interval: float) -> None:
        """One more run."""
        self.results.append(self.worker.measure(self.name, seconds, warm, interval))

    def all(self, what: str) -> list[float]:
        """What was measured, run by run."""
        return [float(one[what]) for one in self.results]

    def shares(self, of: Contender, what: str) -> list[float]:
        """Its rates as shares of those of another, in the same rounds."""
        return [a / b for a, b in zip(self.all(what), of.all(what), strict=True)]

    def row(self, base: Contender) -> list[str]:
        """A line of the table."""
        return [
            self.name,
            f"{statistics.median(self.all('steady rate')) / 1000:.0f}",
            f"{statistics.median(self.all('rate')) / 1000:.0f}",
            f"{1e6 * statistics.median(self.all('steady cpu')):.3f}",
            spread(self.shares(base, "steady rate"), "{:.3f}"),
            f"{min(self.all('epochs')):.0f}",
        ]


def cost(
    report: Report, options: argparse.Namespace, ours: Worker, workers: dict[str, Worker]
) -> None:
    """The first part: rates."""
    bare = Contender(BARE, ours)
    local = Contender(LOCAL, ours)
    contenders = [bare, local]
    if options.postgres:
        contenders.append(Contender(REMOTE, ours))
    if "bytewax" in workers:
        contenders += [Contender(name, workers["bytewax"]) for name in (*BYTEWAX, *ALSO)]
    for number in range(options.rounds):
        for one in reversed(contenders) if number % 2 else contenders:
            progress(f"cost: round {number + 1} of {options.rounds}, {one.name}")
            one.run(options.seconds, options.warm, options.interval)
    report.table(
        f"{options.keys:,} keys, all changing in each epoch; an epoch each {options.interval:g} s, "
        f"runs of {options.seconds:g} s",
        [
            "", "records/ms, steady", "of the whole", "CPU µs a record", f"share of {BARE}",
            "epochs, fewest",
        ],
        [one.row(bare) for one in contenders],
    )  # fmt: skip
    report.note(f"medians of {options.rounds} rounds (least … greatest), on the wall")
    share = statistics.median(local.shares(bare, "steady rate"))
    report.figure(
        f"rate with an epoch each {options.interval:g} s in the {LOCAL}, at least {WANTED} of "
        "that without",
        f"{share:.3f}",
        reached=share >= WANTED,
    )
    fewest = min(local.all("epochs"))
    enough = int(ENOUGH * options.seconds / options.interval)
    report.figure(
        f"epochs completed in each run, at least {enough}",
        f"{fewest:.0f}",
        reached=fewest >= enough,
    )
    for one in contenders:
        if one.name in BYTEWAX:
            own = statistics.median(local.all("steady rate"))
            its = statistics.median(one.all("steady rate"))
            report.figure(
                f"ahead of {one.name}",
                f"{own / 1000:.0f} to {its / 1000:.0f} records/ms ({own / its:.2f} times)",
                reached=own > its,
            )
    report.numbers["cost"] = {one.name: one.results for one in contenders}


def pauses(report: Report, options: argparse.Namespace, ours: Worker) -> None:
    """The second part: how long the loop was held."""
    names = ["pauses", "pauses without a store"]
    names += ["pauses with PostgreSQL"] if options.postgres else []
    contenders = [Contender(name, ours) for name in names]
    for number in range(options.rounds):
        for one in reversed(contenders) if number % 2 else contenders:
            progress(f"pauses: round {number + 1} of {options.rounds}, {one.name}")
            one.run(options.pausing, min(options.warm, options.pausing / 2), options.interval)
    rows: list[list[str]] = []
    for one in contenders:
        for where in ("within", "outside"):
            found = [result[where] for result in one.results]
            rows.append(
                [
                    f"{one.name}, {'while an epoch is taken' if where == 'within' else 'else'}",
                    spread([each["wall"] for each in found], "{:.1f}"),
                    f"{max(each['its cpu'] for each in found):.1f}",
                    str(sum(each["over 20 ms"] for each in found)),
                    str(sum(each["cpu over 20 ms"] for each in found)),
                    f"{min(one.all('epochs')):.0f}",
                ]
            )
    report.table(
        f"{options.more_keys:,} keys, all changing; how long a timer of 1 ms was kept waiting; "
        f"runs of {options.pausing:g} s",
        ["", "longest ms of each run", "its CPU ms", "over 20", "with CPU over 20", "epochs"],
        rows,
    )
    longest = max(result["within"]["wall"] for result in contenders[0].results)
    seen = min(contenders[0].all("epochs")) > 0
    report.note(f"an epoch took up to {max(contenders[0].all('epoch ms')):.0f} ms, beside the work")
    report.figure(
        f"no pause of the loop over {LONGEST:g} ms while an epoch of {options.more_keys:,} keys "
        "is taken",
        f"{longest:.1f} ms" if seen else "no epoch was taken",
        reached=seen and longest <= LONGEST,
    )
    report.numbers["pauses"] = {one.name: one.results for one in contenders}


def workers_of(report: Report, peers: Sequence[str], keys: int, folder: str) -> dict[str, Worker]:
    """The peers that can be had; the others are missed figures."""
    found: dict[str, Worker] = {}
    for peer in peers:
        try:
            found[peer] = Worker(peer, prepare(peer), f"checkpoints_{peer}", [str(keys), folder])
        except PeerMissing as missing:
            report.figure(f"ahead of {peer}", str(missing), reached=False)
    return found


def main() -> int:
    parser = arguments("The cost of an epoch a second.")
    parser.add_argument("--seconds", type=float, default=32.0, help="of each run of the first part")
    parser.add_argument("--warm", type=float, default=2.0, help="seconds that are left out")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two epochs")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--keys", type=int, default=10_000, help="keys of the first part")
    parser.add_argument("--more-keys", type=int, default=100_000, help="keys of the second part")
    parser.add_argument("--pausing", type=float, default=12.0, help="seconds of the second part")
    parser.add_argument("--peers", nargs="*", default=["bytewax"], choices=["bytewax", "none"])
    parser.add_argument("--postgres", default=POSTGRES, help="the URL, or none")
    parser.add_argument("--folder", default=None, help="where local stores are made")
    options = parser.parse_args()
    report = Report("checkpoints: what an epoch costs")
    options.postgres = postgres_at(options.postgres) or ""
    if not options.postgres:
        report.note("no PostgreSQL: it is left out")
    peers = [peer for peer in options.peers if peer != "none"]
    with TemporaryDirectory(dir=options.folder) as folder:
        given = [folder, options.postgres]
        if options.seconds:
            ours = Worker(
                "thalweg", sys.executable, "checkpoints_thalweg", [str(options.keys), *given]
            )
            workers = workers_of(report, peers, options.keys, folder)
            try:
                cost(report, options, ours, workers)
            finally:
                for worker in (ours, *workers.values()):
                    worker.close()
        if options.pausing:
            ours = Worker(
                "thalweg", sys.executable, "checkpoints_thalweg", [str(options.more_keys), *given]
            )
            try:
                pauses(report, options, ours)
            finally:
                ours.close()
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
