"""Columns through the engine: who takes them gets them untouched, anybody else gets rows."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from prometheus_client.registry import CollectorRegistry

from thalweg import (
    BatchFunction,
    DeadLetter,
    Graph,
    GraphError,
    MisconfiguredError,
    Read,
    Sink,
    Source,
)
from thalweg.operators import sinks, sources
from thalweg.runtime.contracts import ColumnOperator, Columns, Context, Row, Trigger
from thalweg.runtime.progress import Progress

pa: Any = pytest.importorskip("pyarrow")
compute: Any = pytest.importorskip("pyarrow.compute")


def numbers(start: int, stop: int) -> Columns:
    return Columns(
        pa.table(
            {
                "n": pa.array(range(start, stop), pa.int64()),
                "half": [number / 2 for number in range(start, stop)],
                "word": [f"w{number}" if number % 5 else None for number in range(start, stop)],
            }
        )
    )


class Given(Source[Row]):
    """Hands over these columns, each with its trigger."""

    gives_columns = True

    def __init__(self, *several: Columns) -> None:
        self.several = several

    async def open(self, context: Context) -> None:
        self.left: Iterator[Read[Row] | Trigger] = self.items()

    def items(self) -> Iterator[Read[Row] | Trigger]:
        position = 0
        for number, columns in enumerate(self.several):
            yield Read(columns, range(position, position + len(columns)), lane="file")
            position += len(columns)
            yield Trigger(number)

    async def read(self, limit: int) -> Read[Row] | Trigger | None:
        return next(self.left, None)


class Below(ColumnOperator):
    """The rows with a number below a limit; cannot work on the number 13."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        table = columns.table
        if compute.any(compute.equal(table["n"], 13)).as_py():
            raise ValueError("thirteen")
        yield Columns(table.filter(compute.less(table["n"], self.limit)))


class Total(ColumnOperator):
    """Tells the sum so far at each trigger, and at the end."""

    async def open(self, context: Context) -> None:
        self.total = 0

    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        self.total += compute.sum(columns.table["n"]).as_py()
        return ()

    def on_trigger(self, number: int) -> Iterable[Columns]:
        yield Columns(pa.table({"trigger": [number], "total": [self.total]}))

    def on_end(self) -> Iterable[Columns]:
        yield Columns(pa.table({"trigger": [-1], "total": [self.total]}))

    def snapshot(self) -> bytes:
        return str(self.total).encode()

    def restore(self, data: bytes) -> None:
        self.total = int(data)


class Tables(Sink[Row]):
    """Keeps the columns that it got, and the records."""

    def __init__(self, columns: list[Columns], records: list[Row]) -> None:
        self.columns = columns
        self.records = records

    async def write(self, records: Sequence[Row]) -> None:
        self.records.extend(records)

    async def write_columns(self, columns: Columns) -> None:
        self.columns.append(columns)


def test_columns_go_from_a_source_to_a_sink_untouched() -> None:
    given, columns, records = numbers(0, 5000), list[Columns](), list[Row]()
    graph = Graph("untouched")
    graph.read("given", Given(given)).to("kept", Tables(columns, records))
    graph.run()
    assert columns == [given]
    assert not records


def test_a_function_in_between_gets_rows_in_batches_of_the_usual_size() -> None:
    sizes, out = list[int](), list[Row]()
    graph = Graph("rows")

    def note(rows: list[Row]) -> list[Row]:
        sizes.append(len(rows))
        return rows

    graph.read("given", Given(numbers(0, 2500))).map_batch(note).to("out", sinks.collect(out))
    graph.run()
    assert sizes == [1024, 1024, 452]
    assert out == numbers(0, 2500).rows()


def test_rows_have_the_values_that_arrow_would_give() -> None:
    table = pa.table(
        {
            "n": pa.array([1, 2, 3], pa.int32()),
            "gone": pa.array([1.5, None, 2.5]),
            "text": ["a", None, "c"],
            "list": [[1], [], [2, 3]],
            "flag": [True, False, None],
        }
    )
    cut = Columns(pa.concat_tables([table, table]))[1:5]
    assert cut.rows() == cut.table.to_pylist()
    assert cut[-1] == {"n": 2, "gone": None, "text": None, "list": [], "flag": False}


