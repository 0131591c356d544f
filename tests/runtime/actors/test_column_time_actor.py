"""`event_time` by the name of a column: what a function says of each row, for many at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from thalweg import (
    Columns,
    Context,
    DeadLetter,
    Graph,
    JobFailed,
    KeyedState,
    Operator,
    Read,
    Row,
    Source,
)
from thalweg.operators import sinks, sources
from thalweg.runtime.column_times import as_times, seconds_of
from thalweg.runtime.contracts import ColumnOperator
from thalweg.runtime.lanes import Lanes
from thalweg.runtime.timestamps import Timestamps
from thalweg.testing import CollectingSink, run_virtual

pa: Any = pytest.importorskip("pyarrow")

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Heard(Operator[Any, tuple[Any, ...]]):
    """Makes records of what it hears: rows with their times, and the last watermark."""

    def __init__(self) -> None:
        self.heard: KeyedState[str, int] = KeyedState()

    def process(self, record: Any) -> Iterable[tuple[Any, ...]]:
        raise TypeError("process_at is called")

    def process_at(self, record: Any, at: float) -> Iterable[tuple[Any, ...]]:
        return [(record["n"], at)]


class Tables(Source[Row]):
    """Hands over tables, each in its lane."""

    gives_columns = True

    def __init__(self, *tables: tuple[str, Any]) -> None:
        self.tables = tables

    async def open(self, context: Context) -> None:
        self.left = self.reads()

    def reads(self) -> Iterator[Read[Row]]:
        positions = dict.fromkeys((lane for lane, _ in self.tables), 0)
        for lane, table in self.tables:
            first = positions[lane]
            positions[lane] += table.num_rows
            yield Read(Columns(table), range(first, positions[lane]), lane)

    async def read(self, limit: int) -> Read[Row] | None:
        return next(self.left, None)


def at_of(row: Row) -> Any:
    return row["at"]


Result = tuple[list[Any], list[Any], list[tuple[str, str]]]


def timed(source: Source[Any], time: Any, **options: Any) -> Result:
    """What is told below, what is late, and what is refused, with its position."""
    graph = Graph("timed")
    out, late, dead = CollectingSink[Any](), list[Row](), list[DeadLetter]()
    made = graph.read("rows", source).event_time(time, name="time", **options)
    made.via("heard", Heard(), volatile=True).to("out", out)
    made.late.to("late", sinks.collect(late))
    graph.failed.to("dead", sinks.collect(dead))

    async def main() -> None:
        async with graph.start() as job:
            await job.wait()

    run_virtual(main)
    letters = [(str(one.origin), str(one.error)) for one in dead]
    return out.records, [row["n"] for row in late], letters


VALUES = some.one_of(some.integers(0, 40), some.sampled_from([None, math.nan, 1e300, -1e300]))


@settings(max_examples=60, deadline=None)
@given(some.lists(VALUES, max_size=30), some.integers(0, 9), some.sampled_from([1, 5, 1024]))
def test_a_column_is_judged_as_a_function_of_each_row_is(
    values: list[Any], lateness: int, size: int
) -> None:
    rows = [{"n": n, "at": None if v is None else float(v)} for n, v in enumerate([7, *values])]
    table = pa.table({"n": range(len(rows)), "at": [row["at"] for row in rows]})
    options = {"unit": "s", "lateness": lateness, "max_ahead": "1d", "fail_after": None}
    expected = timed(sources.records(rows), at_of, **options)
    assert timed(sources.records(rows), "at", **options) == expected
    pieces = [("", table.slice(at, size)) for at in range(0, len(rows), size)]
    assert timed(Tables(*pieces), "at", **options) == expected


START = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "options"),
    [
        (pa.array([START, START + timedelta(seconds=1.5)], pa.timestamp("us", "UTC")), {}),
        (pa.array([START, START + timedelta(seconds=1.5)], pa.timestamp("ns", "UTC")), {}),
        (pa.array([START, START + timedelta(seconds=1.5)], pa.timestamp("ms", "Asia/Tokyo")), {}),
        (
            pa.array([datetime.fromisoformat(f"2024-03-01T01:00:0{s}") for s in ("0", "1.500")]),
            {"zone": "Europe/Vienna"},
        ),
        (pa.array(["2024-03-01T00:00:00Z", "2024-03-01T00:00:01.5Z"]), {}),
        (pa.array([1709251200000, 1709251201500]), {"unit": "ms"}),
        (pa.array([1709251200.0, 1709251201.5]), {"unit": "s"}),
        (pa.array([1709251200_000_000_000, 1709251201_500_000_000]), {"unit": "ns"}),
    ],
)
def test_times_of_any_type_are_the_same(column: Any, options: dict[str, Any]) -> None:
    table = pa.table({"n": [0, 1], "at": column})
    seconds = START.timestamp()
    assert timed(Tables(("", table)), "at", **options) == (
        [(0, seconds), (1, seconds + 1.5)],
        [],
        [],
    )


def test_a_number_that_is_meant_in_another_unit_fails_the_job_where_it_is_the_first() -> None:
    table = pa.table({"n": [0], "at": [1709251200000]})
    with pytest.raises(JobFailed, match="say unit='ms'"):
        timed(Tables(("", table)), "at", unit="s")


def test_a_column_that_there_is_not_fails_the_job() -> None:
    with pytest.raises(JobFailed, match=r"asks for the column 'when', and there are \['n', 'at'\]"):
        timed(sources.records([{"n": 1, "at": 2}]), "when", unit="s")


def test_each_lane_is_judged_by_itself() -> None:
    tables = [
        ("a", pa.table({"n": [0, 1], "at": [10.0, 20.0]})),
        ("b", pa.table({"n": [2, 3], "at": [1.0, 2.0]})),
        ("a", pa.table({"n": [4, 5], "at": [19.0, 21.0]})),
        ("b", pa.table({"n": [6, 7], "at": [3.0, 2.5]})),
    ]
    out, late, dead = timed(Tables(*tables), "at", unit="s")
    assert [n for n, _ in out] == [0, 1, 2, 3, 5, 6]
    assert late == [4, 7]
    assert not dead


def test_columns_stay_columns_and_the_source_reads_no_others_than_are_asked_for() -> None:
    class Kept(ColumnOperator):
        def asks_for(self, below: frozenset[str] | None) -> frozenset[str]:
            return frozenset({"n"})

        def process_columns(self, columns: Columns) -> Iterable[Columns]:
            return [columns]

    graph, out = Graph("stay"), list[Row]()
    source = Tables(("", pa.table({"n": [1, 2], "at": [1.0, 2.0]})))
    read = graph.read("rows", source).event_time("at", unit="s", name="time")
    read.via("kept", Kept()).to("out", sinks.collect(out))
    plan = graph.plan()
    assert plan.wanted == {"rows": frozenset({"n", "at"})}
    assert [actor.makes for actor in plan.actors] == [None, None, None, "rows"]
    graph.run()
    assert out == [{"n": 1, "at": 1.0}, {"n": 2, "at": 2.0}]


class Doubled(ColumnOperator):
    """Each row with a number that is doubled; cannot work on the number 3."""

    row_by_row = True

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        numbers = columns.table["n"].to_pylist()
        if 3 in numbers:
            raise ValueError("three")
        doubled = pa.array([2 * number for number in numbers])
        yield Columns(columns.table.set_column(0, "n", doubled))


def below_doubled(work: Any) -> Result:
    graph, out = Graph("doubled"), CollectingSink[Any]()
    dead = list[DeadLetter]()
    rows = [{"n": n, "at": float(n)} for n in range(6)]
    read = graph.read("rows", sources.records(rows)).event_time("at", unit="s")
    doubled = read.via("doubled", work)
    doubled.via("heard", Heard(), volatile=True).to("out", out)
    graph.failed.to("dead", sinks.collect(dead))
    graph.run()
    return out.records, [], [(str(one.origin), str(one.error)) for one in dead]


def test_times_are_known_below_what_works_row_by_row() -> None:
    out, _, dead = below_doubled(Doubled())
    assert out == [(0, 0.0), (2, 1.0), (4, 2.0), (8, 4.0), (10, 5.0)]
    assert [(where, "three" in text) for where, text in dead] == [("rows, record 3", True)]


def test_who_says_row_by_row_and_makes_another_number_of_rows_fails_the_job() -> None:
    class Fewer(Doubled):
        def process_columns(self, columns: Columns) -> Iterable[Columns]:
            yield columns[1:]

    with pytest.raises(JobFailed, match="works row by row, and made 5 rows of 6"):
        below_doubled(Fewer())


@settings(max_examples=100, deadline=None)
@given(
    some.lists(some.lists(some.integers(0, 30).map(float), min_size=1, max_size=6), max_size=8),
    some.sampled_from([0.0, 1.0, 10.0]),
)
def test_a_lane_judges_an_array_as_it_judges_a_list(
    batches: Sequence[list[float]], lateness: float
) -> None:
    one, other = Lanes(lateness, None), Lanes(lateness, None)
    for times in batches:
        seconds = seconds_of(pa.array([0.0, *times]).slice(1), Timestamps(unit="s"), math.inf)
        assert list(as_times(seconds)) == times
        assert other.judge_column(("s", "l"), seconds) == one.judge(("s", "l"), times)
        assert other.news() == one.news()
