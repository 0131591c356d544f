"""Streams of files, grouped as they come, against DuckDB over the same files at rest, and others.

    python bench/analytics.py
    python bench/analytics.py --files 80 --rounds 2 --peers polars
    python bench/analytics.py --folder out/activity --files 10 --peers none

Each run is a process of its own, in turns: the time on the wall is of the whole process, with the
start of Python; of Spark, which starts slowly, only from when its session answers. Everybody is
told the schema. DuckDB reads all files in one query with as many threads as there are processors;
Thalweg reads one file a trigger and tells three complete results behind each. Both run in the same
environment, which has what the extra `sql` asks for; the others, which take part in the first
number of files alone, each in one of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments import BENCH, PeerMissing, prepare
from measure import Report, arguments, progress, spread

from thalweg.graphs.data.activity import ROWS, write_activity

SOURCE = BENCH.parent / "src"
DUCKDB, THALWEG = "DuckDB, at rest", "thalweg"
OWN = {DUCKDB: ["duckdb"], THALWEG: ["thalweg"]}
"""What `analytics_works.py` is asked for."""

PEERS: dict[str, dict[str, list[str]]] = {
    "polars": {"Polars, per file": []},
    "bytewax": {"bytewax, 2 processes": []},
    "pathway": {"Pathway, 2 threads": []},
    "spark": {"Spark, one query for all": [], "Spark, a query for each": ["each"]},
}
"""By the names of environments: how each is run, and what its module is given behind the folder."""

AT_MOST = 1.5
SPARK = 25.0
GROWTH = 1.1
MEGABYTES = 250.0
CLOSE = 1e-9
LIMIT = 600.0
PATIENCE = 20.0
"""Seconds for a contender, and for what it leaves behind."""
MANY = 16
"""So many files are compared with some of them: does one among many take as long?"""

FEW = 2
"""So many rounds say enough of many files, and of Spark, which takes long."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: seconds on the wall and of the processor, peak memory, and what it answered.

    `counted` are the seconds that count: those on the wall, or for who starts slowly those after.
    """

    wall: float
    counted: float
    cpu: float
    megabytes: float
    answers: dict[str, list[list[Any]]]


def run(command: Sequence[str], name: str) -> Run:
    """One contender, in a process of its own. Raises PeerMissing when it fails."""
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    # As installed packages have it: compiled files are kept.
    clean = {key: one for key, one in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=BENCH,
        env=clean | {"PYTHONPATH": path}, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, errors = process.communicate(timeout=LIMIT)
            wall = time.perf_counter() - began
        finally:
            let_end(process.pid)
    if process.returncode:
        last = errors.strip().splitlines()[-1:] or ["no message"]
        raise PeerMissing(f"{name} failed: {last[0]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told: Any = json.loads(output.splitlines()[-1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, told.get("seconds", wall), cpu, told["megabytes"], told["answers"])


def let_end(group: int) -> None:
    """Wait until all that a contender has started is gone, and end by force what stays.

    The virtual machine of Spark goes on for a while behind the process that asked for it, and
    would take a processor from whoever comes next.
    """
    until = time.monotonic() + PATIENCE
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)


def same(mine: dict[str, list[list[Any]]], theirs: dict[str, list[list[Any]]]) -> bool:
    """Whether the answers agree, row for row; means as closely as floats can."""
    for name, rows in theirs.items():
        keys = 2 if name == "means" else 3
        left, right = (
            sorted(some, key=lambda row: repr(row[:keys])) for some in (mine[name], rows)
        )
        if len(left) != len(right):
            return False
        for one, other in zip(left, right, strict=True):
            for a, b in zip(one, other, strict=True):
                close = isinstance(b, float) and abs(a - b) <= CLOSE * max(1.0, abs(b))
                if a != b and not close:
                    return False
    return True


def main() -> int:
    """Write the files, run all in turns, and return the exit status."""
    parser = arguments("Aggregations over a stream of files, against DuckDB at rest and others.")
    parser.add_argument("--files", type=int, nargs="+", default=[10, 80], help="activity files")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows in each")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument(
        "--peers", nargs="+", choices=[*PEERS, "all", "none"], default=["all"], help="with these"
    )
    parser.add_argument("--folder", type=Path, help="files that are there, or are kept for later")
    options = parser.parse_args()
    counts: list[int] = options.files
    report = Report(f"analytics: {counts} files of {options.rows:,} rows, three aggregations")
    with tempfile.TemporaryDirectory() as name:
        progress("writing the files")
        home = options.folder or Path(name, "all")
        written = write_activity(home, files=max(counts), rows=options.rows, keep=True)
        commands = contenders(options, report)
        for place, count in enumerate(counts):
            chosen = {name: one for name, one in commands.items() if name in OWN or not place}
            few = max(1, count // 8)
            folder = linked(written[:count], Path(name, f"{count}"))
            part = linked(written[:few], Path(name, f"part-{count}")) if count >= MANY else None
            measure(options, Part(count, folder, few, part), chosen, report)
    return report.finish(options)


def linked(files: Sequence[Path], folder: Path) -> Path:
    """A folder with these files alone."""
    folder.mkdir()
    for path in files:
        (folder / path.name).symlink_to(path.absolute())
    return folder


@dataclass(frozen=True, slots=True)
class Part:
    """So many files in a folder, and, where they are many, some of them in another."""

    count: int
    folder: Path
    few: int
    part: Path | None


def contenders(options: argparse.Namespace, report: Report) -> dict[str, list[str]]:
    """The command of each, to which a folder is to be added behind the second word."""
    try:
        python = str(prepare("sql"))
    except PeerMissing as missing:
        report.note(f"{missing}; Thalweg and DuckDB run in the environment of the bench")
        python = sys.executable
    works = str(BENCH / "analytics_works.py")
    found = {name: [python, works, *asked] for name, asked in OWN.items()}
    for peer, ways in PEERS.items():
        if peer not in options.peers and "all" not in options.peers:
            continue
        try:
            python = str(prepare(peer))
        except PeerMissing as missing:
            report.figure(f"compared with {peer}", str(missing), reached=False)
            continue
        for name, given in ways.items():
            found[name] = [python, "-m", f"peers.files_{peer}", *given]
    return found


def measure(
    options: argparse.Namespace, part: Part, commands: dict[str, list[str]], report: Report
) -> None:
    """Run all in turns, and compare."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    some: list[Run] = []

    def once(name: str, where: Path) -> Run:
        return run([*commands[name][:3], str(where), *commands[name][3:]], name)

    for name in OWN:
        once(name, part.part or part.folder)  # compiled files and the disk's cache
    rounds = min(options.rounds, FEW) if part.part is not None else options.rounds
    for number in range(rounds):
        for name in reversed(commands) if number % 2 else list(commands):
            if name.startswith("Spark") and number >= FEW:
                continue
            progress(f"{part.count} files: round {number + 1} of {rounds}, {name}")
            try:
                runs[name].append(once(name, part.folder))
            except PeerMissing as missing:
                report.figure(f"compared with {name}", str(missing), reached=False)
                del commands[name]
        if part.part is not None:
            some.append(once(THALWEG, part.part))
    runs = {name: found for name, found in runs.items() if found}
    report.table(
        f"{part.count} files: seconds of the whole process, and megabytes at most",
        ["", "that count", "on the wall", "CPU", "MB"],
        [
            [
                name,
                spread([one.counted for one in found]),
                spread([one.wall for one in found]),
                # Another process, such as that of Java, is not seen in it.
                "" if name.startswith("Spark") else spread([one.cpu for one in found]),
                f"{max(one.megabytes for one in found):.0f}",
            ]
            for name, found in runs.items()
        ],
    )
    report.note(f"medians of {rounds} interleaved rounds (least … greatest)")
    judge(part, runs, report)
    if some:
        linear(part, runs[THALWEG], some, report)


