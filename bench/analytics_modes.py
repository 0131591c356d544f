"""Whether groups, cubes and windows tell in each mode what Spark Structured Streaming tells.

    python bench/analytics_modes.py
    python bench/analytics_modes.py --record tests/bench/as_spark.json

A few small files of readings, with gaps and out of order, one file per trigger, in both. What is
told is compared file by file, row for row; means and variances to 1e-9. In mode "append" the rows
are compared as a whole, since Spark tells a window that is over with the next file, and windows
that are not over at the end, which only Thalweg tells, are left out. `--record` keeps what Spark
has told, for a test that runs without it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from environments import BENCH, PeerMissing, prepare
from measure import Report, arguments, progress
from peers.modes import FILES, LATENESS, QUERIES, Batches, Query, write_files

from thalweg import Graph, Row, Sink
from thalweg.operators import aggregates, cube, group_by, rollup, sources, windows

TYPES: dict[str, str | type] = {
    "Arrival_Time": int, "Creation_Time": int, "Device": str, "Index": int, "Model": str,
    "User": str, "gt": str, "x": float, "y": float, "z": float,
}  # fmt: skip
CLOSE = 1e-9
LIMIT = 600.0


class Triggers(Sink[Row]):
    """Keeps the rows that come before each trigger; what comes behind the last one, too."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    async def write(self, records: Sequence[Row]) -> None:
        """Times as seconds, everything else as it is."""
        self.batches[-1] += [
            [one.timestamp() if isinstance(one, dt.datetime) else one for one in row.values()]
            for row in records
        ]

    async def on_trigger(self, number: int) -> None:
        """A file is complete."""
        self.batches.append([])


def ours(folder: Path, query: Query) -> Batches:
    """What Thalweg tells behind each file; last, what it tells at the end."""
    measures: dict[str, Any] = {"rows": aggregates.count(), "mean_x": aggregates.mean("x")}
    options: dict[str, Any] = {"mode": query.mode}
    if query.window is None:
        measures |= {
            "xs": aggregates.count("x"),
            "indices": aggregates.sum("Index"),
            "least": aggregates.min("y"),
            "most": aggregates.max("y"),
            "variance": aggregates.variance("z"),
            "deviation": aggregates.stddev("z", sample=False),
        }
    else:
        window = windows.tumbling(query.window)
        if query.every is not None:
            window = windows.hopping(query.window, query.every)
        options |= {"window": window, "time": "Arrival_Time", "unit": "ms"}
        if query.mode != "complete":
            options["lateness"] = LATENESS
    make = {"group": group_by, "cube": cube, "rollup": rollup}[query.kind]
    graph, batches = Graph("modes"), [list[list[object]]()]
    files = sources.files(
        str(folder / "*.json"), format="ndjson", schema=TYPES, max_files_per_trigger=1
    )
    operator = make(*query.keys, measures=measures, **options)
    told = graph.read("files", files).via("groups", operator, volatile=True)
    told.to("kept", Triggers(batches))
    graph.run()
    return batches


def same(query: Query, mine: Batches, theirs: Batches) -> bool:
    """Whether both have told the same rows, for each file or, in mode "append", in all."""
    mine, end = mine[: len(FILES)], mine[len(FILES) :]
    if query.mode == "append":
        mine, theirs = [list(chain(*mine))], [list(chain(*theirs))]
    else:
        rest = chain(*theirs[len(FILES) :], *end)
        if next(rest, None) is not None:
            return False
        theirs = theirs[: len(FILES)]
    return len(mine) == len(theirs) and all(map(alike, mine, theirs))


def alike(mine: list[list[object]], theirs: list[list[object]]) -> bool:
    """Whether rows are the same in any order, fractions to 1e-9."""
    keyed = [sorted(rows, key=lambda row: repr(_whole(row))) for rows in (mine, theirs)]
    return len(mine) == len(theirs) and all(map(_close, *keyed))


def _whole(row: list[object]) -> list[object]:
    """A row by what is no fraction: that comes first, and tells one group from another."""
    return [one for one in row if not isinstance(one, float) or one.is_integer()]


def _close(mine: list[object], theirs: list[object]) -> bool:
    return len(mine) == len(theirs) and all(
        a == b
        or (
            isinstance(a, float)
            and isinstance(b, float | int)
            and abs(a - b) <= CLOSE * max(1.0, abs(b))
        )
        for a, b in zip(mine, theirs, strict=True)
    )


def from_spark(folder: Path) -> dict[str, Batches]:
    """What Spark tells of these files, by query. Raises PeerMissing."""
    python = prepare("spark")
    path = os.pathsep.join(filter(None, [str(BENCH.parent / "src"), os.environ.get("PYTHONPATH")]))
    progress("Spark is asked, which takes a minute")
    done = subprocess.run(
        [str(python), "-m", "peers.modes_spark", str(folder)],
        capture_output=True, text=True, cwd=BENCH, timeout=LIMIT, check=False,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise PeerMissing(f"spark failed: {last[0]}")
    told: dict[str, Batches] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> int:
    """Ask both, compare, and return the exit status."""
    parser = arguments("Groups, cubes and windows in each mode, against Spark.")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep what Spark has told")
    parser.add_argument("--against", type=Path, metavar="FILE", help="what was kept, not Spark")
    options = parser.parse_args()
    report = Report(f"modes: {len(FILES)} files, {len(QUERIES)} queries, against Spark")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        try:
            theirs = (
                json.loads(options.against.read_text()) if options.against else from_spark(folder)
            )
        except PeerMissing as missing:
            report.figure("the same rows as Spark", str(missing), reached=False)
            return report.finish(options)
        if options.record is not None:
            lines = (f"{json.dumps(name)}: {json.dumps(told)}" for name, told in theirs.items())
            options.record.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        counts: list[list[str]] = []
        for query in QUERIES:
            mine = ours(folder, query)
            equal = same(query, mine, theirs[query.name])
            sides = (mine, theirs[query.name])
            counts.append(
                [query.name, *(f"{sum(map(len, some[: len(FILES)])):,}" for some in sides)]
            )
            report.figure(f"{query.name}: the same rows", "yes" if equal else "no", reached=equal)
    report.table("rows told until the last file", ["", "thalweg", "Spark"], counts)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
