"""Groups that are found where a file is read are those that its rows make."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg import DeadLetter, Graph, JobFailed, Row, State
from thalweg.operators import aggregates, cube, group_by, rollup, sinks, sources, where, windows
from thalweg.operators.aggregates.sum import Sum
from thalweg.operators.sources import _file_digest as room
from thalweg.operators.sources._file_digest import FileDigest
from thalweg.operators.transforms._shared_groups import SharedGroups
from thalweg.runtime.columns import Columns, Unread

pa: Any = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

SCHEMA = {"a": "VARCHAR", "b": "BOOLEAN", "k": "BIGINT", "n": "INTEGER", "x": "DOUBLE"}
ARROW: Any = {"VARCHAR": "string", "BOOLEAN": "bool", "BIGINT": "int64", "INTEGER": "int32"}
ROWS: Any = st.fixed_dictionaries(
    {
        "a": st.sampled_from(["p", "q", 'it"s', "", "µ", None]),
        "b": st.none() | st.booleans(),
        "k": st.sampled_from([0, 2**62, -(2**63), None]),
        "n": st.none() | st.integers(-(2**31), 2**31 - 1),
        "x": st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, -0.0, math.inf]),
    }
)


def _is_readable(row: Mapping[str, Any]) -> bool:
    """Whether JSON and CSV can say it."""
    return row["x"] is None or math.isfinite(row["x"])


READABLE: Any = ROWS.filter(_is_readable)


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each file whether its groups were found where it was read."""
    asked: list[bool] = []
    columns = FileDigest.columns
    monkeypatch.setattr(room, "SMALLEST", 0)

    def seen(self: FileDigest, *args: Any, **named: Any) -> Columns | None:
        found = columns(self, *args, **named)
        asked.append(found is not None)
        return found

    monkeypatch.setattr(FileDigest, "columns", seen)
    return asked


def several() -> dict[str, Any]:
    counts = {"rows": aggregates.count(), "known": aggregates.count("x")}
    numbers = {
        "total": aggregates.sum("n"),
        "large": aggregates.sum("k"),
        "mean": aggregates.mean("x"),
        "least": aggregates.min("n"),
        "low": aggregates.min("x"),
        "most": aggregates.max("x"),
        "word": aggregates.max("a"),
    }
    return {
        "plain": group_by("a", "b", measures=counts, mode="complete"),
        "cube": cube("b", "k", measures=numbers, mode="complete", grouping="bits"),
        "rollup": rollup("a", "k", measures=counts | numbers, mode="update", grouping="bits"),
        "all": group_by(measures=numbers, mode="complete"),
    }


def run(folder: Path, kind: Any, operators: Mapping[str, Any], *, digests: bool = True) -> Any:
    """What each operator tells of these files, and the dead letters."""
    out, letters = {name: list[Row]() for name in operators}, list[DeadLetter]()
    source = sources.files(folder, format=kind, schema=SCHEMA, max_files_per_trigger=1)
    source.makes_digests = digests
    graph = Graph("groups")
    read = graph.read("rows", source)
    read.failed.to("failed", sinks.collect(letters))
    for name, operator in operators.items():
        read.via(name, operator, volatile=True).to(f"{name}_out", sinks.collect(out[name]))
    graph.run()
    return out, letters


def write(folder: Path, kind: str, files: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for at, rows in enumerate(files):
        path = folder / f"{at}.{kind}"
        if kind == "parquet":
            import pyarrow.parquet as parquet

            fields = [(name, ARROW.get(of, "double")) for name, of in SCHEMA.items()]
            writer: Any = parquet
            writer.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), path)
        elif kind == "csv":
            lines = [",".join(_cell(row[name]) for name in SCHEMA) for row in rows]
            path.write_text("\n".join([",".join(SCHEMA), *lines, ""]))
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))


def _cell(value: object) -> str:
    return "" if value is None else '"' + str(value).replace('"', '""') + '"'


def alike(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        close = math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-3)
        return close or (math.isnan(one) and math.isnan(other))
    return one == other


def check_alike(found: Mapping[str, list[Row]], wanted: Mapping[str, list[Row]]) -> None:
    for name, rows in wanted.items():
        assert len(found[name]) == len(rows), name
        for one, other in zip(_ordered(found[name]), _ordered(rows), strict=True):
            assert list(one) == list(other)
            assert all(map(alike, one.values(), other.values())), (name, one, other)


def _ordered(rows: list[Row]) -> list[Row]:
    """Those that are told at once have no order; each tells a whole number more of its group."""
    keys = ("a", "b", "k", "bits", "rows", "total", "large", "word")
    return sorted(rows, key=lambda row: [repr(row.get(key)) for key in keys])


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_each_tells_the_same_rows(
    kind: str, data: st.DataObject, tmp_path: Path, unread: list[bool]
) -> None:
    rows = st.lists(ROWS if kind == "parquet" else READABLE, min_size=1, max_size=20)
    files = data.draw(st.lists(rows, min_size=1, max_size=3))
    if kind == "csv":
        # Nothing and an empty text are the same in CSV.
        files = [[row | {"a": row["a"] or None} for row in one] for one in files]
    write(tmp_path / "in", kind, files)
    unread.clear()
    found, letters = run(tmp_path / "in", kind, several())
    assert letters == []
    assert all(unread)
    wanted, _ = run(tmp_path / "in", kind, several(), digests=False)
    check_alike(found, wanted)


