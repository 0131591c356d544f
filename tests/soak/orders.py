"""The graph that is killed: two files, one of which grows, and every kind of sink.

    thalweg run orders.py --state DIR --set folder=DIR

What comes out is made of one lane each, so that the order in it can be told.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from thalweg import Graph, setting
from thalweg.operators import aggregates, fold, sinks, sources, window, windows
from thalweg.operators.windows import Window

Record = dict[str, Any]

job: str = setting("job", default="orders", help="the name of the job")
folder: Path = setting(
    "folder", default=Path("out/orders"), help="where the input is, and the output"
)
rate: float = setting("rate", default=4000.0, help="orders a second")
follow: bool = setting("follow", default=False, help="whether the file of visits still grows")
postgres: str = setting("postgres", default="", help="a PostgreSQL for a table of results, if any")
table: str = setting("table", default="orders", help="the table")
columns: bool = setting(
    "columns", default=False, help="whether columns are written too, as Parquet"
)

Seen = tuple[int, int, int]
"""The last record of a user, how many there were, and the sum of their amounts."""


def nothing() -> Seen:
    """What is known of a user who has not been seen."""
    return -1, 0, 0


def one_more(seen: Seen, record: Record) -> Seen:
    """What is known after one more record."""
    return record["n"], seen[1] + 1, seen[2] + record["amount"]


def told(lane: str, item: tuple[str, Seen]) -> Record:
    """What is known of a user, as a record."""
    n, count, amount = item[1]
    return {"lane": lane, "n": n, "user": item[0], "count": count, "amount": amount}


def closed(one: Window[str, int]) -> Record:
    """A window as a record."""
    return {"user": one.key, "start": one.start, "end": one.end, "value": one.value}


_seen = -1


def note(record: Record, key: str | None) -> None:
    """Write down at once what has come, with its key: this sink commits nothing."""
    global _seen
    if _seen < 0:
        _seen = os.open(folder / "seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(_seen, f"{record['lane']} {record['n']} {record['count']} {key}\n".encode())


graph = Graph(job, max_batch_size=64)

orders = graph.read(
    "orders",
    sources.csv_records(
        folder / "orders.csv",
        columns={"n": int, "user": str, "amount": int, "at": float},
        rate=rate,
    ),
)
visits = graph.read(
    "visits", sources.ndjson_records(folder / "visits.ndjson", follow=follow, poll_interval=0.01)
)

spent = orders.key_by(lambda order: order["user"], name="buyer").via(
    "spent", fold(nothing, one_more)
)
came = visits.key_by(lambda visit: visit["user"], name="visitor").via(
    "came", fold(nothing, one_more)
)
counts = spent.map(lambda item: told("orders", item), name="spent_told").union(
    came.map(lambda item: told("visits", item), name="came_told")
)
counts.to("lines", sinks.ndjson(folder / "counts.ndjson"))
counts.to("files", sinks.ndjson(folder / "counts", files="epoch"))
counts.to("rows", sinks.sqlite(folder / "counts.db", "counts"))
counts.to("latest", sinks.sqlite(folder / "latest.db", "latest", key=["lane", "user"]))
counts.to("seen", sinks.each(note, keyed=True))
if postgres:
    counts.to("table", sinks.postgresql(postgres, table))
if columns:
    counts.to("columns", sinks.parquet(folder / "columns"))

timed = orders.event_time(lambda order: order["at"], unit="s", lateness=5.0)
hours = timed.key_by(lambda order: order["user"], name="buyer_then").via(
    "hours", window(windows.tumbling("1min"), aggregates.counting())
)
hours.map(closed, name="closed").to("windows", sinks.ndjson(folder / "windows.ndjson"))
timed.late.to("late", sinks.ndjson(folder / "late.ndjson"))
graph.failed.to("failed", sinks.ndjson(folder / "failed.ndjson"))
