"""The work of `analytics.py` on Spark Structured Streaming, set up as well as it can be.

Two processors, two shuffle partitions, no pages, and a schema that is given; all three answers come
from one query of grouping sets, or, with `each` behind the folder, from a query for each at the
same time, which is how it is mostly written, and reads every file three times. What is told as
`seconds` begins when the session has been made and has answered a first query.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession  # type: ignore[import-not-found]

from peers.activity_files import Answers, tell

SCHEMA = (
    "Arrival_Time bigint, Creation_Time bigint, Device string, Index bigint, Model string, "
    "User string, gt string, x double, y double, z double"
)
ALL_IN_ONE = (
    "select Device, gt, Model, grouping_id(Device, gt, Model) as bits, count(*) as rows, "
    "avg(x) as x, avg(y) as y, avg(z) as z from readings "
    "group by grouping sets ((Device, gt), (Device), (gt), (), (gt, Model))"
)
EACH = {
    "counts": "select Device, gt, count(*) as rows from readings group by Device, gt",
    "cube": (
        "select Device, gt, cast(grouping_id() as int) as bits, count(*) as rows from readings "
        "group by cube(Device, gt)"
    ),
    "means": (
        "select gt, Model, avg(x) as x, avg(y) as y, avg(z) as z from readings group by gt, Model"
    ),
}


def session(home: str) -> Any:
    """A session of Spark in this process's own folder, as quiet and as quick as it can be."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.adaptive.enabled": "false",
        "spark.local.dir": home,
        "spark.sql.warehouse.dir": f"{home}/warehouse",
        "spark.driver.memory": "4g",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def megabytes_of_java() -> float:
    """The peak memory of the machine for Java that this process has started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    told = "\n".join(Path(f"/proc/{child}/status").read_text() for child in children)
    peaks = [line.split()[1] for line in told.splitlines() if line.startswith("VmHWM:")]
    return max(map(int, peaks)) / 1024


def run(spark: Any, home: str, queries: dict[str, str]) -> dict[str, list[list[Any]]]:
    """The last complete result of each query, when all files have been read."""
    running = [
        spark.sql(text).writeStream.outputMode("complete").format("memory").queryName(name)
        .option("checkpointLocation", f"{home}/{name}").trigger(availableNow=True).start()
        for name, text in queries.items()
    ]  # fmt: skip
    for query in running:
        query.awaitTermination()
    return {name: [list(row) for row in spark.table(name).collect()] for name in queries}


def streamed(folder: str) -> tuple[Answers, dict[str, float]]:
    each = sys.argv[2:] == ["each"]
    with tempfile.TemporaryDirectory() as home:
        spark = session(home)
        spark.range(1).count()
        began = time.perf_counter()
        reading = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1)
        reading.json(folder).createOrReplaceTempView("readings")
        answers: Answers = run(spark, home, EACH if each else {"told": ALL_IN_ONE})
        took = time.perf_counter() - began
        megabytes = megabytes_of_java()
        spark.stop()
    if not each:
        # The bits are those of Device, gt and Model; of the cube's only those of the first two.
        told = answers["told"]
        answers = {
            "counts": [[d, gt, n] for d, gt, _, bits, n, *_ in told if bits == 0b001],
            "cube": [[d, gt, bits >> 1, n] for d, gt, _, bits, n, *_ in told if bits & 0b001],
            "means": [[gt, model, *xyz] for _, gt, model, bits, _, *xyz in told if bits == 0b100],
        }
    return answers, {"seconds": took, "megabytes": megabytes}


if __name__ == "__main__":
    tell(streamed)
