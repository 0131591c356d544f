"""The same three answers about activity files, by each contender, in a process of its own.

    python bench/analytics_works.py thalweg out/activity

Prints a line of JSON: the answers, and its peak memory.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from typing import Any

Answers = dict[str, list[list[Any]]]

COLLECTOR = (50_000, 20, 50)
"""The garbage collector's settings: those of `thalweg run`, for everyone who takes part."""

SCHEMA = {
    "Arrival_Time": "BIGINT", "Creation_Time": "BIGINT", "Device": "VARCHAR", "Index": "BIGINT",
    "Model": "VARCHAR", "User": "VARCHAR", "gt": "VARCHAR",
    "x": "DOUBLE", "y": "DOUBLE", "z": "DOUBLE",
}  # fmt: skip
"""What stands in the files: everybody is told."""


def thalweg(folder: str) -> Answers:
    """As a stream: one file a trigger, three aggregations at once, each told at each trigger."""
    from thalweg import ColumnOperator, Graph, Sink
    from thalweg.operators import aggregates, cube, group_by, sources

    class Last(Sink[Any]):
        """Keeps the last complete result."""

        def __init__(self, name: str) -> None:
            self.name = name

        async def write(self, records: Any) -> None:
            raise AssertionError("columns come")

        async def write_columns(self, columns: Any) -> None:
            answers[self.name] = [list(row.values()) for row in columns.rows()]

    answers: Answers = {}
    rows = {"rows": aggregates.count()}
    means = {f"mean_{axis}": aggregates.mean(axis) for axis in "xyz"}
    operators: dict[str, ColumnOperator] = {
        "counts": group_by("Device", "gt", measures=rows, mode="complete"),
        "cube": cube("Device", "gt", measures=rows, mode="complete"),
        "means": group_by("gt", "Model", measures=means, mode="complete"),
    }
    graph = Graph("activity")
    files = sources.files(
        f"{folder}/*.json", format="ndjson", schema=SCHEMA, max_files_per_trigger=1
    )
    read = graph.read("files", files)
    for name, operator in operators.items():
        read.via(name, operator, volatile=True).to(f"{name}_kept", Last(name))
    graph.run()
    return answers


def duckdb(folder: str) -> Answers:
    """All files at rest, in one query of grouping sets."""
    import duckdb

    link = duckdb.connect()
    found = link.execute(
        "select Device, gt, Model, grouping(Device, gt, Model), count(*), avg(x), avg(y), avg(z) "
        "from read_json($files, format = 'newline_delimited', columns = $columns) "
        "group by grouping sets ((Device, gt), (Device), (gt), (), (gt, Model))",
        {"files": f"{folder}/*.json", "columns": SCHEMA},
    ).fetchall()
    # The bits are those of Device, gt and Model; of the cube's only those of the first two.
    return {
        "counts": [[d, gt, n] for d, gt, _, bits, n, *_ in found if bits == 0b001],
        "cube": [[d, gt, bits >> 1, n] for d, gt, _, bits, n, *_ in found if bits & 0b001],
        "means": [[gt, model, *xyz] for _, gt, model, bits, _, *xyz in found if bits == 0b100],
    }


def main() -> None:
    """Run the one that is asked for."""
    gc.set_threshold(*COLLECTOR)
    answers = {"thalweg": thalweg, "duckdb": duckdb}[sys.argv[1]](sys.argv[2])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"answers": answers, "megabytes": memory}))


if __name__ == "__main__":
    main()
