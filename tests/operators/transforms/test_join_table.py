"""A stream with a table that stands still: what is added, what is refused, and loading anew."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg import DeadLetter, Graph, JobFailed, Stream
from thalweg.operators import join_table, sinks, sources
from thalweg.testing import PAUSE, run_virtual, scripted

pa: Any = pytest.importorskip("pyarrow")
parquet: Any = pytest.importorskip("pyarrow.parquet")

Rows = list[dict[str, Any]]

VISITS: Rows = [{"user": 1, "at": 0}, {"user": 2, "at": 1}, {"user": None, "at": 2}]
NAMES: Rows = [{"user": 1, "name": "ann"}, {"user": 1, "name": "Ann"}, {"user": None, "name": "?"}]


def joined(records: Rows, operator: Any) -> tuple[Rows, list[DeadLetter]]:
    graph, out, failed = Graph("visits"), list[Any](), list[DeadLetter]()
    made = graph.read("visits", sources.records(records)).via("named", operator)
    made.to("out", sinks.collect(out))
    made.failed.to("failed", sinks.collect(failed))
    graph.run()
    return out, failed


def test_each_row_with_the_key_is_added_and_null_equals_nothing() -> None:
    inner, _ = joined(VISITS, join_table("user", rows=lambda: NAMES))
    assert inner == [
        {"user": 1, "at": 0, "name": "ann"},
        {"user": 1, "at": 0, "name": "Ann"},
    ]
    left, _ = joined(VISITS, join_table("user", rows=lambda: NAMES, how="left"))
    assert left == [
        *inner,
        {"user": 2, "at": 1, "name": None},
        {"user": None, "at": 2, "name": None},
    ]


def test_names_may_differ_and_columns_may_be_chosen() -> None:
    table = [{"id": 1, "kind": "x", "at": 7, "more": 0}]
    operator = join_table(
        {"user": "id"}, rows=lambda: table, columns=["at", "kind"], prefix="user_"
    )
    assert joined(VISITS, operator)[0] == [{"user": 1, "at": 0, "user_at": 7, "user_kind": "x"}]


def test_a_field_that_both_have_is_no_record_lost_in_silence() -> None:
    table = [{"user": 1, "at": 7}]
    out, failed = joined(
        [{"user": 1, "at": 0}, {"at": 1}, {"user": 2}], join_table("user", rows=lambda: table)
    )
    assert out == []
    assert [letter.error.message for letter in failed] == [
        "the record and the table both have 'at': say prefix= for the columns of the table, or "
        "name others by columns=",
        "the record has no field 'user', by which it is joined",
    ]


def _parquet(path: Path) -> None:
    parquet.write_table(pa.table({"user": [1], "name": ["ann"]}), path)


FILES: dict[str, Callable[[Path], object]] = {
    "names.parquet": _parquet,
    "names.csv": lambda path: path.write_text("user,name\n1,ann\n"),
    "names.ndjson": lambda path: path.write_text('{"user": 1, "name": "ann"}\n'),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_a_table(name: str, tmp_path: Path) -> None:
    FILES[name](tmp_path / name)
    out, _ = joined(VISITS, join_table("user", file=tmp_path / name))
    assert out == [{"user": 1, "at": 0, "name": "ann"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": "{folder}/none.csv"}, "the table '.*none.csv' cannot be read"),
        ({"rows": lambda: [{"id": 1}]}, "the table has no column 'user'; it has id"),
        ({"query": "drop table x"}, "the graph has no table"),
    ],
)
def test_a_table_that_cannot_be_loaded_stops_the_job_before_it_begins(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    given_ones: dict[str, Any] = {
        name: value.format(folder=tmp_path) if isinstance(value, str) else value
        for name, value in options.items()
    }
    with pytest.raises(JobFailed, match=message):
        joined(VISITS, join_table("user", **given_ones))


def test_it_is_loaded_anew_beside_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    loads: list[int] = []

    def load() -> Rows:
        loads.append(len(loads))
        if len(loads) == 3:
            raise OSError("away")
        return [{"user": 1, "load": len(loads)}]

    graph, out = Graph("visits"), list[Any]()
    moments = [{"user": 1, "at": 0}, PAUSE(4), {"user": 1, "at": 4}, PAUSE(7)]
    source = scripted(*moments, {"user": 1, "at": 11}, *moments, {"user": 1, "at": 22}, PAUSE(1))
    visits: Stream[Any] = graph.read("visits", source)
    visits.via("named", join_table("user", rows=load, reload="10s")).to("out", sinks.collect(out))
    with caplog.at_level(logging.WARNING, "thalweg.join"):
        run_virtual(lambda: _whole(graph))
    # Who finds the table too old still meets it, and so does who comes before there is another.
    assert [one["load"] for one in out] == [1, 1, 1, 1, 2, 2]
    assert [record.message for record in caplog.records] == [
        "named goes on with the table it has, which cannot be loaded anew: away"
    ]


async def _whole(graph: Graph) -> None:
    async with graph.start() as job:
        await job.wait()


def test_a_stream_meets_what_stands_in_a_table_of_its_job() -> None:
    graph, out = Graph("visits"), list[Any]()
    graph.read("names", sources.push()).to("names_table", sinks.table("names"))
    visits = graph.read("visits", sources.push())
    query = "select user, upper(name) as name from names"
    visits.via("named", join_table("user", query=query, how="left")).to("out", sinks.collect(out))

    async def main() -> None:
        async with graph.start() as job:
            await (await job.push("visits", [{"user": 1}]))
            await (await job.push("names", [{"user": 1, "name": "ann"}]))
            await asyncio.sleep(2)
            await (await job.push("visits", [{"user": 1}]))
            await asyncio.sleep(0.5)
            await (await job.push("visits", [{"user": 1}]))

    run_virtual(main)
    assert out == [{"user": 1}, {"user": 1}, {"user": 1, "name": "ANN"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "right", "rows": list}, "rows that no record matched are never told"),
        ({"how": "outer", "rows": list}, 'how is one of "inner", "left"'),
        ({}, "give one"),
        ({"rows": list, "query": "select 1"}, "give one"),
        ({"file": "names.xlsx"}, "file ends in one of .parquet"),
        ({"on": [], "rows": list}, "on names no field"),
        ({"rows": list, "reload": -1}, "reload"),
    ],
)
def test_a_wrong_option_is_told_where_it_is_written(options: Any, message: str) -> None:
    given: dict[str, Any] = {"on": "user", **options}
    with pytest.raises(ValueError, match=message):
        join_table(**given)


def test_a_table_without_rows_still_has_its_columns(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("user,name\n")
    out, _ = joined(VISITS[:1], join_table("user", file=tmp_path / "names.csv", how="left"))
    assert out == [{"user": 1, "at": 0, "name": None}]
    out, _ = joined(VISITS[:1], join_table("user", rows=list, columns=["name"], how="left"))
    assert out == [{"user": 1, "at": 0, "name": None}]


def test_a_row_that_lacks_a_column_has_none_there() -> None:
    rows: Rows = [{"user": 1, "name": "ann"}, {"user": 2}]
    out, _ = joined(VISITS[:2], join_table("user", rows=lambda: rows))
    assert [row["name"] for row in out] == ["ann", None]


def test_without_columns_a_record_only_has_to_be_there() -> None:
    out, _ = joined(VISITS, join_table("user", rows=lambda: NAMES[:1], columns=[]))
    assert out == VISITS[:1]


def test_text_where_the_table_has_numbers_is_told_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text("code,name\n7,ann\n")
    records: Rows = [{"code": 7}, {"code": "007"}, {"code": None}, {"code": 8.0}]
    out, failed = joined(records, join_table("code", file=tmp_path / "codes.csv"))
    assert out == [{"code": 7, "name": "ann"}]
    (letter,) = failed
    assert letter.record == {"code": "007"}
    assert "'code' is text, '007', and the column 'code' of the table holds numbers" in (
        letter.error.message
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [({"columns": "name"}, "columns is a list of names"), ({"reload": 0}, "more than 0")],
)
def test_an_option_that_makes_no_sense_is_told_where_it_is_written(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        join_table("user", rows=lambda: NAMES, **options)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"user,name,name\n1,a,b\n", "has two columns of the name 'name'"),
        ("t.csv", b"user,name\n1,ann\n2,\xff\n", "no UTF-8 in the column 'name': make it UTF-8"),
        ("t.ndjson", b'{"user": [1], "name": "ann"}\n', "'user' of the table holds [1]"),
    ],
)
def test_a_file_of_which_something_would_be_lost_is_refused(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(JobFailed, match=re.escape(message)):
        joined(VISITS, join_table("user", file=tmp_path / name))


@pytest.mark.parametrize("key", [[1], {"id": 1}])
def test_a_key_that_is_no_plain_value_is_told(key: object) -> None:
    out, failed = joined(
        [{"user": key, "at": 0}, VISITS[0]], join_table("user", rows=lambda: NAMES)
    )
    assert len(out) == 2
    assert [letter.error.message for letter in failed] == [
        f"plain values are joined by, and 'user' holds {key!r}: take a part of it out by map above"
    ]
