"""What the plan refuses of the streams that fill tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from thalweg import Graph, GraphError, KeyedState, Operator, Row, Stream
from thalweg.operators import aggregate, aggregates, cube, group_by, sinks, sources, where
from thalweg.runtime.contracts import TableMode

pytest.importorskip("duckdb")

Declare = Callable[[Stream[Row]], object]

COUNT = {"n": aggregates.count()}


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
    declare(rows)
    graph.plan()


def groups(rows: Stream[Row], mode: TableMode, name: str = "groups") -> Stream[Row]:
    return rows.via(name, group_by("k", measures=COUNT, mode=mode), volatile=True)


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
]


@pytest.mark.parametrize(("declare", "message"), REFUSED)
def test_what_a_table_would_misread_is_refused_with_file_and_line(
    declare: Declare, message: str
) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        plan(declare)
    assert __file__ in str(caught.value)
