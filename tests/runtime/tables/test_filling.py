"""What the plan refuses of streams of results: in tables, and where they are added up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from thalweg import Graph, GraphError, KeyedState, Operator, Row, Stream
from thalweg.operators import (
    aggregate,
    aggregates,
    cube,
    group_by,
    join,
    sinks,
    sources,
    where,
    window,
    windows,
)
from thalweg.runtime.contracts import TableMode

pytest.importorskip("duckdb")

Declare = Callable[[Stream[Row]], object]

COUNT = {"n": aggregates.count()}
MOST = {"n": aggregates.max("n")}


class Unsaid(Operator[Any, Any]):
    """Remembers, and does not say which results it tells."""

    def __init__(self) -> None:
        self.kept: KeyedState[str, int] = KeyedState()

    def process(self, record: Any) -> list[Any]:
        return [record]


def plan(declare: Declare) -> None:
    graph = Graph("modes")
    given: list[Row] = [{"k": "a", "n": 1}]
    rows = graph.read("rows", sources.records(given))
    rows.to("all", sinks.collect(list[Row]()))
    made = declare(rows)
    if isinstance(made, Stream):
        cast("Stream[object]", made).to("out", sinks.collect(list[object]()))
    graph.plan()


def groups(
    rows: Stream[Any], mode: TableMode, name: str = "groups", measures: Any = COUNT
) -> Stream[Row]:
    return rows.via(name, group_by("k", measures=measures, mode=mode), volatile=True)


def keyed(rows: Stream[Row]) -> Stream[tuple[Any, Row]]:
    return rows.event_time(lambda row: 0, unit="s").key_by(lambda row: row["k"])


def closed(rows: Stream[Row], emit: Any) -> Stream[Any]:
    counts = window(windows.tumbling(10), aggregates.counting(), emit=emit)
    return keyed(rows).via("windows", counts, volatile=True)


def joined(rows: Stream[Row]) -> Stream[Any]:
    return join("pairs", keyed(rows), keyed(rows), within=5, volatile=True)


FITS: list[Declare] = [
    lambda rows: rows.to("t", sinks.table("t")),
    lambda rows: rows.to("t", sinks.table("t", mode="update", key=["k"])),
    lambda rows: groups(rows, "complete").to("t", sinks.table("t", mode="complete")),
    lambda rows: (
        groups(rows, "complete")
        .via("few", where("n > 1"))
        .map(lambda row: row)
        .to("t", sinks.table("t", mode="complete"))
    ),
    lambda rows: groups(rows, "complete").to("t", sinks.table("t", mode="update", key=["k"])),
    lambda rows: groups(rows, "update").to("t", sinks.table("t", mode="update", key=["k"])),
    # Each change beside the one before, as Spark's memory sink has it.
    lambda rows: groups(rows, "update").to("t", sinks.table("t")),
    lambda rows: rows.via("own", Unsaid(), volatile=True).to(
        "t", sinks.table("t", mode="complete")
    ),
    lambda rows: rows.via("cube", cube("k", measures=COUNT), volatile=True).to(
        "t", sinks.table("t", mode="update", key=["k", "grouping"])
    ),
    # The greatest is that, however often it comes; and a function may choose what is new.
    lambda rows: groups(groups(rows, "complete"), "update", "most", MOST),
    lambda rows: groups(groups(rows, "update").filter(lambda row: row["n"] == 1), "update", "new"),
    lambda rows: groups(rows.via("own", Unsaid(), volatile=True), "complete"),
    lambda rows: groups(closed(rows, "close").map(lambda one: {"k": one.key}), "complete"),
    lambda rows: joined(rows).map(lambda one: one.left).to("t", sinks.table("t")),
]


@pytest.mark.parametrize("declare", FITS)
def test_what_goes_together_is_planned(declare: Declare) -> None:
    plan(declare)


REFUSED: list[tuple[Declare, str]] = [
    (
        lambda rows: rows.filter(bool).to("t", sinks.table("t", mode="complete")),
        "'rows' tells each row once: say mode='append'",
    ),
    (
        lambda rows: groups(rows, "update").to("t", sinks.table("t", mode="complete")),
        "'groups' tells only what has changed: say mode='complete' there",
    ),
    (
        lambda rows: rows.graph.failed.to("t", sinks.table("t", mode="complete")),
        "'rows.failed' tells each row once",
    ),
    (
        lambda rows: (
            rows.key_by(lambda row: row["k"])
            .via("counts", aggregate(aggregates.counting()), volatile=True)
            .to("t", sinks.table("t", mode="complete"))
        ),
        "'counts' tells only what has changed",
    ),
    (
        lambda rows: groups(rows, "complete").to("t", sinks.table("t")),
        "'groups' tells the whole result each time, .* say mode='complete' for the table",
    ),
    (
        lambda rows: (
            groups(rows, "complete", "one")
            .union(groups(rows, "complete", "two"))
            .to("t", sinks.table("t", mode="complete"))
        ),
        "'one' and 'two' would take each other's place",
    ),
    (
        lambda rows: rows.via("cube", cube("k", measures=COUNT), volatile=True).to(
            "t", sinks.table("t", mode="update", key=["k"])
        ),
        r"told apart by \['k', 'grouping'\]: without 'grouping' some would take the place",
    ),
    (
        lambda rows: joined(rows).to("t", sinks.table("t", mode="complete")),
        "'pairs' tells each row once",
    ),
    (
        lambda rows: closed(rows, "close").to("t", sinks.table("t", mode="complete")),
        "'windows' tells each row once",
    ),
    (
        lambda rows: closed(rows, windows.every(5)).to("t", sinks.table("t", mode="complete")),
        "'windows' tells only what has changed",
    ),
    (
        lambda rows: groups(groups(rows, "update"), "update", "again"),
        r"'again' adds up what comes, and 'groups' tells what has changed \(mode='update'\)",
    ),
    (
        lambda rows: groups(groups(rows, "complete").filter(bool), "complete", "again"),
        "'groups' tells the whole result each time .* so that it would be added again and again",
    ),
    (
        lambda rows: groups(closed(rows, "update"), "update", "again"),
        "'windows' tells what has changed",
    ),
]


@pytest.mark.parametrize(("declare", "message"), REFUSED)
def test_what_would_be_misread_is_refused_with_file_and_line(
    declare: Declare, message: str
) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        plan(declare)
    assert __file__ in str(caught.value)
