"""What shoulder exercises look like to a smartwatch: features of each five seconds.

thalweg run watch_exercises
thalweg run watch_exercises --set series=140 --http :9464
thalweg sql watch_exercises 'select exercise, avg(stddev_strength) from features group by 1'

Each window of a series becomes one row: mean, deviation, least and greatest of three axes of
acceleration, three of turning, and of how strong both are. The last window of a series is shorter
than the others; `samples` tells. The data is that of the package seglearn: pip install
'thalweg[graphs,sql]'.
"""

from __future__ import annotations

from typing import Any

from thalweg import Graph, setting
from thalweg.graphs.data.packaged import Loaded
from thalweg.graphs.data.watch import SENSORS, watch_series
from thalweg.operators import aggregates, derive, group_by, sinks, windows
from thalweg.operators.aggregates import Measure

series = setting("series", 140, "how many of the 140 series", minimum=1, maximum=140)
rate = setting("rate", 0.0, "rows read per second at most; 0 is no limit", minimum=0)
out = setting("out", "out/watch", "the folder that the results go to")

SERIES = ("series", "subject", "exercise", "side")

FEATURES: dict[str, Measure[Any, Any]] = {"samples": aggregates.count()}
for signal in (*SENSORS, "strength", "turning"):
    FEATURES.update(
        {
            f"mean_{signal}": aggregates.mean(signal),
            f"stddev_{signal}": aggregates.stddev(signal),
            f"min_{signal}": aggregates.min(signal),
            f"max_{signal}": aggregates.max(signal),
        }
    )

graph = Graph("watch_exercises")

measured = graph.read("watch", Loaded(lambda: watch_series(series), rate=rate or None)).via(
    "strength",
    derive(
        strength="sqrt(ax * ax + ay * ay + az * az)", turning="sqrt(gx * gx + gy * gy + gz * gz)"
    ),
)

# What this remembers is saved where there is a store, and begins anew where there is none.
features = measured.via(
    "each_five_seconds",
    group_by(
        *SERIES, measures=FEATURES, mode="append",
        window=windows.tumbling("5s"), time="at", unit="ms", every="1s",
    ),
    volatile=True,
)  # fmt: skip
features.to("features", sinks.table("features"))
features.to("features_file", sinks.ndjson(f"{out}/features.ndjson"))

graph.failed.to("failed", sinks.ndjson(f"{out}/failed.ndjson"))
