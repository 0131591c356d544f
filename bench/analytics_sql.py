"""SQL against the tables of a stream of files while it runs at full load.

    python bench/analytics_sql.py
    python bench/analytics_sql.py --folder out/activity --rounds 3

One graph reads activity files as fast as it can, one a trigger, and keeps counts, a cube and means
as tables. In every other run it is asked all the time, each query so many seconds after the last
began: what counts is how long answers take, and how much longer the whole run does. Runs take
turns, in processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from measure import Report, arguments, progress, spread

from thalweg import Graph, TableMissing
from thalweg.graphs.data.activity import ROWS, write_activity
from thalweg.operators import aggregates, cube, group_by, sinks, sources

if TYPE_CHECKING:
    from thalweg.runtime.job import Job

SOURCE = Path(__file__).resolve().parent.parent / "src"
QUERIES = (
    "from counts order by Device, gt",
    "select gt, sum(rows) as rows from counts group by gt order by rows desc",
    "select c.gt, c.rows, m.mean_x from cube c join means m using (gt) where c.grouping = 2",
    "select name, rows, version from thalweg_tables",
)
MILLISECONDS = 50.0
DOWN = 0.10
TYPES: dict[str, str | type] = {
    "Arrival_Time": int, "Creation_Time": int, "Device": str, "Index": int, "Model": str,
    "User": str, "gt": str, "x": float, "y": float, "z": float,
}  # fmt: skip


def main() -> int:
    """Run in turns, and return the exit status."""
    parser = arguments("Answers to SQL while a stream of files runs at full load.")
    parser.add_argument("--files", type=int, default=80, help="activity files")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows in each")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--every", type=float, default=0.1, help="seconds from query to query")
    parser.add_argument("--folder", type=Path, help="files that are there, or are kept for later")
    parser.add_argument("--run", choices=["asked", "unasked"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(once(options, options.folder))))
        return 0
    report = Report(f"SQL while {options.files} files of {options.rows:,} rows are read")
    with tempfile.TemporaryDirectory() as name:
        progress("writing the files")
        folder = options.folder or Path(name)
        write_activity(folder, files=options.files, rows=options.rows, keep=True)
        measure(options, folder, report)
    return report.finish(options)


def graph_of(options: argparse.Namespace, folder: Path) -> Graph:
    """Three tables that change together behind each file."""
    graph = Graph("asked")
    files = sources.files(
        [str(path) for path in sorted(folder.glob("*.json"))[: options.files]],
        format="ndjson", schema=TYPES, max_files_per_trigger=1,
    )  # fmt: skip
    read = graph.read("files", files)
    rows = {"rows": aggregates.count()}
    means = {f"mean_{axis}": aggregates.mean(axis) for axis in "xyz"}
    for name, operator in {
        "counts": group_by("Device", "gt", measures=rows, mode="complete"),
        "cube": cube("Device", "gt", measures=rows, mode="complete"),
        "means": group_by("gt", "Model", measures=means, mode="complete"),
    }.items():
        told = read.via(f"group_{name}", operator, volatile=True)
        told.to(name, sinks.table(name, mode="complete"))
    return graph


async def once(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run: its seconds, its rows, and the seconds of each answer."""
    answers: list[float] = []
    began = time.perf_counter()
    async with graph_of(options, folder).start() as job:
        asking = asyncio.create_task(ask(job, options.every, answers))
        if options.run == "unasked":
            asking.cancel()
        await job.wait()
        took = time.perf_counter() - began
        asking.cancel()
        # It ends by an error only when an answer was one: that is one of this bench.
        await asyncio.gather(asking, return_exceptions=True)
        if not asking.cancelled():
            asking.result()
        total = await job.sql("select sum(rows)::bigint as rows from counts")
    return {"seconds": took, "answers": answers, "rows": int(total.rows()[0]["rows"])}


async def ask(job: Job, every: float, answers: list[float]) -> None:
    """Ask one query after the other, and note the seconds until each is answered."""
    for query in cycle(QUERIES):
        began = time.perf_counter()
        try:
            await job.sql(query)
        except TableMissing:
            pass  # Nothing came for it yet.
        else:
            answers.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, every - (time.perf_counter() - began)))


def run(options: argparse.Namespace, folder: Path, kind: str) -> dict[str, Any]:
    """A run in a process of its own, on the loop that graphs have."""
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, __file__, "--run", kind, "--folder", str(folder)]
    for name in ("files", "every"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    told: dict[str, Any] = json.loads(done.stdout)
    if told["rows"] != options.files * options.rows:
        raise AssertionError(f"{told['rows']} rows were counted")
    return told


def measure(options: argparse.Namespace, folder: Path, report: Report) -> None:
    """The rounds, and what came of them."""
    run(options, folder, "asked")  # compiled files and the disk's cache
    runs: dict[str, list[dict[str, Any]]] = {"unasked": [], "asked": []}
    for number in range(options.rounds):
        for kind in reversed(runs) if number % 2 else list(runs):
            progress(f"round {number + 1} of {options.rounds}, {kind}")
            runs[kind].append(run(options, folder, kind))
    rows = options.files * options.rows
    report.table(
        "a million rows a second",
        ["", "rate", "answers"],
        [
            [
                kind,
                spread([rows / one["seconds"] / 1e6 for one in some]),
                f"{sum(len(one['answers']) for one in some):,}",
            ]
            for kind, some in runs.items()
        ],
    )
    answers = sorted(1000 * one for some in runs["asked"] for one in some["answers"])
    tail = answers[min(len(answers) - 1, int(0.99 * len(answers)))]
    report.table(
        "milliseconds until a query is answered",
        ["", "median", "p99", "worst"],
        [["job.sql", f"{statistics.median(answers):.1f}", f"{tail:.1f}", f"{answers[-1]:.1f}"]],
    )
    shares = [
        plain["seconds"] / asked["seconds"]
        for plain, asked in zip(runs["unasked"], runs["asked"], strict=True)
    ]
    down = 1 - statistics.median(shares)
    report.numbers |= {"milliseconds": answers, "shares of the rate": shares}
    report.figure(
        f"p99 of answers under {MILLISECONDS:g} ms", f"{tail:.1f} ms", reached=tail < MILLISECONDS
    )
    report.figure(
        f"the rate down by less than {DOWN:.0%}, asked each {options.every:g} s",
        f"{down:.1%}", reached=down < DOWN,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
