"""What people do, counted while files of readings come in: five tables that answer SQL meanwhile.

thalweg run activity_counts
thalweg run activity_counts --set 'data=activity-data/*.json'
thalweg run activity_counts --http :9464 --set follow=yes
thalweg sql activity_counts 'from counts order by Device, gt'

The readings are those of the accelerometers of two phones, in the shape of the published
Heterogeneity Activity data; where none are named they are generated. Behind each file the tables
change together, and a file for each says how it stands. `gt` is what somebody did, and one thing
is the text `null`: the column `grouping` tells it from a subtotal.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import orjson

from thalweg import Context, Graph, Row, Sink, Stream, setting
from thalweg.graphs.data.activity import ROWS, write_activity
from thalweg.operators import aggregates, cube, group_by, join_table, rollup, sinks, sources, where

data = setting("data", "", "files of readings, such as data/*.json; without it they are generated")
generate = setting("generate", 10, "how many files are generated, in OUT/readings", minimum=1)
rows = setting("rows", ROWS, "readings in each file that is generated", minimum=1)
history = setting("history", "", "files of the historical readings; without it those there are")
files_per_trigger = setting(
    "files_per_trigger", 1, "files behind which the tables change", minimum=1
)
follow = setting("follow", False, "go on with files that come later, until the job is stopped")
out = setting("out", "out/activity", "the folder that the results go to")

TYPES: dict[str, str | type] = {
    "Arrival_Time": int, "Creation_Time": int, "Device": str, "Index": int, "Model": str,
    "User": str, "gt": str, "x": float, "y": float, "z": float,
}  # fmt: skip

COUNT = {"rows": aggregates.count()}
MEANS = {f"mean_{axis}": aggregates.mean(axis) for axis in "xyz"}

readings_there = data or f"{out}/readings/*.json"


def historical_means() -> list[Row]:
    """The means by activity and model of the readings that are at rest when the job starts.

    The job reads nothing before this has returned: until then, files that it will read are made.
    """
    if not data:
        write_activity(Path(out, "readings"), files=generate, rows=rows, keep=True)
    found: list[Row] = []
    past = Graph("activity_history")
    at_rest = past.read(
        "readings", sources.files(history or readings_there, format="ndjson", schema=TYPES)
    )
    means = group_by("gt", "Model", measures=MEANS, mode="complete")
    at_rest.via("means", means, volatile=True).to("found", sinks.collect(found))
    past.failed.to("passed_over", sinks.collect([]))
    past.run()
    return found


class Latest(Sink[Row]):
    """A file of NDJSON with the whole result as it stands: replaced at each trigger."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def open(self, context: Context) -> None:
        """Begin with nothing, and leave the file as it is until there is a result."""
        self.threads = context
        self.rows: list[Row] = []

    async def write(self, records: Sequence[Row]) -> None:
        """A part of the result."""
        self.rows += records

    async def on_trigger(self, number: int) -> None:
        """The result is whole."""
        if self.rows:
            await self.threads.in_thread(self.replace, self.rows)
            self.rows = []

    async def on_end(self) -> None:
        """What came behind the last trigger."""
        await self.on_trigger(0)

    def replace(self, rows: list[Row]) -> None:
        """Whoever reads the file sees the result before or this one, and never a part."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        hidden = self.path.with_name(f".{self.path.name}")
        hidden.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        os.replace(hidden, self.path)


graph = Graph("activity_counts")

readings = graph.read(
    "readings",
    sources.files(
        readings_there,
        format="ndjson",
        schema=TYPES,
        max_files_per_trigger=files_per_trigger,
        follow=follow,
    ),
)
climbing = readings.via(
    "climbing", where("gt like 'stairs%' and Device = 'nexus4_1' and User in ('a', 'b')")
)

# What these remember is saved where there is a store, and begins anew where there is none.
by_both = group_by("Device", "gt", measures=COUNT, mode="complete")
by_user = group_by("User", "gt", measures=COUNT, mode="complete")
by_activity = group_by("gt", "Model", measures=MEANS, mode="complete")
every_cut = cube("Device", "gt", measures=COUNT, mode="complete")
down_from_all = rollup("Device", "gt", measures=COUNT, mode="complete")
beside_history = join_table(
    ["gt", "Model"], rows=historical_means, how="left", prefix="historical_"
)

results: dict[str, Stream[Row]] = {
    "counts": readings.via("count", by_both, volatile=True),
    "cube": readings.via("count_cube", every_cut, volatile=True),
    "rollup": readings.via("count_rollup", down_from_all, volatile=True),
    "stairs": climbing.via("count_stairs", by_user, volatile=True),
    "means": readings.via("average", by_activity, volatile=True).via("compare", beside_history),
}
for name, result in results.items():
    result.to(f"table_{name}", sinks.table(name, mode="complete"))
    result.to(f"file_{name}", Latest(Path(out, f"{name}.ndjson")))

graph.failed.to("failed", sinks.ndjson(f"{out}/failed.ndjson"))
