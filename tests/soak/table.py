"""A graph with one sink, a table in PostgreSQL: for two copies on one state.

thalweg run table.py --state postgresql://… --set job=NAME --set …
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thalweg import Graph, setting
from thalweg.operators import fold, sinks, sources

job: str = setting("job", default="table", help="the name of the job")
folder: Path = setting("folder", default=Path("out/table"), help="where the input is")
rate: float = setting("rate", default=150.0, help="visits a second")
postgres: str = setting("postgres", default="postgresql://localhost/test", help="the database")
table: str = setting("table", default="visits", help="its table")

Seen = tuple[int, int]


def nothing() -> Seen:
    """What is known of a user who has not come."""
    return -1, 0


def one_more(seen: Seen, visit: dict[str, Any]) -> Seen:
    """The last visit of a user, and how many there were."""
    return visit["n"], seen[1] + 1


graph = Graph(job, max_batch_size=16)
visits = graph.read("visits", sources.ndjson_records(folder / "visits.ndjson", rate=rate))
users = visits.key_by(lambda visit: visit["user"]).via("users", fold(nothing, one_more))
rows = users.map(lambda item: {"user": item[0], "n": item[1][0], "count": item[1][1]})
rows.to("table", sinks.postgresql(postgres, table))
