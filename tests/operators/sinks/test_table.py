"""Tables of a job: what they hold, who sees it when, and what survives the process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from thalweg import (
    Columns,
    DeadLetter,
    Graph,
    GraphError,
    JobFailed,
    MisconfiguredError,
    Outcome,
    State,
    TableMissing,
)
from thalweg.operators import aggregates, group_by, sinks, sources
from thalweg.operators.sinks import TableSink
from thalweg.runtime.contracts import Context
from thalweg.runtime.job import Job
from thalweg.runtime.tables.asking import Asking
from thalweg.runtime.tables.tables import Tables
from thalweg.testing import SINK_CHECKS, HeldFence, SinkCase, context

pa: Any = pytest.importorskip("pyarrow")

Check = Callable[[SinkCase[Any]], Awaitable[None]]


def rows(tables: Tables, query: str) -> list[dict[str, Any]]:
    return tables.answer(Asking(query, seconds=20, rows=10_000, size=1 << 24)).rows()


def files_in(folder: Path, pattern: str) -> list[Path]:
    return list(folder.rglob(pattern))


def columns(**values: Sequence[object]) -> Columns:
    return Columns(pa.table({name: list(each) for name, each in values.items()}))


class Watched(TableSink):
    """A table that tells whom it belongs to, for there is nowhere else to look."""

    last: Context | None = None

    async def open(self, context: Context) -> None:
        self.given = context
        await super().open(context)
        if context.fence is None:
            type(self).last = context

    async def discard(self, epoch: int) -> None:
        await super().discard(epoch)
        type(self).last = self.given

    @classmethod
    def held(cls) -> list[dict[str, Any]]:
        if cls.last is None:
            return []
        try:
            return rows(cls.last.tables, "from t order by n")
        except TableMissing:
            return []


def case_for(folder: Path, kind: str) -> SinkCase[Any]:
    Watched.last = None
    given: dict[str, Any] = {"folder": folder}
    if kind == "update":
        given |= {"mode": "update", "key": ["n"]}
    return SinkCase(
        lambda: Watched("t", **given),
        [{"n": number, "text": str(number)} for number in range(30)],
        Watched.held,
        bad=[{"n": "no number", "text": ""}, {"n": 2**70, "text": ""}, 7],
        again="replaces",
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["append", "update"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(check: Check, kind: str, tmp_path: Path) -> None:
    await check(case_for(tmp_path / "deep", kind))


async def opened(sink: TableSink, fence: HeldFence | None = None) -> tuple[TableSink, Tables]:
    given = context(fence=fence)
    await sink.open(given)
    return sink, given.tables


@pytest.mark.asyncio
async def test_columns_that_come_later_are_added_and_types_become_wide_enough() -> None:
    sink, tables = await opened(sinks.table("t"))
    assert await sink.write_columns(columns(n=[1, 2], nothing=[None, None])) is None
    assert await sink.write_columns(columns(n=[0.5], text=["a"], nothing=[3])) is None
    assert rows(tables, "from t order by n") == [
        {"n": 0.5, "text": "a", "nothing": 3},
        {"n": 1.0, "text": None, "nothing": None},
        {"n": 2.0, "text": None, "nothing": None},
    ]
    refused = await sink.write_columns(columns(n=["text", "text"]))
    assert isinstance(refused, Outcome)
    assert sorted(refused.rejected) == [0, 1]
    assert "the table 't' does not take it" in str(refused.rejected[0])
    await sink.close()


@pytest.mark.asyncio
async def test_a_record_with_another_field_is_rejected_and_told_what_to_say() -> None:
    sink, tables = await opened(sinks.table("t"))
    assert await sink.write([{"n": 1}]) is None
    refused = await sink.write([{"n": 2}, {"n": 3, "text": "a"}])
    assert isinstance(refused, Outcome)
    told = "there is no column for the field 'text': name the columns to be written with columns="
    assert {at: str(error) for at, error in refused.rejected.items()} == {1: told}
    assert rows(tables, "from t order by n") == [{"n": 1}, {"n": 2}]
    await sink.close()


@pytest.mark.asyncio
async def test_the_last_of_several_rows_with_one_key_counts_and_null_is_a_key() -> None:
    sink, tables = await opened(sinks.table("t", mode="update", key=["a", "b"]))
    await sink.write_columns(columns(a=["x", None, "x"], b=[1, 1, 1], n=[1, 2, 3]))
    await sink.write_columns(columns(a=[None], b=[1], n=[9]))
    assert rows(tables, "from t order by n") == [
        {"a": "x", "b": 1, "n": 3},
        {"a": None, "b": 1, "n": 9},
    ]
    with pytest.raises(MisconfiguredError, match="no column 'b', which is part of the key"):
        await sink.write_columns(columns(a=["x"]))
    await sink.close()


@pytest.mark.asyncio
async def test_a_whole_result_takes_the_place_of_the_one_before_with_columns_of_its_own() -> None:
    sink, tables = await opened(sinks.table("t", mode="complete"))
    await sink.write_columns(columns(k=["a", "b"], n=[1, 2]))
    await sink.write_columns(columns(k=["c"]))
    assert rows(tables, "from t") == [{"k": "c"}]
    await sink.write([{"k": 1}])
    await sink.write([{"k": 2}])
    assert rows(tables, "from t") == [{"k": "c"}]
    await sink.on_end()
    assert rows(tables, "from t order by k") == [{"k": 1}, {"k": 2}]
    await sink.close()


@pytest.mark.asyncio
async def test_a_table_with_types_is_there_before_anything_comes() -> None:
    sink, tables = await opened(sinks.table("t", columns={"n": float, "text": str}))
    assert rows(tables, "select count(*) as c from t") == [{"c": 0}]
    assert await sink.write([{"n": 1, "text": "a", "other": 2}]) is None
    assert rows(tables, "from t") == [{"n": 1.0, "text": "a"}]
    await sink.close()


@pytest.mark.asyncio
async def test_a_result_that_is_not_whole_at_an_epoch_is_completed_after_a_restart(
    tmp_path: Path,
) -> None:
    def make() -> TableSink:
        return sinks.table("t", mode="complete", folder=tmp_path)

    fence = HeldFence()
    sink, _ = await opened(make(), fence)
    await sink.discard(0)
    await sink.write([{"n": 1}])
    await sink.on_trigger(0)
    await sink.write([{"n": 2}])
    prepared = await sink.prepare(1)
    await sink.commit(1, prepared)
    await sink.close()
    later, tables = await opened(make(), fence.taken_over())
    await later.discard(1)
    await later.commit(1, prepared)
    assert rows(tables, "from t") == [{"n": 1}]
    await later.write([{"n": 3}])
    await later.on_trigger(1)
    await later.commit(2, await later.prepare(2))
    assert rows(tables, "from t order by n") == [{"n": 2}, {"n": 3}]
    await later.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["append", "update"])
async def test_an_epoch_that_cuts_a_trigger_in_two_shows_none_of_it_and_loses_none(
    mode: Any, tmp_path: Path
) -> None:
    key = ["n"] if mode == "update" else None

    async def start(fence: HeldFence) -> tuple[TableSink, Tables]:
        given = context(fence=fence)
        given.tables = Tables(lambda node: frozenset(["files"]))
        sink = sinks.table("t", mode=mode, key=key, folder=tmp_path)
        await sink.open(given)
        return sink, given.tables

    fence = HeldFence()
    sink, tables = await start(fence)
    await sink.discard(0)
    await sink.write([{"n": 1}])
    await sink.on_trigger(0)
    await sink.write([{"n": 2}])
    await sink.commit(1, await sink.prepare(1))
    await sink.write([{"n": 3}])
    prepared = await sink.prepare(2)
    await sink.commit(2, prepared)
    assert rows(tables, "from t") == [{"n": 1}]
    await sink.close()
    for ending in ("nothing more", "more"):
        fence = fence.taken_over()
        later, tables = await start(fence)
        await later.discard(2)
        await later.commit(2, prepared)
        assert rows(tables, "from t") == [{"n": 1}]
        more = [4] if ending == "more" else []
        if more:
            await later.write([{"n": 4}])
        await later.on_trigger(1)
        last = await later.prepare(3)
        assert rows(tables, "from t") == [{"n": 1}]
        await later.commit(3, last)
        expected = [{"n": n} for n in (1, 2, 3, *more)]
        assert rows(tables, "from t order by n") == expected
        await later.close()
        again, tables = await start(fence)
        await again.discard(3)
        assert rows(tables, "from t order by n") == expected
        await again.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["append", "update"])
async def test_an_epoch_writes_what_has_changed_and_files_stay_few(
    mode: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.operators.sinks._table_files._SMALL", 2000)
    key = ["n"] if mode == "update" else None
    fence = HeldFence()
    sink, _ = await opened(sinks.table("t", mode=mode, key=key, folder=tmp_path), fence)
    await sink.discard(0)
    prepared = b""
    for epoch in range(1, 61):
        await sink.write([{"n": epoch % 7, "stamp": epoch}])
        prepared = await sink.prepare(epoch)
        await sink.commit(epoch, prepared)
    await sink.close()
    assert len(json.loads(prepared)["files"]) <= 10
    assert len(files_in(tmp_path, "*.arrow")) <= 40
    later, tables = await opened(sinks.table("t", mode=mode, key=key, folder=tmp_path), fence)
    await later.discard(60)
    await later.commit(60, prepared)
    found = rows(tables, "from t order by stamp")
    assert [one["stamp"] for one in found] == list(range(54 if key else 1, 61))
    await later.close()


@pytest.mark.asyncio
async def test_a_file_that_was_damaged_or_lost_is_named(tmp_path: Path) -> None:
    fence = HeldFence()
    sink, _ = await opened(sinks.table("t", folder=tmp_path), fence)
    await sink.discard(0)
    await sink.write([{"n": 1}])
    prepared = await sink.prepare(1)
    await sink.commit(1, prepared)
    await sink.close()
    (file,) = files_in(tmp_path, "*.arrow")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    later, _ = await opened(sinks.table("t", folder=tmp_path), fence)
    with pytest.raises(MisconfiguredError, match=f"{file.name}.*it is not what was written"):
        await later.discard(1)
    for one in files_in(tmp_path, "*.json"):
        one.unlink()
    await later.close()
    later, _ = await opened(sinks.table("t", folder=tmp_path), fence)
    await later.discard(1)
    with pytest.raises(MisconfiguredError, match="its folder holds epoch none"):
        await later.commit(1, prepared)
    await later.close()


@pytest.mark.asyncio
async def test_a_store_without_a_folder_needs_one_said_aloud() -> None:
    with pytest.raises(MisconfiguredError, match="name one by folder=, or say volatile=True"):
        await opened(sinks.table("t"), HeldFence())
    sink, tables = await opened(sinks.table("t", volatile=True), HeldFence())
    assert not sink.transactional
    await sink.write([{"n": 1}])
    assert rows(tables, "from t") == [{"n": 1}]
    await sink.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "whole"}, 'mode is "append", "update" or "complete", not'),
        ({"mode": "update"}, 'mode="update" needs key='),
        ({"key": ["n"]}, 'key= is for mode="update"'),
        ({"name": "Thalweg_tables"}, "the runtime's"),
        ({"name": " "}, "table is the name of a table"),
        ({"folder": "x", "volatile": True}, "say only one"),
        ({"columns": ["n"]}, "columns is a dict"),
    ],
)
def test_a_wrong_option_is_told_where_it_is_written(options: Any, message: str) -> None:
    given: dict[str, Any] = {"name": "t", **options}
    with pytest.raises((ValueError, TypeError), match=message):
        sinks.table(**given)


@pytest.mark.asyncio
@pytest.mark.parametrize("others", [{}, {"n": 1}])
async def test_a_column_that_only_was_null_takes_the_type_of_its_first_value(
    others: dict[str, Any],
) -> None:
    sink, tables = await opened(sinks.table("t"))
    assert await sink.write([{"x": None} | others]) is None
    assert await sink.write([{"x": 1.5} | others, {"x": None} | others]) is None
    refused = await sink.write([{"x": "text"} | others])
    assert rows(tables, "select x from t order by x") == [{"x": 1.5}, {"x": None}, {"x": None}]
    assert refused is not None
    assert "column 'x', double, does not take 'text'" in str(refused.rejected[0])
    await sink.close()


@pytest.mark.asyncio
async def test_a_column_that_only_was_null_has_no_type_after_a_restart_either(
    tmp_path: Path,
) -> None:
    fence = HeldFence()
    found = list[dict[str, Any]]()
    several: list[list[float | None]] = [[None], [None, 1.5]]
    for epoch, values in enumerate(several, 1):
        sink, tables = await opened(sinks.table("t", folder=tmp_path), fence)
        await sink.discard(epoch - 1)
        for value in values:
            assert await sink.write([{"n": 1, "x": value}]) is None
        await sink.commit(epoch, await sink.prepare(epoch))
        found = rows(tables, "from t order by all")
        await sink.close()
        fence = fence.taken_over()
    assert found == [{"n": 1, "x": 1.5}, {"n": 1, "x": None}, {"n": 1, "x": None}]


def activity(tmp_path: Path, *, files: int = 3) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    for number in range(files):
        lines = [json.dumps({"k": "abc"[n % 3], "n": n}) for n in range(10)]
        (folder / f"{number}.json").write_text("\n".join(lines) + "\n")
    return folder


def counting(folder: Path, *, stored: bool) -> Graph:
    graph = Graph("counting")
    source = sources.files(f"{folder}/*.json", format="ndjson", max_files_per_trigger=1)
    given = graph.read("rows", source)
    for mode in ("complete", "update"):
        counts = group_by("k", measures={"n": aggregates.count()}, mode=mode)
        made = given.via(f"by_{mode}", counts, volatile=not stored)
        key = ["k"] if mode == "update" else None
        made.to(f"{mode}_table", sinks.table(f"{mode}d", mode=mode, key=key))
    given.to("all", sinks.table("everything"))
    return graph


QUERY = """
    select (select count(*) from everything) as everything,
        (select coalesce(sum(n), 0) from completed) as completed,
        (select coalesce(sum(n), 0) from updated) as updated
