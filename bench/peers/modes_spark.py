"""The queries of `analytics_modes.py` on Spark Structured Streaming, one file per trigger."""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

from pyspark.sql import functions  # type: ignore[import-not-found]

from peers.files_spark import SCHEMA, session
from peers.modes import LATENESS, QUERIES, Batches, Query


def measures(query: Query) -> list[Any]:
    some = [functions.count("*").alias("rows"), functions.avg("x").alias("mean_x")]
    if query.window is None:
        some += [
            functions.count("x"), functions.sum("Index"), functions.min("y"), functions.max("y"),
            functions.var_samp("z"), functions.stddev_pop("z"),
        ]  # fmt: skip
    if query.kind != "group":
        some.insert(0, functions.grouping_id().cast("int"))
    return some


def grouped(readings: Any, query: Query) -> Any:
    if query.window is None:
        grouping = {"group": readings.groupBy, "cube": readings.cube, "rollup": readings.rollup}
        return grouping[query.kind](*query.keys).agg(*measures(query))
    every = query.every or query.window
    window = functions.window("at", f"{query.window} seconds", f"{every} seconds")
    timed = readings.withColumn("at", functions.timestamp_millis("Arrival_Time"))
    told = timed.withWatermark("at", f"{LATENESS} seconds")
    found = told.groupBy(window.alias("window"), *query.keys).agg(*measures(query))
    ends = [functions.unix_millis(f"window.{end}") / 1000 for end in ("start", "end")]
    return found.select(*ends, *[name for name in found.columns if name != "window"])


def run(spark: Any, folder: str, home: str, query: Query) -> Batches:
    batches: Batches = []

    def keep(found: Any, number: int) -> None:
        rows = [list(row) for row in found.collect()]
        while len(batches) <= number:
            batches.append([])
        batches[number] += rows

    reading = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(folder)
    running = (
        grouped(reading, query).writeStream.outputMode(query.mode).foreachBatch(keep)
        .option("checkpointLocation", f"{home}/{query.name}").trigger(availableNow=True).start()
    )  # fmt: skip
    running.awaitTermination()
    return batches


def main() -> None:
    """Print what each query tells at each of its batches."""
    with tempfile.TemporaryDirectory() as home:
        spark = session(home)
        print(json.dumps({one.name: run(spark, sys.argv[1], home, one) for one in QUERIES}))
        spark.stop()


main()
