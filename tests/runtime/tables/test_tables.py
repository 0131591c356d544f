"""Asking the tables of a job: what is answered, what is refused, and what is stopped."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from thalweg import Columns, Graph, MisconfiguredError, QueryError, QueryTimeout
from thalweg.operators import sinks, sources
from thalweg.runtime.contracts import Change
from thalweg.runtime.tables.answer import Answer
from thalweg.runtime.tables.asking import Asking
from thalweg.runtime.tables.tables import Tables
from thalweg.testing import run_virtual

pa: Any = pytest.importorskip("pyarrow")


def ask(
    tables: Tables, query: str, *, seconds: float = 20.0, rows: int = 1000, size: int = 1 << 20
) -> Answer:
    return tables.answer(Asking(query, seconds=seconds, rows=rows, size=size))


def added(**values: Sequence[object]) -> Change:
    return Change("append", [Columns(pa.table({name: list(v) for name, v in values.items()}))])


@pytest.fixture
def tables() -> Tables:
    made = Tables()
    made.declare("words").show([added(word=["a", "b", None], n=[1, 2, 3])])
    return made


def test_a_query_finds_what_was_shown(tables: Tables) -> None:
    answer = ask(tables, "select word, n from WORDS where n > 1 order by n")
    assert answer.rows() == [{"word": "b", "n": 2}, {"word": None, "n": 3}]
    assert answer.version == 1
    assert ask(tables, "with w as (from words) select count(*) as c from w").rows() == [{"c": 3}]


def test_an_answer_has_a_form_in_json() -> None:
    answer = Answer(
        pa.table(
            {
                "x": [float("nan"), float("inf"), -0.5],
                "d": pa.array([Decimal(7), Decimal(2**70), None], pa.decimal128(38, 0)),
                "t": [dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), None, None],
                "b": [b"\xff", None, b""],
                "s": [{"a": [1, None]}, None, {"a": []}],
            }
        ),
        version=3,
    )
    told = answer.as_dict()
    assert told["version"] == 3
    assert told["rows"] == [
        ["NaN", 7, "2026-01-02T03:00:00+00:00", "/w==", {"a": [1, None]}],
        ["Infinity", str(2**70), None, None, None],
        [-0.5, None, None, "", {"a": []}],
    ]
    columns: Any = told["columns"]
    assert columns[0] == {"name": "x", "type": "double"}


@pytest.mark.parametrize(
    "query",
    [
        "insert into words values ('c', 1)",
        "delete from words",
        "update words set n = 0",
        "drop table words",
        "create table mine as select 1",
        "create temp table mine as select 1",
        "attach '{file}' as other",
        "copy words to '{file}'",
        "export database '{file}'",
        "set threads = 1",
        "reset lock_configuration",
        "pragma enable_profiling",
        "install httpfs",
        "load httpfs",
        "call enable_logging()",
        "begin; delete from words; commit",
        "select 1; drop table words",
        "explain analyze delete from words",
        "prepare p as delete from words",
        "checkpoint",
        "vacuum",
        "use main",
        "",
        "-- nothing",
        "selec 1",
    ],
)
def test_what_does_more_than_read_is_refused(query: str, tables: Tables, tmp_path: Path) -> None:
    file = tmp_path / "out.db"
    with pytest.raises(QueryError):
        ask(tables, query.format(file=file))
    assert not file.exists()
    assert ask(tables, "select count(*) as c, sum(n) as s from words").as_dict()["rows"] == [[3, 6]]


@pytest.mark.parametrize(
    "query",
    [
        "from read_text('{file}')",
        "from read_csv('{file}')",
        "from '{file}'",
        "from read_blob('{file}')",
        "from glob('/*')",
        "from sniff_csv('{file}')",
        "from parquet_scan('https://127.0.0.1:1/x.parquet')",
        "from 'https://127.0.0.1:1/x.csv'",
        "from enable_logging()",
        "select * from query('delete from words')",
        "select getenv('HOME')",
        "from secret_of_this_program",
        "from thalweg_given",
    ],
)
def test_nothing_outside_the_tables_can_be_read(query: str, tables: Tables, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a,b\n1,2\n")
    secret_of_this_program = pa.table({"a": [1]})
    with pytest.raises(QueryError):
        ask(tables, query.format(file=file))
    assert len(secret_of_this_program) == 1


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from range(1000000000000)",
        "with recursive r as (select 1 as i union all select i + 1 from r) select count(*) from r",
        "select count(*) from range(10000000) a, range(10000000) b",
    ],
)
def test_a_query_that_never_ends_is_stopped(query: str, tables: Tables) -> None:
    began = time.monotonic()
    with pytest.raises(QueryTimeout, match=r"not been answered within 0\.2 s, and was stopped"):
        ask(tables, query, seconds=0.2)
    assert time.monotonic() - began < 10
    assert len(ask(tables, "from words")) == 3


def test_an_answer_has_limits_and_says_what_to_do(tables: Tables) -> None:
    with pytest.raises(QueryError, match="more than 1,000 rows: say LIMIT"):
        ask(tables, "from range(1000000000)")
    with pytest.raises(QueryError, match="more than 1,048,576 bytes"):
        ask(tables, "select repeat('x', 1000000) from range(100)")
    assert len(ask(tables, "from range(1000)")) == 1000


def test_a_query_that_needs_too_much_memory_harms_nobody(tables: Tables) -> None:
    with pytest.raises(QueryError):
        ask(tables, "select list(a || repeat('x', 100000)) from range(100000000) t(a)", seconds=5)
    assert len(ask(tables, "from words")) == 3


def test_a_table_that_is_not_there_is_told_with_those_that_are(tables: Tables) -> None:
    tables.declare("empty")
    with pytest.raises(QueryError, match=r"not exist! There is empty, words$"):
        ask(tables, "from word")
    with pytest.raises(QueryError, match="nothing has come for the table 'Empty' yet"):
        ask(tables, "from Empty")
    with pytest.raises(QueryError, match="the graph has no table"):
        ask(Tables(), "select 1")
    for name in ("WORDS", "thalweg_tables"):
        with pytest.raises(MisconfiguredError, match="already: choose another name"):
            tables.declare(name)


def test_those_that_change_together_wait_for_each_other_until_one_leaves() -> None:
    tables = Tables()
    one, two = (tables.declare(name, together="source") for name in ("one", "two"))
    alone = tables.declare("alone")
    one.hand_in(0, [added(n=[1])])
    one.hand_in(1, [added(n=[2])])
    alone.show([added(n=[1])])
    with pytest.raises(QueryError, match="nothing has come for the table"):
        ask(tables, "from one")
    two.hand_in(0, [])
    assert ask(tables, "from one").rows() == [{"n": 1}]
    two.leave()
    assert ask(tables, "from one order by n").rows() == [{"n": 1}, {"n": 2}]
    assert ask(tables, "select max(version) as v from thalweg_tables").rows() == [{"v": 3}]


def test_what_cannot_be_changed_changes_nothing(tables: Tables) -> None:
    broken = Change("update", added(n=[1]).rows, ("absent",))
    both = {"words": [added(word=["c"], n=[4])], "broken": [broken]}
    tables.declare("broken")
    with pytest.raises(MisconfiguredError, match="the tables cannot be changed"):
        tables.show(both)
    assert ask(tables, "select count(*) as c from words").rows() == [{"c": 3}]
    tables.show({"words": both["words"]})
    assert ask(tables, "select count(*) as c from words").rows() == [{"c": 4}]


def test_readers_in_many_threads_never_see_half_a_change() -> None:
    tables = Tables()
    left, right = tables.declare("lefts"), tables.declare("rights")
    tables.show({"lefts": [added(n=[0])], "rights": [added(n=[0])]})
    assert (left.name, right.name) == ("lefts", "rights")
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            (found,) = ask(
                tables, "select (select sum(n) from lefts) a, (select sum(n) from rights) b"
            ).rows()
            if found["a"] != found["b"]:
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for one in readers:
        one.start()
    for number in range(60):
        tables.show({"lefts": [added(n=[number])], "rights": [added(n=[number])]})
    stop.set()
    for one in readers:
        one.join()
    assert wrong == []


@pytest.mark.asyncio
async def test_a_query_that_nobody_awaits_any_more_is_stopped() -> None:
    graph = Graph("asked")
    numbers = graph.read("numbers", sources.records([{"n": n} for n in range(10)]))
    numbers.to("table", sinks.table("numbers"))
    async with graph.start() as job:
        await job.wait()
        asking = asyncio.ensure_future(job.sql("select count(*) from range(1000000000000)"))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await job.sql("select count(*) as c from numbers")).rows() == [{"c": 10}]
        with pytest.raises(QueryTimeout):
            await job.sql("select count(*) from range(1000000000000)", timeout=0.1)
        with pytest.raises(QueryError, match="more than 5 rows"):
            await job.sql("from numbers", max_rows=5)


@pytest.mark.asyncio
async def test_a_query_that_cannot_be_stopped_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("thalweg.runtime.tables.sql._GRACE", 0.1)
    step = threading.Event()

    def ask(database: object, asking: object) -> None:
        step.wait(30)
        raise QueryError("the step is over")

    graph = Graph("asked")
    numbers = graph.read("numbers", sources.records([{"n": n} for n in range(10)]))
    numbers.to("table", sinks.table("numbers"))
    async with graph.start() as job:
        await job.wait()
        with monkeypatch.context() as patched:
            patched.setattr("thalweg.runtime.tables.database.Database.ask", ask)
            with pytest.raises(QueryTimeout, match=r"within 0\.1 s, and is in a step that cannot"):
                await job.sql("from numbers", timeout=0.1)
        step.set()
        assert (await job.sql("select count(*) as c from numbers")).rows() == [{"c": 10}]


@pytest.mark.asyncio
async def test_what_is_no_query_or_no_time_is_told() -> None:
    graph = Graph("asked")
    graph.read("numbers", sources.records([{"n": 1}])).to("table", sinks.table("numbers"))
    async with graph.start() as job:
        await job.wait()
        for seconds in (0, -1.0, float("nan")):
            with pytest.raises(ValueError, match="timeout is more than 0 seconds, not"):
                await job.sql("from numbers", timeout=seconds)
        wrong: Any = 5
        with pytest.raises(TypeError, match="a query is text, not 5"):
            await job.sql(wrong)


def test_memory_that_a_query_took_is_given_back(tables: Tables) -> None:
    (row,) = ask(tables, "select current_setting('allocator_background_threads') as back").rows()
    assert row == {"back": True}


def test_time_stands_still_while_a_query_is_answered() -> None:
    graph = Graph("virtual")
    graph.read("numbers", sources.push()).to("table", sinks.table("numbers"))

    async def main() -> tuple[list[dict[str, Any]], float]:
        loop = asyncio.get_running_loop()
        async with graph.start() as job:
            await (await job.push("numbers", [{"n": 1}, {"n": 2}]))
            began = loop.time()
            found = await job.sql("select sum(n)::int as s from numbers")
            return found.rows(), loop.time() - began

    assert run_virtual(main) == ([{"s": 3}], 0.0)