def test_rows_have_times_as_python_has_them_in_microseconds() -> None:
    at = dt.datetime(1970, 1, 1, microsecond=1, tzinfo=dt.UTC).replace(tzinfo=None)
    moment = pa.timestamp("ns")
    lists = pa.list_(moment), pa.large_list(moment), pa.list_(moment, 1)
    given: dict[str, Any] = {
        "time": pa.array([1_234, None], moment),
        "zoned": pa.array([1_234, None], pa.timestamp("ns", "UTC")),
        "coded": pa.array([1_234, None], moment).dictionary_encode(),
        "clock": pa.array([1_234, None], pa.time64("ns")),
        "length": pa.array([1_234, None], pa.duration("ns")),
        "struct": pa.array([{"at": 1_234, "n": 1}, None], pa.struct([("at", moment), ("n", "i4")])),
        "map": pa.array([[("k", 1_234)], None], pa.map_(pa.string(), moment)),
        **{f"list_{n}": pa.array([[1_234], None], kind) for n, kind in enumerate(lists)},
    }
    first, second = Columns(pa.table(given)).rows()
    assert first == {
        "time": at,
        "zoned": at.replace(tzinfo=dt.UTC),
        "coded": at,
        "clock": at.time(),
        "length": dt.timedelta(microseconds=1),
        "struct": {"at": at, "n": 1},
        "map": [("k", at)],
        "list_0": [at],
        "list_1": [at],
        "list_2": [at],
    }
    assert type(first["time"]) is dt.datetime
    assert second == dict.fromkeys(first)


def test_records_of_functions_become_columns_again() -> None:
    columns = list[Columns]()
    graph = Graph("again")
    read = graph.read("read", sources.records([{"n": 1}, {"n": 20}, {"n": 2.5}]))
    read.via("below", Below(10)).to("kept", Tables(columns, []))
    graph.run()
    assert Columns.join(columns).rows() == [{"n": 1.0}, {"n": 2.5}]


def test_what_is_no_row_or_changes_the_type_of_a_column_becomes_a_dead_letter() -> None:
    columns, letters = list[Columns](), list[DeadLetter]()
    graph = Graph("misfits", max_batch_size=2)
    given: list[Any] = [{"n": 1}, {"n": 2}, "three", {"n": "four"}, {"n": 5}]
    below = graph.read("read", sources.records(given)).via("below", Below(10))
    below.to("kept", Tables(columns, []))
    below.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert Columns.join(columns).rows() == [{"n": 1}, {"n": 2}, {"n": 5}]
    assert [(letter.record, letter.origin and letter.origin.position) for letter in letters] == [
        ("three", 2),
        ({"n": "four"}, 3),
    ]
    assert "column 'n' is int64, not 'four'" in letters[1].error.message


def test_the_row_that_an_operator_cannot_work_on_stands_alone_in_a_dead_letter() -> None:
    columns, letters = list[Columns](), list[DeadLetter]()
    graph = Graph("thirteen")
    below = graph.read("given", Given(numbers(0, 1000))).via("below", Below(500))
    below.to("kept", Tables(columns, []))
    below.failed.to("failed", sinks.collect(letters))
    graph.run()
    kept = [row["n"] for row in Columns.join(columns).rows()]
    assert kept == [n for n in range(500) if n != 13]
    (letter,) = letters
    assert letter.record == {"n": 13, "half": 6.5, "word": "w13"}
    assert str(letter.origin) == "given lane 'file', record 13"


def test_triggers_keep_their_place_and_reach_operators() -> None:
    out = list[Row]()
    graph = Graph("triggers")
    read = graph.read("given", Given(numbers(0, 10), numbers(10, 20)))
    read.via("total", Total(), volatile=True).to("out", sinks.collect(out))
    graph.run()
    assert out == [
        {"trigger": 0, "total": 45},
        {"trigger": 1, "total": 190},
        {"trigger": -1, "total": 190},
    ]


def test_a_union_passes_the_triggers_of_all_its_inputs() -> None:
    out = list[Row]()
    graph = Graph("united")
    one = graph.read("one", Given(numbers(0, 10)))
    other = graph.read("other", sources.records([Row(n=100)]))
    united = one.union(other).via("total", Total(), volatile=True)
    united.to("out", sinks.collect(out))
    graph.run()
    assert [row["trigger"] for row in out] == [0, -1]
    assert out[-1]["total"] == 145


def test_batch_cuts_columns_without_making_rows_of_them() -> None:
    columns, records = list[Columns](), list[Row]()
    graph = Graph("cut")
    read = graph.read("given", Given(numbers(0, 1500), numbers(1500, 2000)))
    read.batch(700, linger=None).to("kept", Tables(columns, records))
    graph.run()
    assert [len(one) for one in columns] == [700, 700, 100, 500]  # A trigger cuts too.
    assert Columns.join(columns).rows() == numbers(0, 2000).rows()
    assert not records


def test_batch_bounds_columns_by_their_bytes() -> None:
    columns = list[Columns]()
    graph = Graph("bytes")
    read = graph.read("given", Given(numbers(0, 1000)))
    read.batch(max_batch_bytes=4096, linger=None).to("kept", Tables(columns, []))
    graph.run()
    assert len(columns) > 3
    assert all(one.size < 5000 for one in columns)
    assert sum(map(len, columns)) == 1000


