"""Streams of files, grouped as they come, against DuckDB over the same files at rest.

    python bench/analytics.py
    python bench/analytics.py --files 80 --rounds 2

Each run is a process of its own, in turns: the time on the wall is of the whole process, with the
start of Python. DuckDB reads all files in one query with as many threads as there are processors;
Thalweg reads one file a trigger and tells three complete results behind each.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import Report, arguments, progress, spread

from thalweg.graphs.data.activity import ROWS, write_activity

ROOT = Path(__file__).resolve().parent.parent
WORKS = Path(__file__).resolve().parent / "analytics_works.py"
CONTENDERS = ("DuckDB, at rest", "thalweg")
AT_MOST = 1.5
MEGABYTES = 250.0
CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Run:
    """One run: seconds on the wall and of the processor, peak memory, and what it answered."""

    wall: float
    cpu: float
    megabytes: float
    answers: dict[str, list[list[Any]]]


def run(name: str, folder: Path) -> Run:
    """One contender, in a process of its own."""
    work = "thalweg" if name == "thalweg" else "duckdb"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(WORKS), work, str(folder)],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told: Any = json.loads(done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, told["megabytes"], told["answers"])


def same(mine: dict[str, list[list[Any]]], theirs: dict[str, list[list[Any]]]) -> bool:
    """Whether the answers agree, row for row; means as closely as floats can."""
    for name, rows in theirs.items():
        left, right = (sorted(some, key=lambda row: repr(row[:3])) for some in (mine[name], rows))
        if name == "means":
            left, right = (sorted(some, key=lambda row: repr(row[:2])) for some in (left, right))
        if len(left) != len(right):
            return False
        for one, other in zip(left, right, strict=True):
            for a, b in zip(one, other, strict=True):
                close = isinstance(b, float) and abs(a - b) <= CLOSE * max(1.0, abs(b))
                if a != b and not close:
                    return False
    return True


def main() -> int:
    """Write the files, run both in turns, and return the exit status."""
    parser = arguments("Aggregations over a stream of files, against DuckDB at rest.")
    parser.add_argument("--files", type=int, default=10, help="activity files")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
    options = parser.parse_args()
    report = Report(f"analytics: {options.files} files of {ROWS:,} rows, three aggregations")
    with tempfile.TemporaryDirectory() as folder:
        progress("writing the files")
        write_activity(Path(folder), files=options.files)
        measure(options, Path(folder), report)
    return report.finish(options)


def measure(options: argparse.Namespace, folder: Path, report: Report) -> None:
    """Run both in turns, and compare."""
    for name in CONTENDERS:
        run(name, folder)  # compiled files and the disk's cache
    runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
    for number in range(options.rounds):
        progress(f"round {number + 1} of {options.rounds}")
        for name in reversed(CONTENDERS) if number % 2 else CONTENDERS:
            runs[name].append(run(name, folder))
    theirs, mine = runs[CONTENDERS[0]], runs["thalweg"]
    ratios = [one.wall / other.wall for one, other in zip(mine, theirs, strict=True)]
    cpus = [one.cpu / other.cpu for one, other in zip(mine, theirs, strict=True)]
    megabytes = max(one.megabytes for one in mine)
    report.table(
        "seconds of the whole process, and megabytes at most",
        ["", "on the wall", "CPU", "MB"],
        [
            [
                name,
                spread([one.wall for one in some]),
                spread([one.cpu for one in some]),
                f"{max(one.megabytes for one in some):.0f}",
            ]
            for name, some in runs.items()
        ],
    )
    report.note(f"medians of {options.rounds} interleaved rounds (least … greatest)")
    report.numbers |= {"wall ratios": ratios, "CPU ratios": cpus, "megabytes": megabytes}
    ratio, cpu = statistics.median(ratios), statistics.median(cpus)
    report.figure(
        f"time on the wall, at most {AT_MOST:g} times DuckDB's at rest",
        f"{ratio:.2f} ({cpu:.2f} of the CPU time)",
        reached=ratio <= AT_MOST,
    )
    report.figure(
        f"peak memory under {MEGABYTES:g} MB", f"{megabytes:.0f} MB", reached=megabytes < MEGABYTES
    )
    agree = all(same(one.answers, theirs[0].answers) for one in mine)
    report.figure("all answers equal, means within 1e-9", "yes" if agree else "no", reached=agree)


if __name__ == "__main__":
    sys.exit(main())
