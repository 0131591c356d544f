"""The work of `analytics.py` on Pathway, with a thread for each of two processors."""

from __future__ import annotations

import os

os.environ["PATHWAY_THREADS"] = "2"

import pathway as pw  # type: ignore[import-not-found]

from peers.activity_files import Answers, tell


class Reading(pw.Schema):  # type: ignore[misc]
    """The columns that are asked for."""

    Device: str
    gt: str
    Model: str
    x: float
    y: float
    z: float


def as_tables(folder: str) -> tuple[Answers, dict[str, float]]:
    kept: dict[str, dict[object, list[object]]] = {"counts": {}, "cube": {}, "means": {}}

    def keep(name: str, table: object, *columns: str, grouping: int | None = None) -> None:
        def change(key: object, row: dict[str, object], time: int, is_addition: bool) -> None:
            values = [row.get(column) for column in columns]
            if grouping is not None:
                values.insert(2, grouping)
            if is_addition:
                kept[name][grouping, key] = values
            elif kept[name].get((grouping, key)) == values:
                del kept[name][grouping, key]

        pw.io.subscribe(table, on_change=change)

    readings = pw.io.jsonlines.read(folder + "/*.json", schema=Reading, mode="static")
    by_both = readings.groupby(readings.Device, readings.gt).reduce(
        readings.Device, readings.gt, rows=pw.reducers.count()
    )
    keep("counts", by_both, "Device", "gt", "rows")
    # The cube is made of the counts: that is less work than to group the readings anew.
    keep("cube", by_both, "Device", "gt", "rows", grouping=0)
    rows = pw.reducers.sum(by_both.rows)
    by_device = by_both.groupby(by_both.Device).reduce(by_both.Device, rows=rows)
    keep("cube", by_device, "Device", "none", "rows", grouping=1)
    by_activity = by_both.groupby(by_both.gt).reduce(by_both.gt, rows=rows)
    keep("cube", by_activity, "none", "gt", "rows", grouping=2)
    keep("cube", by_both.reduce(rows=rows), "none", "none", "rows", grouping=3)
    averages = readings.groupby(readings.gt, readings.Model).reduce(
        readings.gt,
        readings.Model,
        x=pw.reducers.avg(readings.x),
        y=pw.reducers.avg(readings.y),
        z=pw.reducers.avg(readings.z),
    )
    keep("means", averages, "gt", "Model", "x", "y", "z")
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    return {name: list(rows.values()) for name, rows in kept.items()}, {}


tell(as_tables)
