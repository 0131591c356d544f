"""Whole numbers beyond 64 bits: read, grouped, asked for in SQL and written with all digits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from thalweg import DeadLetter, Graph, JobFailed, Row
from thalweg.operators import (
    aggregates,
    group_by,
    join_columns,
    join_table,
    sinks,
    sources,
    windows,
)
from thalweg.operators.sources import _file_sample as file_sample

pa: Any = pytest.importorskip("pyarrow")
parquet: Any = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("duckdb")

HUGE = 123456789012345678901234
LARGEST = 2**127 - 1


def stream(path: Path, text: str, graph: Graph, **options: Any) -> Any:
    """The stream of a file with this text."""
    path.write_text(text)
    return graph.read("files", sources.files(path, **options))


def run(
    path: Path, text: str, *, format: str = "ndjson", **options: Any  # noqa: A002
) -> tuple[list[Row], list[str]]:  # fmt: skip
    """The rows of a file with this text, and what was rejected, without its name."""
    rows, letters, graph = list[Row](), list[DeadLetter](), Graph("huge")
    read = stream(path, text, graph, format=format, **options)
    read.to("rows", sinks.collect(rows))
    read.failed.to("failed", sinks.collect(letters))
    graph.run()
    return rows, [letter.error.message.replace(f"{path}, ", "") for letter in letters]


def lines(*values: object) -> str:
    return "".join(json.dumps({"n": value}) + "\n" for value in values)


@pytest.mark.parametrize(
    "values",
    [
        [HUGE, 1],
        [HUGE, HUGE + 1, None, -HUGE],
        [2**64],
        [LARGEST, -LARGEST - 1],
        [None, *range(100), HUGE],
    ],
)
@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_whole_numbers_beyond_64_bits_keep_their_digits(
    tmp_path: Path, values: list[int | None], form: str
) -> None:
    text = lines(*values)
    if form == "csv":
        text = "n,m\n" + "".join(f"{'' if one is None else one},0\n" for one in values)
    rows, told = run(tmp_path / "a", text, format=form)
    assert [row["n"] for row in rows] == values
    assert told == []


@pytest.mark.parametrize(
    "text",
    [
        lines(HUGE, 1.5),
        f'{{"n": {HUGE}}}\n{{"n": 1.0}}\n',
        f'{{"n": {HUGE}}}\n{{"n": 1e3}}\n',
        lines(2**127, 1),
        lines(HUGE, *range(30), 0.5),
    ],
)
def test_beside_fractions_or_beyond_128_bits_they_are_fractions(tmp_path: Path, text: str) -> None:
    rows, told = run(tmp_path / "a", text)
    assert {type(row["n"]) for row in rows} == {float}
    assert told == []


def test_the_name_of_the_column_may_be_odd(tmp_path: Path) -> None:
    name = "a \"b\" 'c'"
    rows, _ = run(tmp_path / "a", json.dumps({name: HUGE, "x": 0.5}) + "\n")
    assert rows == [{name: HUGE, "x": 0.5}]


def test_columns_of_fractions_are_not_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def huge(_link: object, _sample: str, names: list[str]) -> list[str]:
        asked.append(names)
        return []

    monkeypatch.setattr(file_sample, "_huge", huge)
    run(tmp_path / "a", '{"x": 0.5, "n": 1, "y": 0}\n{"x": 1, "n": 2, "y": 2.5}\n')
    assert asked == [[]]


def test_what_does_not_fit_128_bits_is_rejected(tmp_path: Path) -> None:
    text = lines(HUGE, 2**127, 2.5, "7", True) + '{"n": 4.0}\n{"n": 1e23}\n{"n": 1e-1}\n'
    rows, told = run(tmp_path / "a", text, schema={"n": "HUGEINT"})
    assert [row["n"] for row in rows] == [HUGE, 7, 4, 10**23]
    assert told == [
        f"line 2: column 'n' is HUGEINT, not {2**127}",
        "line 3: column 'n' is HUGEINT, not 2.5",
        "line 5: column 'n' is HUGEINT, not True",
        "line 8: column 'n' is HUGEINT, not 0.1",
    ]


@pytest.mark.parametrize("number", ["9007199254740993.0", "9007199254740992.2"])
@pytest.mark.parametrize("kind", ["BIGINT", "HUGEINT", "STRUCT(k BIGINT)"])
def test_what_a_fraction_of_64_bits_has_lost_is_seen(
    tmp_path: Path, number: str, kind: str
) -> None:
    value = f'{{"k": {number}}}' if kind.startswith("STRUCT") else number
    rows, told = run(tmp_path / "a", f'{{"n": {value}}}\n', schema={"n": kind})
    shown = f"{{'k': {number}}}" if kind.startswith("STRUCT") else number
    assert (rows, told) == ([], [f"line 1: column 'n' is {kind}, not {shown}"])


def test_an_exponent_that_no_decimal_has_is_no_number(tmp_path: Path) -> None:
    text = f'{{"n": 1e{"9" * 30}}}\n{{"n": 1}}\n'
    rows, told = run(tmp_path / "a", text, schema={"n": "HUGEINT"})
    assert [row["n"] for row in rows] == [1]
    assert len(told) == 1


def test_a_type_that_arrow_would_show_with_a_wrong_sign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="so say HUGEINT for whole numbers of up to 128 bits"):
        run(tmp_path / "a", lines(1), schema={"n": "UHUGEINT[]"})


MEASURES: dict[str, tuple[Any, list[object]]] = {
    "sum": (aggregates.sum("n"), [2 * LARGEST - 1, -LARGEST]),
    "mean": (aggregates.mean("n"), [(2 * LARGEST - 1) / 3, -LARGEST / 1]),
    "min": (aggregates.min("n"), [-1, -LARGEST]),
    "max": (aggregates.max("n"), [LARGEST, -LARGEST]),
    "first": (aggregates.first("n"), [LARGEST, None]),
    "last": (aggregates.last("n"), [-1, -LARGEST]),
    "count_distinct": (aggregates.count_distinct("n"), [2, 1]),
    "collect_values": (aggregates.collect_values("n"), [[LARGEST, LARGEST, -1], [None, -LARGEST]]),
}


@pytest.mark.parametrize("name", MEASURES)
def test_measures_keep_all_digits(tmp_path: Path, name: str) -> None:
    measure, expected = MEASURES[name]
    graph, rows = Graph("grouped"), list[Row]()
    values = [LARGEST, LARGEST, None, -LARGEST, -1]
    text = "".join(json.dumps({"n": n, "k": at in (2, 3)}) + "\n" for at, n in enumerate(values))
    read = stream(tmp_path / "a", text, graph, format="ndjson")
    grouped = group_by("k", measures={name: measure})
    read.via("groups", grouped, volatile=True).to("rows", sinks.collect(rows))
    graph.run()
    assert [row[name] for row in rows] == expected


@pytest.mark.parametrize("measure", ["variance", "stddev"])
def test_the_spread_of_equal_numbers_is_none_however_large(tmp_path: Path, measure: str) -> None:
    graph, rows = Graph("spread"), list[Row]()
    read = stream(tmp_path / "a", lines(10**38 - 1, 10**38 - 1), graph, format="ndjson")
    grouped = group_by(measures={"v": getattr(aggregates, measure)("n")})
    read.via("groups", grouped, volatile=True).to("rows", sinks.collect(rows))
    graph.run()
    assert rows == [{"v": 0.0}]


def test_they_are_keys(tmp_path: Path) -> None:
    graph, rows = Graph("keys"), list[Row]()
    read = stream(tmp_path / "a", lines(LARGEST, HUGE, HUGE + 1, HUGE), graph, format="ndjson")
    grouped = group_by("n", measures={"times": aggregates.count()})
    read.via("groups", grouped, volatile=True).to("rows", sinks.collect(rows))
    graph.run()
    assert {row["n"]: row["times"] for row in rows} == {LARGEST: 1, HUGE: 2, HUGE + 1: 1}


@pytest.mark.parametrize("mode", ["update", "complete"])
def test_tables_answer_with_all_digits(tmp_path: Path, mode: Any) -> None:
    async def main() -> list[Row]:
        graph = Graph("asked")
        read = stream(tmp_path / "a", lines(HUGE, 2, LARGEST), graph, format="ndjson")
        read.to("all_out", sinks.table("rows"))
        sums = group_by("n", measures={"s": aggregates.sum("n")}, mode=mode)
        key = ["n"] if mode == "update" else None
        read.via("sums", sums, volatile=True).to(
            "sums_out", sinks.table("sums", mode=mode, key=key)
        )
        async with graph.start() as job:
            await job.wait()
            query = "select n, s from rows join sums using (n) where n > 2 order by n"
            return (await job.sql(query)).rows()

    assert asyncio.run(main()) == [{"n": HUGE, "s": HUGE}, {"n": LARGEST, "s": LARGEST}]


@pytest.mark.parametrize("mode", ["update", "complete"])
def test_a_sum_that_sql_has_no_number_for_goes_to_failed(tmp_path: Path, mode: Any) -> None:
    graph, letters = Graph("too_large"), list[DeadLetter]()
    text = lines(LARGEST, LARGEST).replace("}", ', "k": 1}')
    read = stream(tmp_path / "a", text, graph, format="ndjson")
    sums = group_by("k", measures={"s": aggregates.sum("n")}, mode=mode)
    key = ["k"] if mode == "update" else None
    read.via("sums", sums, volatile=True).to("out", sinks.table("sums", mode=mode, key=key))
    graph.failed.to("failed", sinks.collect(letters))
    graph.run()
    (letter,) = letters
    assert "a number of more than 38 digits, and SQL knows none" in letter.error.message


def test_tables_hold_lists_of_them(tmp_path: Path) -> None:
    async def main() -> list[Row]:
        graph = Graph("lists")
        read = stream(tmp_path / "a", lines(LARGEST, None, 1), graph, format="ndjson")
        kept = group_by(measures={"all": aggregates.collect_values("n")}, mode="complete")
        read.via("kept", kept, volatile=True).to("out", sinks.table("kept", mode="complete"))
        async with graph.start() as job:
            await job.wait()
            return (await job.sql('select "all" from kept')).rows()

    assert asyncio.run(main()) == [{"all": [LARGEST, None, 1]}]


def _csv(path: Path) -> Any:
    return sinks.csv(path, columns=["n"])


def _written(path: Path, sink: Any) -> Path:
    graph = Graph("written")
    stream(path / "a.json", lines(HUGE, -1, None, 10**38 - 1), graph, format="ndjson").to(
        "out", sink(path / "out")
    )
    graph.run()
    return path / "out"


def test_ndjson_and_csv_are_written_with_all_digits_and_read_again(tmp_path: Path) -> None:
    out = _written(tmp_path, sinks.ndjson)
    text = f'{{"n":{HUGE}}}\n{{"n":-1}}\n{{"n":null}}\n{{"n":{"9" * 38}}}\n'
    assert out.read_text() == text
    assert [row["n"] for row in run(out, text)[0]] == [HUGE, -1, None, 10**38 - 1]
    out = _written(tmp_path, _csv)
    assert out.read_text().splitlines() == ["n", str(HUGE), "-1", '""', "9" * 38]


@pytest.mark.parametrize("schema", [None, {"n": "HUGEINT"}])
def test_parquet_is_written_with_all_digits_and_read_again(tmp_path: Path, schema: Any) -> None:
    (part,) = _written(tmp_path, sinks.parquet).glob("*.parquet")
    assert str(parquet.read_schema(part).field("n").type) == "decimal128(38, 0)"
    rows, graph = list[Row](), Graph("again")
    graph.read("files", sources.files(part, format="parquet", schema=schema)).to(
        "rows", sinks.collect(rows)
    )
    graph.run()
    assert [row["n"] for row in rows] == [HUGE, -1, None, 10**38 - 1]


TABLES: dict[str, Callable[[], str]] = {
    "csv": lambda: f"n,name\n{HUGE},ann\n{HUGE + 1},bob\n",
    "ndjson": lambda: lines(HUGE, HUGE + 1).replace("}\n", ', "name": "ann"}\n', 1),
}


@pytest.mark.parametrize("form", TABLES)
def test_they_are_joined_by_with_a_table_that_stands_still(tmp_path: Path, form: str) -> None:
    (tmp_path / f"table.{form}").write_text(TABLES[form]())
    graph, rows = Graph("joined"), list[Row]()
    read = stream(tmp_path / "a", lines(HUGE, HUGE + 2), graph, format="ndjson")
    joining = join_table("n", file=tmp_path / f"table.{form}", how="left")
    read.via("joined", joining).to("rows", sinks.collect(rows))
    graph.run()
    assert rows == [{"n": HUGE, "name": "ann"}, {"n": HUGE + 2, "name": None}]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_table_of_large_fractions_stays_one_of_fractions(tmp_path: Path, form: str) -> None:
    text = "n,name\n1e30,ann\n0.5,bob\n"
    if form == "ndjson":
        text = '{"n": 1e30, "name": "ann"}\n{"n": 0.5, "name": "bob"}\n'
    (tmp_path / f"table.{form}").write_text(text)
    graph, rows = Graph("joined"), list[Row]()
    joining = join_table("n", file=tmp_path / f"table.{form}", how="left")
    graph.read("n", sources.records([{"n": 0.5}, {"n": 1e30}])).via("joined", joining).to(
        "rows", sinks.collect(rows)
    )
    graph.run()
    assert [row["name"] for row in rows] == ["bob", "ann"]


def test_they_are_joined_by_in_columns(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    graph, rows = Graph("columns"), list[Row]()
    sides: list[Any] = []
    for side, numbers in enumerate([[HUGE, HUGE + 1], [HUGE + 1, HUGE + 2]]):
        path = tmp_path / f"{side}.json"
        path.write_text("".join(json.dumps({"n": n, "at": 1}) + "\n" for n in numbers))
        read = graph.read(f"side_{side}", sources.files(path, format="ndjson"))
        sides.append(read.event_time("at", unit="s", lateness="1s"))
    joined = join_columns("joined", *sides, on="n", within="1s", volatile=True)
    joined.to("rows", sinks.collect(rows))
    graph.run()
    assert [row["n"] for row in rows] == [HUGE + 1]


def test_sums_of_fractions_keep_all_digits(tmp_path: Path) -> None:
    graph, rows = Graph("fractions"), list[Row]()
    whole = "12345678901234567890123456789"
    text = f'{{"n": "{whole}.5"}}\n{{"n": "0.25"}}\n'
    (tmp_path / "b").write_text('{"n": "0.125"}\n')
    (tmp_path / "a").write_text(text)
    given = [tmp_path / "a", tmp_path / "b"]
    read = graph.read(
        "files",
        sources.files(
            given, format="ndjson", schema={"n": "DECIMAL(38,4)"}, max_files_per_trigger=1
        ),
    )
    read.via("sums", group_by(measures={"s": aggregates.sum("n")}), volatile=True).to(
        "rows", sinks.collect(rows)
    )
    graph.run()
    assert rows[-1] == {"s": Decimal(f"{whole}.875")}


def test_one_among_the_times_of_windows_is_rejected_alone(tmp_path: Path) -> None:
    graph, rows, letters = Graph("timed"), list[Row](), list[DeadLetter]()
    text = "".join(json.dumps({"at": at}) + "\n" for at in (1, HUGE, 2))
    read = stream(tmp_path / "a", text, graph, format="ndjson")
    counted = group_by(
        measures={"n": aggregates.count()},
        window=windows.tumbling("10s"),
        time="at",
        unit="s",
        mode="append",
    )
    read.via("counted", counted, volatile=True).to("rows", sinks.collect(rows))
    graph.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert [row["n"] for row in rows] == [2]
    assert len(letters) == 1