def counts() -> dict[str, Any]:
    measures = {"rows": aggregates.count(), "total": aggregates.sum("k")}
    return {"counts": group_by("a", measures=measures, mode="complete")}


def numbered(count: int, **more: object) -> list[dict[str, object]]:
    return [dict.fromkeys(SCHEMA) | {"a": "pq"[at % 2], "k": at} | more for at in range(count)]


def test_one_alone_has_its_groups_found_too(tmp_path: Path, unread: list[bool]) -> None:
    write(tmp_path / "in", "ndjson", [numbered(3), [], numbered(2)])
    found, _ = run(tmp_path / "in", "ndjson", counts())
    assert found["counts"][-2:] == [
        {"a": "p", "rows": 3, "total": 2},
        {"a": "q", "rows": 2, "total": 2},
    ]
    assert unread == [True, True]  # Of a file with nothing in it nothing is asked.


def test_nan_is_the_greatest_also_where_nothing_else_is_asked(
    tmp_path: Path, unread: list[bool]
) -> None:
    rows = [dict.fromkeys(SCHEMA) | {"x": x} for x in (math.nan, 1.0)]
    write(tmp_path / "in", "parquet", [rows])
    measures = {"most": aggregates.max("x"), "rows": aggregates.count()}
    found, _ = run(
        tmp_path / "in", "parquet", {"most": group_by(measures=measures, mode="complete")}
    )
    (row,) = found["most"]
    assert row["rows"] == 2
    assert math.isnan(float(str(row["most"])))
    assert unread == [True]


def test_a_row_that_does_not_fit_is_told_and_the_others_are_counted(
    tmp_path: Path, unread: list[bool]
) -> None:
    write(tmp_path / "in", "ndjson", [numbered(4) for _ in range(6)])
    text = (tmp_path / "in" / "0.ndjson").read_text().splitlines()
    text[2] = text[2].replace('"k": 2', '"k": 2.5')
    (tmp_path / "in" / "0.ndjson").write_text("\n".join(text))
    os.utime(tmp_path / "in" / "0.ndjson", (1_700_000_000, 1_700_000_000))
    found, letters = run(tmp_path / "in", "ndjson", counts())
    assert found["counts"][-2:] == [
        {"a": "p", "rows": 11, "total": 10},
        {"a": "q", "rows": 12, "total": 24},
    ]
    (letter,) = letters
    assert "0.ndjson" in letter.error.message
    assert "line 3" in letter.error.message
    assert unread[3:] == [False] * 3  # Those behind it are read row by row, for a while.


def test_many_groups_are_not_found_there(tmp_path: Path, unread: list[bool]) -> None:
    files = [numbered(100, a=None) for _ in range(2)]
    for rows in files:
        for at, row in enumerate(rows):
            row["a"] = str(at)
    write(tmp_path / "in", "ndjson", files)
    found, _ = run(tmp_path / "in", "ndjson", counts())
    assert [row["rows"] for row in found["counts"][-100:]] == [2] * 100
    assert True not in unread


