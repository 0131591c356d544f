"""The works of `analytics_time.py` on Thalweg."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pyarrow.compute
import uvloop

from peers.serving import serve, timed
from peers.timed_events import BOUND, LATENESS, LENGTH, Event, events, sides
from thalweg import Columns, Graph, Sink, Stream
from thalweg.operators import (
    aggregates,
    group_by,
    join,
    join_columns,
    sinks,
    sources,
    window,
    windows,
)

pc: Any = pyarrow.compute

count, side_count = int(sys.argv[1]), int(sys.argv[2])


class Tables(Sink[Any]):
    """Keeps windows that stand in columns."""

    def __init__(self, tables: list[Any]) -> None:
        self.tables = tables

    async def write(self, records: Any) -> None:
        raise AssertionError("columns come")

    async def write_columns(self, columns: Columns) -> None:
        self.tables.append(columns.table)


def in_columns(given: list[Event]) -> list[int]:
    """Windows by `group_by`: records become columns at its inbox."""
    tables, late = list[Any](), list[Any]()
    graph = Graph("windows")
    measures = {"events": aggregates.count(), "values": aggregates.sum("value")}
    grouped = graph.read("events", sources.records(given)).via(
        "windows",
        group_by(
            "key", measures=measures, window=windows.tumbling(LENGTH), time="at", unit="s",
            lateness=LATENESS, mode="append", every=0.5,
        ),
        volatile=True,
    )  # fmt: skip
    grouped.to("out", Tables(tables))
    grouped.late.to("late", sinks.collect(late))
    _run(graph)
    found, values = (
        sum(pc.sum(table.column(name)).as_py() for table in tables) for name in ("events", "values")
    )
    return [sum(table.num_rows for table in tables), found, values, len(late)]


def by_record(given: list[Event]) -> list[int]:
    """Windows by `window`, a record at a time."""
    told, late = list[Any](), list[Any]()
    graph = Graph("windows")
    timed_events = graph.read("events", sources.records(given)).event_time(
        lambda event: event["at"], unit="s", lateness=LATENESS
    )
    folded = aggregates.fold(
        lambda: (0, 0), lambda before, event: (before[0] + 1, before[1] + event["value"])
    )
    timed_events.key_by(lambda event: event["key"]).via(
        "windows", window(windows.tumbling(LENGTH), folded), volatile=True
    ).to("out", sinks.collect(told))
    timed_events.late.to("late", sinks.collect(late))
    _run(graph)
    values = [one.value for one in told]
    return [len(told), sum(n for n, _ in values), sum(v for _, v in values), len(late)]


def joined_columns(given: tuple[list[Event], list[Event]]) -> list[int]:
    """Pairs within the bound, by `join_columns`: records become columns at its inbox."""
    tables: list[Any] = []
    graph = Graph("join")
    left, right = (
        graph.read(name, sources.records(rows)).event_time("at", unit="s")
        for name, rows in zip("lr", given, strict=True)
    )
    pairs = join_columns("pairs", left, right, on="key", within=BOUND, volatile=True)
    pairs.to("out", Tables(tables))
    _run(graph)
    numbers = [pc.sum(table.column(name)).as_py() for table in tables for name in ("n", "right_m")]
    return [sum(table.num_rows for table in tables), sum(numbers)]


def joined(given: tuple[list[Event], list[Event]]) -> list[int]:
    """Pairs within the bound."""
    told: list[Any] = []
    graph = Graph("join")
    left, right = (_side(graph, name, rows) for name, rows in zip("lr", given, strict=True))
    join("pairs", left, right, within=BOUND, volatile=True).to("out", sinks.collect(told))
    _run(graph)
    return [len(told), sum(one.left["n"] + one.right["m"] for one in told)]


def _side(graph: Graph, name: str, rows: list[Event]) -> Stream[tuple[str, Event]]:
    timed_rows = graph.read(name, sources.records(rows)).event_time(
        lambda event: event["at"], unit="s"
    )
    return timed_rows.key_by(lambda event: event["key"])


def _run(graph: Graph) -> None:
    async def main() -> None:
        async with graph.start() as job:
            await job.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


given_events = events(count)
given_sides = sides(side_count)
serve(
    {
        "windows, columns": lambda: timed(lambda: in_columns(given_events)),
        "windows, records": lambda: timed(lambda: by_record(given_events)),
        "join, records": lambda: timed(lambda: joined(given_sides)),
        "join, columns": lambda: timed(lambda: joined_columns(given_sides)),
    }
)