"""


async def look_at(job: Job) -> tuple[dict[str, Any] | None, int]:
    try:
        answer = await job.sql(QUERY)
    except TableMissing:
        return None, 0
    return answer.rows()[0], answer.version


@pytest.mark.asyncio
@pytest.mark.parametrize("stored", [False, True])
async def test_readers_see_the_tables_change_together(stored: bool, tmp_path: Path) -> None:
    folder = activity(tmp_path, files=12)
    state = State(tmp_path / "state", interval=0.02) if stored else None
    seen: list[int] = []
    async with counting(folder, stored=stored).start(state=state) as job:
        ended = asyncio.ensure_future(job.wait())
        while True:
            last = ended.done()
            found, version = await look_at(job)
            if found is not None:
                assert len(set(found.values())) == 1, found
                seen.append(version)
            if last:
                break
    assert found is not None
    assert set(found.values()) == {120}
    assert seen == sorted(seen)
    listed = (await job.sql("select name, mode, rows from thalweg_tables order by name")).rows()
    assert listed == [
        {"name": "completed", "mode": "complete", "rows": 3},
        {"name": "everything", "mode": "append", "rows": 120},
        {"name": "updated", "mode": "update", "rows": 3},
    ]


@pytest.mark.asyncio
async def test_tables_go_on_with_their_job_and_keep_what_an_ended_one_held(tmp_path: Path) -> None:
    folder = activity(tmp_path)
    for _ in range(3):
        async with counting(folder, stored=True).start(state=tmp_path / "state") as job:
            await job.wait()
        found, _version = await look_at(job)
        assert found is not None
        assert set(found.values()) == {30}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (5, "a row is made of a dict, a dataclass or a named tuple, not of 5"),
        ({"a": 1, "": 2}, "the name of a column is text of a letter or more, not ''"),
        ({7: 1}, "the name of a column is text of a letter or more, not 7"),
        ({"a": {1, 2}}, "column 'a': set is nothing that a column can hold"),
        ({}, "the record has no fields, and a row needs one"),
    ],
)
def test_what_is_no_row_is_told_why(record: Any, message: str) -> None:
    graph, letters = Graph("odd"), list[DeadLetter]()
    graph.read("records", sources.records([record])).to("table", sinks.table("odd"))
    graph.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert [letter.error.message for letter in letters] == [message]


def test_two_sinks_of_one_table_are_told_with_their_place() -> None:
    graph = Graph("twice")
    numbers = graph.read("numbers", sources.records([{"n": 1}]))
    numbers.to("one", sinks.table("Numbers"))
    numbers.to("two", sinks.table("numbers"))
    with pytest.raises(GraphError, match="'one' and 'two' both fill the table 'numbers'"):
        graph.plan()


def test_the_plan_tells_what_becomes_of_a_table(tmp_path: Path) -> None:
    graph = Graph("told")
    numbers = graph.read("numbers", sources.records([{"n": 1}]))
    numbers.to("kept", sinks.table("kept"))
    numbers.to("gone", sinks.table("gone", volatile=True))
    kept, gone = graph.plan().promises(store=True)
    assert (kept.delivery, gone.delivery) == ("exactly once", "at most once")
    assert "its files are kept for the last 10 epochs" in kept.why
    assert "the table gone is gone with the process" in gone.why


@pytest.mark.asyncio
async def test_a_stream_without_the_key_fails_the_job_and_says_why() -> None:
    graph = Graph("keyless")
    rows_of = graph.read("numbers", sources.records([{"n": 1}]))
    rows_of.to("table", sinks.table("t", mode="update", key=["k"]))
    with pytest.raises(JobFailed, match="no column 'k', which is part of the key of the table 't'"):
        async with graph.start() as job:
            await job.wait()