def test_columns_are_bounded_by_bytes_in_a_channel() -> None:
    class Slow(Tables):
        async def write_columns(self, columns: Columns) -> None:
            await asyncio.sleep(0)
            held.append(job.progress().nodes[-1].inbox)
            await super().write_columns(columns)

    held, columns = list[Any](), list[Columns]()
    graph = Graph("bound", channel_bytes=100_000)
    graph.read("given", Given(*(numbers(0, 1000) for _ in range(50)))).to("kept", Slow(columns, []))

    job = graph.start()

    async def run() -> None:
        async with job:
            await job.wait()

    asyncio.run(run())
    assert len(columns) == 50
    assert max(one.bytes for one in held) <= 100_000


def test_the_plan_shows_where_columns_become_records_and_what_that_costs() -> None:
    graph = Graph("shown")
    read = graph.read("given", Given())
    read.to("kept", Tables([], []))
    read.map(lambda row: row, name="same").via("below", Below(1)).to("out", sinks.collect([]))
    text = graph.plan().text()
    parts = {part.split("  ")[0].strip(): part for part in text.split("\n\n")}
    assert "takes columns as they are" in parts["kept"]
    assert "columns become records at its inbox: about " in parts["same"]
    assert "µs a record of ten columns, measured here" in parts["same"]
    assert "records become columns at its inbox: about " in parts["below"]
    assert "columns become records at its inbox: about " in parts["out"]


def test_progress_and_metrics_tell_what_was_converted_and_how_long_it_took() -> None:
    registry = CollectorRegistry()
    graph = Graph("converted")
    read = graph.read("given", Given(numbers(100, 3100)))
    read.to("kept", Tables([], []))
    read.map(lambda row: row, name="same").via("below", Below(101)).to("out", sinks.collect([]))

    async def run() -> Progress:
        async with graph.start(metrics=registry) as job:
            await job.wait()
            progress = job.progress()
            for node in progress.nodes:
                labels = {"graph": "converted", "node": node.node}
                for name, value in (
                    ("converted_records", node.converted),
                    ("converting_seconds", node.seconds_converting),
                ):
                    assert registry.get_sample_value(f"thalweg_{name}_total", labels) == value
            return progress

    nodes = {node.node: node for node in asyncio.run(run()).nodes}
    counted = {name: node.converted for name, node in nodes.items()}
    assert counted == {"given": 0, "kept": 0, "same": 3000, "below": 3000, "out": 1}
    assert nodes["same"].seconds_converting > 0 < nodes["below"].seconds_converting
    assert nodes["kept"].seconds_converting == 0


def test_event_time_is_refused_below_an_operator_on_columns() -> None:
    graph = Graph("hidden")
    below = graph.read("given", Given()).via("below", Below(1))
    below.event_time(lambda row: row["n"], unit="s").to("out", sinks.collect([]))
    with pytest.raises(GraphError, match="below the operator on columns 'below', which hides"):
        graph.plan()


def test_columns_from_a_source_that_has_not_said_so_are_a_fault() -> None:
    class Silent(Given):
        gives_columns = False

    graph = Graph("silent")
    graph.read("given", Silent(numbers(0, 1))).to("out", sinks.collect([]))
    with pytest.raises(Exception, match="gives columns, and has not said that it does"):
        graph.run()


def test_a_batch_function_gets_records() -> None:
    class Same(BatchFunction[Row, Row]):
        async def call(self, records: Sequence[Row]) -> Sequence[Row]:
            kinds.add(type(records))
            return records

    out, kinds = list[Row](), set[type]()
    graph = Graph("called")
    graph.read("given", Given(numbers(0, 2000))).via("same", Same()).to("out", sinks.collect(out))
    graph.run()
    assert out == numbers(0, 2000).rows()
    assert kinds == {list}


@pytest.mark.parametrize(
    ("kind", "count", "text"),
    [
        (pa.date32(), 2_932_897, "10000-01-01"),
        (pa.date32(), -719_893, "-0001-01-01"),
        (pa.date32(), 2**31 - 1, "infinity"),
        (pa.timestamp("us"), -(2**63 - 1), "-infinity"),
        (pa.timestamp("us"), 253_402_300_800_000_000, "10000-01-01 00:00:00.000000"),
        (pa.timestamp("us", "UTC"), 253_402_300_800_000_000, "10000-01-01 00:00:00.000000+00:00"),
    ],
)
def test_times_that_python_does_not_have_are_text_in_rows(kind: Any, count: int, text: str) -> None:
    number = pa.int32() if kind == pa.date32() else pa.int64()
    column = pa.array([0, None, count], number).cast(kind)
    first, *rest = (row["at"] for row in Columns(pa.table({"at": column})).rows())
    assert isinstance(first, dt.date)
    assert rest == [None, text]


def test_a_list_of_times_that_python_does_not_have_is_told() -> None:
    column = pa.array([[2_932_897]], pa.list_(pa.int32())).cast(pa.list_(pa.date32()))
    with pytest.raises(MisconfiguredError, match="holds a date or time that Python does not have"):
        Columns(pa.table({"at": column})).rows()
