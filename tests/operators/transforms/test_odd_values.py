"""Groups of values that have no place in an order, or no type: the same however they are cut."""

from __future__ import annotations

import datetime as dt
import math
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from thalweg import DeadLetter, Graph, JobFailed, Row
from thalweg.operators import aggregates, cube, group_by, sinks, sources, windows

pa: Any = pytest.importorskip("pyarrow")
duckdb: Any = pytest.importorskip("duckdb")

NAN, INFINITE = math.nan, math.inf


def run(rows: list[Row], operator: Any, batch: int) -> list[Row]:
    out = list[Row]()
    graph = Graph("odd")
    given = graph.read("rows", sources.records(rows)).batch(batch)
    given.via("groups", operator, volatile=True).to("out", sinks.collect(out))
    graph.run()
    return out


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize(
    "values",
    [
        [NAN, 1.0, 2.0],
        [1.0, NAN, 2.0, NAN],
        [2.0, None, 1.0, NAN],
        [NAN, NAN],
        [NAN, None],
        [INFINITE, 1.0, NAN],
    ],
)
def test_nan_is_one_value_and_the_greatest_as_in_sql(
    values: list[float | None], batch: int
) -> None:
    measures: dict[str, aggregates.Measure[Any, Any]] = {
        "least": aggregates.min("x"),
        "most": aggregates.max("x"),
        "kinds": aggregates.count_distinct("x"),
        "ends": aggregates.quantiles("x", [0.0, 1.0]),
    }
    rows = pa.table({"x": pa.array(values, pa.float64())})
    (theirs,) = duckdb.sql(
        "select min(x), max(x), count(distinct x), quantile_cont(x, [0.0, 1.0]) from rows"
    ).fetchall()
    assert rows.num_rows == len(values)
    (mine,) = run([{"x": x} for x in values], group_by(measures=measures), batch)
    assert str(tuple(mine.values())) == str(theirs)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_both_zeros_are_one_key_and_each_nan_is_one(batch: int) -> None:
    (other,) = struct.unpack("d", struct.pack("Q", 0xFFF8000000000001))
    keys = [0.0, -0.0, 0.0, NAN, other, NAN]
    measures: dict[str, aggregates.Measure[Any, Any]] = {
        "all": aggregates.collect_values("n"),
        "last": aggregates.last("n"),
    }
    rows: list[Row] = [{"k": key, "n": n} for n, key in enumerate(keys)]
    found = run(rows, group_by("k", measures=measures), batch)
    assert [(row["all"], row["last"]) for row in found] == [([0, 1, 2], 2), ([3, 4, 5], 5)]


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize(
    "values", [[Decimal("1.5"), None, Decimal("-2.25")], [dt.timedelta(1), None, dt.timedelta(2)]]
)
def test_what_arrow_finds_no_ends_of_has_a_first_and_a_last(values: list[Any], batch: int) -> None:
    rows: list[Row] = [{"k": k, "x": x} for k, x in zip("aab", values, strict=True)]
    measures = {"first": aggregates.first("x"), "last": aggregates.last("x")}
    told = {row["k"]: row for row in run(rows, group_by("k", measures=measures), batch)}
    assert told["a"] == {"k": "a", "first": values[0], "last": None}
    assert told["b"] == {"k": "b", "first": values[2], "last": values[2]}


