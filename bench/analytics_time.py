"""Windows, and two streams joined within a bound of time, against bytewax on the same events.

    python bench/analytics_time.py
    python bench/analytics_time.py --events 100000 --pairs 50000 --rounds 1

Everyone gets lists of dicts that were made before, in a process of its own; the time is that on
the wall, with start and end of the graph, without the start of Python. The garbage collector is
set as `thalweg run` sets it, for everyone. Bytewax has no join within a bound: it is given one,
made by hand of its own keyed state, a batch at a time, which is the quickest way it has.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environments import PeerMissing, Worker, prepare
from measure import Report, arguments, progress, spread

SOURCE = Path(__file__).resolve().parent.parent / "src"
AT_LEAST = 5.0
PARTS: dict[str, tuple[str, ...]] = {
    "windows": ("windows, records", "windows, columns"),
    "join": ("join, records", "join, columns"),
}
"""By what bytewax is asked for: what Thalweg is."""


def main() -> int:
    """Run both in turns, and return the exit status."""
    parser = arguments("Windows and joins in event time, against bytewax.")
    parser.add_argument("--events", type=int, default=1_000_000, help="events in windows")
    parser.add_argument("--pairs", type=int, default=500_000, help="events on each side of a join")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--part", choices=list(PARTS), help="only this one")
    options = parser.parse_args()
    report = Report(
        f"event time: {options.events:,} events in windows of 10 s, 1,000 keys, 1 % late; "
        f"{options.pairs:,} on each side of a join, bound 60 s"
    )
    parts = {name: ours for name, ours in PARTS.items() if options.part in (None, name)}
    given = [str(options.events), str(options.pairs)]
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    os.environ["PYTHONPATH"] = path
    workers: list[Worker] = []
    try:
        workers.append(Worker("thalweg", sys.executable, "time_thalweg", given))
        try:
            workers.append(Worker("bytewax", prepare("bytewax"), "time_bytewax", given))
        except PeerMissing as missing:
            report.figure("compared with bytewax", str(missing), reached=False)
        else:
            measure(options, workers[0], workers[1], parts, report)
    finally:
        for worker in workers:
            worker.close()
    return report.finish(options)


def measure(
    options: argparse.Namespace,
    thalweg: Worker,
    bytewax: Worker,
    parts: Mapping[str, tuple[str, ...]],
    report: Report,
) -> None:
    """The rounds of each part, and what came of them."""
    for part, ours in parts.items():
        contenders = [(bytewax, part, f"bytewax: {part}")]
        contenders += [(thalweg, one, f"thalweg: {one}") for one in ours]
        runs: dict[str, list[Any]] = {name: [] for *_, name in contenders}
        for number in range(options.rounds):
            for worker, asked, name in reversed(contenders) if number % 2 else contenders:
                progress(f"{part}: round {number + 1} of {options.rounds}, {name}")
                runs[name].append(worker.measure(asked))
        report.table(
            f"seconds for {part}",
            ["", "on the wall", "CPU"],
            [
                [name, spread([run[0] for run in some]), spread([run[1] for run in some])]
                for name, some in runs.items()
            ],
        )
        report.note(f"medians of {options.rounds} interleaved rounds (least … greatest)")
        theirs = runs[f"bytewax: {part}"]
        for one in ours:
            mine = runs[f"thalweg: {one}"]
            ratio = statistics.median(
                theirs_one[0] / own[0] for own, theirs_one in zip(mine, theirs, strict=True)
            )
            report.numbers[one] = ratio
            report.figure(
                f"{one}, at least {AT_LEAST:g} times as fast as bytewax", f"{ratio:.2f}",
                reached=ratio >= AT_LEAST,
            )  # fmt: skip
            equal = all(own[2] == theirs[0][2] for own in mine)
            told = "yes" if equal else f"{mine[0][2]} and {theirs[0][2]}"
            report.figure(f"{one}, the same result", told, reached=equal)


if __name__ == "__main__":
    sys.exit(main())
