"""The files and the queries of `analytics_modes.py`: the same for everyone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thalweg.graphs.data.activity import activity_lines

__all__ = ["FILES", "LATENESS", "QUERIES", "Batches", "Query", "write_files"]

FILES = (0, 80, 160, 1, 240)
"""Numbers of activity files. Each of the others is later than those before; 1 is as old as 0, so
that all of it comes too late for its windows, also on Spark, which judges by the files before."""

ROWS = 90
LATENESS = 5.0
BEGAN = 1_700_000_000

Batches = list[list[list[object]]]
"""Rows for each file: the values of a row in the order of its columns, times in seconds."""


@dataclass(frozen=True, slots=True)
class Query:
    """Several measures of readings, by keys and windows of so many seconds, told in one mode."""

    name: str
    mode: Literal["append", "update", "complete"]
    keys: tuple[str, ...]
    kind: Literal["group", "cube", "rollup"] = "group"
    window: float | None = None
    every: float | None = None


QUERIES = (
    Query("groups, update", "update", ("Device", "gt")),
    Query("groups, complete", "complete", ("Device", "gt")),
    Query("cube, update", "update", ("Device", "gt"), "cube"),
    Query("cube, complete", "complete", ("Device", "gt"), "cube"),
    Query("rollup, complete", "complete", ("gt", "Device"), "rollup"),
    Query("tumbling windows, append", "append", ("gt",), window=10.0),
    Query("tumbling windows, update", "update", ("gt",), window=10.0),
    Query("tumbling windows, complete", "complete", (), window=10.0),
    Query("hopping windows, append", "append", (), window=20.0, every=10.0),
)


def write_files(folder: Path) -> None:
    """Write the files, the times of their last changes in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, number in enumerate(FILES):
        path = folder / f"part-{place}.json"
        path.write_text("".join(_lines(number)))
        os.utime(path, (BEGAN + place, BEGAN + place))


def _lines(number: int) -> Iterator[str]:
    """The readings of a file, some out of order by less than two seconds, some with gaps."""
    readings = [json.loads(line) for line in activity_lines(number, rows=ROWS)]
    places = sorted(range(ROWS), key=lambda at: (readings[at]["Arrival_Time"] + at % 7 * 300, at))
    for at in places:
        reading = readings[at]
        if at % 17 == 0:
            del reading["gt"]
        if at % 23 == 0:
            reading["x"] = None
        if at % 29 == 0:
            reading["Device"] = None
        yield json.dumps(reading, separators=(",", ":")) + "\n"