def test_nanoseconds_are_told_apart(tmp_path: Path) -> None:
    times = pa.array([1_000, 1_001, None, 1_001], pa.timestamp("ns"))
    writing: Any = pytest.importorskip("pyarrow.parquet")
    writing.write_table(pa.table({"at": times, "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    measures: dict[str, aggregates.Measure[Any, Any]] = {
        "n": aggregates.count(),
        "kinds": aggregates.count_distinct("at"),
        "least": aggregates.min("at"),
        "all": aggregates.collect_values("at"),
    }
    out, told = list[Row](), list[Row]()
    graph = Graph("fine")
    rows = graph.read("rows", sources.files(tmp_path / "a.parquet", format="parquet"))
    by_time = group_by("at", measures=measures)
    rows.via("groups", by_time, volatile=True).to("out", sinks.collect(out))
    rows.to("told", sinks.collect(told))
    graph.run()
    at = dt.datetime(1970, 1, 1, microsecond=1, tzinfo=dt.UTC).replace(tzinfo=None)
    assert out == [
        {"at": at, "n": 1, "kinds": 1, "least": at, "all": [at]},
        {"at": at, "n": 2, "kinds": 1, "least": at, "all": [at, at]},
        {"at": None, "n": 1, "kinds": 0, "least": None, "all": [None]},
    ]
    assert [type(row["at"]) for row in told] == [dt.datetime, dt.datetime, type(None), dt.datetime]


def test_the_greatest_of_each_group_and_of_all_are_told_apart_by_nan() -> None:
    rows: list[Row] = [{"k": "a", "x": 1.0}, {"k": "b", "x": NAN}, {"k": "a", "x": 3.0}]
    found = run(rows, cube("k", measures={"most": aggregates.max("x")}), 100)
    assert [(row["k"], str(row["most"])) for row in found] == [
        ("a", "3.0"),
        (None, "nan"),
        ("b", "nan"),
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([INFINITE, 1.0, -INFINITE], [-INFINITE, -INFINITE, 1.0, INFINITE]),
        ([INFINITE, 1.0], [1.0, INFINITE, INFINITE, INFINITE]),
        ([INFINITE, INFINITE], [INFINITE] * 4),
    ],
)
def test_quantiles_go_as_far_as_infinity(values: list[float], expected: list[float]) -> None:
    measure = aggregates.quantiles("x", [0.0, 0.25, 0.5, 1.0])
    kept = measure.create()
    for x in values:
        kept = measure.add(kept, {"x": x})
    assert measure.result(kept) == expected


def test_where_quantiles_are_bounded_nan_spoils_no_other_value() -> None:
    measure = aggregates.quantiles("x", [0.0, 0.5], at_most=50)
    kept = measure.create()
    for number in range(2000):
        kept = measure.add(kept, {"x": NAN if number % 4 == 0 else float(number)})
    least, middle = measure.result(kept) or (NAN, NAN)
    assert least < 100
    assert middle == pytest.approx(1333, abs=60)


@pytest.mark.parametrize("values", [["b", "a"], [b"1"], ["1.5"]])
def test_quantiles_of_what_are_no_numbers_fail_the_job_and_no_row(values: list[Any]) -> None:
    with pytest.raises(JobFailed, match="quantiles takes a column of numbers, and 'x' holds"):
        run([{"x": x} for x in values], group_by(measures={"q": aggregates.quantiles("x")}), 100)


def test_what_is_bounded_does_not_grow_with_the_data() -> None:
    bounded = {
        "values": aggregates.collect_values("x", at_most=5),
        "kinds": aggregates.count_distinct("x", at_most=5),
        "middle": aggregates.quantiles("x", at_most=5),
    }
    assert "grow" not in repr(group_by(measures=bounded))
    assert repr(group_by(measures={"kinds": aggregates.count_distinct("x")})).endswith(
        "kinds grow with the data"
    )


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize("values", [["1.5", "2.25", "100.125"], ["1", "0.25", "3"]])
def test_decimals_of_any_digits_are_added_however_they_are_cut(
    values: list[str], batch: int
) -> None:
    measures: dict[str, aggregates.Measure[Any, Any]] = {
        "total": aggregates.sum("x"),
        "most": aggregates.max("x"),
        "kinds": aggregates.count_distinct("x"),
    }
    numbers = [Decimal(one) if "." in one else int(one) for one in values]
    (found,) = run([{"x": number} for number in numbers], group_by(measures=measures), batch)
    assert found == {"total": sum(numbers), "most": max(numbers), "kinds": 3}


def test_a_whole_number_that_no_fraction_holds_is_a_dead_letter_and_no_crash() -> None:
    out, letters = list[Row](), list[DeadLetter]()
    graph = Graph("odd")
    rows: list[Row] = [{"x": 2**60 + 1}, {"x": 0.5}, {"x": 2}]
    total = group_by(measures={"total": aggregates.sum("x")})
    graph.read("rows", sources.records(rows)).via("sums", total, volatile=True).to(
        "out", sinks.collect(out)
    )
    graph.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert out == [{"total": 2.5}]
    assert [letter.record for letter in letters] == rows[:1]
    assert "column 'x' is double, not 1152921504606846977" in letters[0].error.message


def test_windows_are_made_of_windows() -> None:
    out = list[Row]()
    graph = Graph("windows_of_windows")
    rows = graph.read("rows", sources.records([{"at": at} for at in range(0, 120, 5)]))
    short = group_by(
        measures={"n": aggregates.count()},
        mode="append",
        window=windows.tumbling("10s"),
        time="at",
        unit="s",
    )
    long = group_by(
        measures={"n": aggregates.sum("n"), "first": aggregates.first("window_start")},
        mode="append",
        window=windows.tumbling("1min"),
        time="window_start",
    )
    told = rows.via("short", short, volatile=True).via("long", long, volatile=True)
    told.to("out", sinks.collect(out))
    graph.run()
    assert [(row["n"], row["first"] == row["window_start"]) for row in out] == [
        (12, True),
        (12, True),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: group_by("k", measures={"n": aggregates.count()}, every=0), "more than 0"),
        (lambda: group_by("k", measures={"n": aggregates.count()}, unit="s"), "say window="),
        (lambda: group_by("k", measures={"n": aggregates.count()}, lateness=5), "say window="),
        (lambda: group_by("", measures={"n": aggregates.count()}), "names of columns"),
        (lambda: group_by("k", measures=[aggregates.count()]), "a dict by the names"),  # type: ignore[arg-type]
        (lambda: group_by("k", measures={1: aggregates.count()}), "measures have names"),  # type: ignore[dict-item]
        (lambda: cube(*"abcdefghijklm", measures={"z": aggregates.count()}), "8,192 grouping sets"),
        (lambda: aggregates.quantiles("x", 0.5), "shares is a list"),  # type: ignore[arg-type]
        (lambda: aggregates.count_distinct("x", at_most=True), "at_most is 1 or more"),
    ],
)
def test_what_makes_no_sense_is_told_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