def judge(part: Part, runs: dict[str, list[Run]], report: Report) -> None:
    """The figures: time, memory, who is ahead, and whether all answer the same."""
    mine = runs[THALWEG]
    for name, found in runs.items():
        if name == THALWEG:
            continue
        pairs = list(zip(mine, found, strict=False))
        ratios = [own.wall / other.counted for own, other in pairs]
        report.numbers[f"{part.count} files, {name}"] = ratios
        ratio = statistics.median(ratios)
        if name == DUCKDB:
            cpu = statistics.median(own.cpu / other.cpu for own, other in pairs)
            report.figure(
                f"{part.count} files: at most {AT_MOST:g} times DuckDB's time at rest",
                f"{ratio:.2f} ({cpu:.2f} of the CPU time)",
                reached=ratio <= AT_MOST,
            )
        elif name.startswith("Spark"):
            report.figure(
                f"{part.count} files: at least {SPARK:g} times as fast as {name}",
                f"{1 / ratio:.1f}", reached=1 / ratio >= SPARK,
            )  # fmt: skip
        else:
            report.figure(
                f"{part.count} files: ahead of {name}", f"{1 / ratio:.2f} times", reached=ratio < 1
            )
    megabytes = max(one.megabytes for one in mine)
    report.numbers[f"{part.count} files, megabytes"] = megabytes
    report.figure(
        f"{part.count} files: peak memory under {MEGABYTES:g} MB",
        f"{megabytes:.0f} MB", reached=megabytes < MEGABYTES,
    )  # fmt: skip
    expected = runs[DUCKDB][0].answers
    differ = [n for n, found in runs.items() if not all(same(o.answers, expected) for o in found)]
    report.figure(
        f"{part.count} files: all answers equal, means within 1e-9",
        f"not those of {differ}" if differ else "yes", reached=not differ,
    )  # fmt: skip


def linear(part: Part, many: Sequence[Run], few: Sequence[Run], report: Report) -> None:
    """Whether more files take no more time each."""
    each = statistics.median(one.wall for one in many) / part.count
    first = statistics.median(one.wall for one in few) / part.few
    report.numbers["seconds a file"] = {f"{part.few}": first, f"{part.count}": each}
    report.figure(
        f"a file among {part.count}, at most {GROWTH:g} times the time of one among {part.few}",
        f"{each / first:.2f} ({each * 1000:.1f} ms)", reached=each <= GROWTH * first,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