@pytest.mark.parametrize("bound", [{"LARGEST": 100}, {"SMALLEST": 10_000}])
def test_a_large_file_is_read_in_pieces_and_a_small_one_as_quickly(
    bound: dict[str, int], tmp_path: Path, unread: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in bound.items():
        monkeypatch.setattr(room, name, size)
    write(tmp_path / "in", "ndjson", [numbered(9)])
    found, _ = run(tmp_path / "in", "ndjson", counts())
    assert [row["rows"] for row in found["counts"]] == [5, 4]
    assert unread == [False]


def test_a_file_of_parquet_is_as_large_as_its_rows_are_many(
    tmp_path: Path, unread: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in", "parquet", [[dict.fromkeys(SCHEMA) | {"a": "p", "k": 1}] * 50_000])
    (path,) = (tmp_path / "in").iterdir()
    monkeypatch.setattr(room, "LARGEST", 50_000)
    assert path.stat().st_size < room.LARGEST
    found, _ = run(tmp_path / "in", "parquet", counts())
    assert found["counts"] == [{"a": "p", "rows": 50_000, "total": 50_000}]
    assert unread == [False]


def _below(what: str) -> Iterator[tuple[str, Any]]:
    yield from counts().items()
    if what == "rows":
        yield "tall", where("k > 1")
    elif what == "ends":
        measures = {"end": aggregates.last("k")}
        yield "ends", group_by("a", measures=measures, mode="complete")
    elif what == "spread":
        measures = {"spread": aggregates.variance("k")}
        yield "spread", group_by("a", measures=measures, mode="complete")
    else:
        window = windows.tumbling("1min")
        measures = {"rows": aggregates.count()}
        yield (
            "times",
            group_by("a", measures=measures, mode="update", window=window, time="k", unit="s"),
        )


@pytest.mark.parametrize("what", ["rows", "ends", "spread", "windows"])
def test_rows_are_read_where_somebody_wants_more_than_groups(
    what: str, tmp_path: Path, unread: list[bool]
) -> None:
    write(tmp_path / "in", "ndjson", [numbered(9)])
    found, _ = run(tmp_path / "in", "ndjson", dict(_below(what)))
    assert [row["rows"] for row in found["counts"]] == [5, 4]
    assert unread == []


class Wide(Sum):
    """A measure that says of one column more that it looks at it."""

    @property
    def columns(self) -> frozenset[str]:
        return frozenset({"k", "x"})


def test_rows_are_read_where_a_column_makes_no_group(tmp_path: Path, unread: list[bool]) -> None:
    write(tmp_path / "in", "ndjson", [[*numbered(2), *numbered(1, x="none")]])
    found, letters = run(
        tmp_path / "in", "ndjson", {"wide": group_by(measures={"n": Wide("k")}, mode="complete")}
    )
    assert found["wide"] == [{"n": 1}]
    assert len(letters) == 1
    assert unread == []


def test_rows_that_a_measure_refuses_are_found(tmp_path: Path, unread: list[bool]) -> None:
    class Picky(Sum):
        def gather_all(self, columns: Sequence[Sequence[Any]]) -> Sequence[Any]:
            if any(total > 9 for total in columns[0]):
                raise ValueError("more than 9")
            return super().gather_all(columns)

    write(tmp_path / "in", "ndjson", [numbered(3), [*numbered(2), *numbered(1, k=10)], numbered(3)])
    out, letters = list[Row](), list[DeadLetter]()
    graph = Graph("picky")
    read = graph.read("rows", sources.files(tmp_path / "in", format="ndjson", schema=SCHEMA))
    groups = read.via("sums", group_by(measures={"n": Picky("k")}, mode="complete"), volatile=True)
    groups.to("out", sinks.collect(out))
    groups.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert unread == [True] * 3
    assert out[-1] == {"n": 7}
    (letter,) = letters
    assert letter.record == {"k": 10}
    assert "1.ndjson', record 2" in str(letter.origin)


def test_rows_are_read_for_a_sink_and_for_a_fraction_as_a_key(
    tmp_path: Path, unread: list[bool]
) -> None:
    write(tmp_path / "in", "ndjson", [numbered(9)])
    rows, out = list[Row](), list[Row]()
    for operator in (
        next(iter(counts().values())),
        group_by("x", measures={"n": aggregates.count()}, mode="complete"),
    ):
        graph = Graph("both")
        read = graph.read("rows", sources.files(tmp_path / "in", format="ndjson", schema=SCHEMA))
        read.via("groups", operator, volatile=True).to("out", sinks.collect(out))
        if "a" in operator.keys:
            read.to("kept", sinks.collect(rows))
        graph.run()
    assert len(rows) == 9
    assert unread == []


@pytest.mark.parametrize("left", [8, 0])
def test_rows_can_be_read_later_while_the_file_is_the_same(
    left: int, tmp_path: Path, unread: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(self: SharedGroups, columns: Columns) -> None:
        assert isinstance(columns, Unread)

    monkeypatch.setattr(SharedGroups, "of", none)
    write(tmp_path / "in", "ndjson", [numbered(9)])
    found, _ = run(tmp_path / "in", "ndjson", counts())
    assert [row["rows"] for row in found["counts"]] == [5, 4]
    assert unread == [True]

    columns = FileDigest.columns

    def changed(self: FileDigest, *args: Any, **named: Any) -> Columns | None:
        found = columns(self, *args, **named)
        write(tmp_path / "in", "ndjson", [numbered(left)])
        return found

    monkeypatch.setattr(FileDigest, "columns", changed)
    with pytest.raises(JobFailed, match="is another file than a moment ago"):
        run(tmp_path / "in", "ndjson", counts())


def test_a_job_goes_on_behind_the_files_that_were_counted(
    tmp_path: Path, unread: list[bool]
) -> None:
    write(tmp_path / "in", "ndjson", [numbered(4) for _ in range(5)])
    rows = list[Row]()

    async def part(triggers: int) -> None:
        graph, enough = Graph("parts"), asyncio.Event()

        def keep(row: Row) -> None:
            rows.append(row)
            if len(rows) >= triggers:
                enough.set()

        source = sources.files(
            tmp_path / "in", format="ndjson", schema=SCHEMA, max_files_per_trigger=1, follow=True
        )
        whole = group_by(measures={"n": aggregates.count()}, mode="complete")
        graph.read("rows", source).via("all", whole).to("out", sinks.each(keep))
        async with graph.start(state=State(tmp_path / "state")) as job:
            await enough.wait()
            await job.suspend()

    asyncio.run(part(2))
    seen = len(rows)
    asyncio.run(part(5))
    # What was told twice, behind the last epoch, says the same.
    assert [row["n"] for row in rows[:seen]] == [4 * (at + 1) for at in range(seen)]
    assert rows[-1] == {"n": 20}
    assert all(unread)
