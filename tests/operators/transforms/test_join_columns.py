"""Joins of columns: against a join by brute force, restarted, through faults, and with odd keys."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from thalweg import Columns, DeadLetter, Graph, GraphError, JobFailed, Row, Stream
from thalweg.operators import join_columns, sinks, sources
from thalweg.operators.transforms import _sorted_rows as sorted_rows
from thalweg.operators.transforms._column_sides import ColumnSide
from thalweg.operators.transforms._key_words import key_words
from thalweg.operators.transforms.join_columns import ColumnJoin
from thalweg.runtime.testing.contexts import instance
from thalweg.testing import context, simulate

pa: Any = pytest.importorskip("pyarrow")
np: Any = pytest.importorskip("numpy")

How = Literal["inner", "left", "outer"]

Told = tuple[Any, int | None, int | None]
"""A key, and the numbers of both sides."""


@dataclass(frozen=True)
class Event:
    """A row of one side; its number tells it from all others."""

    side: int
    key: Any
    at: float
    number: int


def pairs_within(events: Iterable[Event], within: tuple[float, float], how: str) -> Counter[Told]:
    """Every left row beside every right one. NULL equals nothing."""
    given_ones = list(events)
    before, after = (round(one * 1e6) for one in within)
    found: list[Told] = []
    met: set[int] = set()
    for left in given_ones:
        for right in given_ones:
            if (left.side, right.side) != (0, 1) or left.key is None or left.key != right.key:
                continue
            if -before <= round(right.at * 1e6) - round(left.at * 1e6) <= after:
                found.append((left.key, left.number, right.number))
                met |= {left.number, right.number}
    if how != "inner":
        found += [(e.key, e.number, None) for e in given_ones if not e.side | (e.number in met)]
    if how == "outer":
        found += [(e.key, None, e.number) for e in given_ones if e.side and e.number not in met]
    return Counter(found)


def table(events: Sequence[Event], side: int, kind: Any) -> Any:
    name = "r" if side else "l"
    return pa.table(
        {
            "key": pa.array([event.key for event in events], kind),
            "at": [event.at for event in events],
            name: [event.number for event in events],
        }
    )


def rows_of(told: Iterable[Columns]) -> list[Row]:
    return [row for one in told for row in one.rows()]


def seen(rows: Iterable[Row]) -> Counter[Told]:
    return Counter((row["key"], row.get("l"), row.get("right_r")) for row in rows)  # type: ignore[misc]


def sided(side: int, given_table: Any) -> Columns:
    (columns,) = ColumnSide(side).process_columns(Columns(given_table))
    return columns


def opened(operator: ColumnJoin) -> ColumnJoin:
    made = instance(operator)
    asyncio.run(made.open(context()))
    return made


def goes_on(operator: ColumnJoin) -> ColumnJoin:
    """Another one that has what this one saved."""
    later = opened(operator)
    for name in ("rows", "marks"):
        getattr(later, name).restore([getattr(operator, name).snapshot()])
    later.restore(operator.snapshot())
    return later


# Whole microseconds, of which each bound is met and missed by very little.
TIMES = some.integers(0, 60).map(lambda tenths: tenths / 10)
BOUNDS = [(0.0, 0.0), (0.3, 0.3), (0.0, 1.1), (2.0, 0.1), (100.0, 100.0)]
TEXTS = some.sampled_from(["a", "b", "key of more than eight bytes", "", None])
NUMBERS = some.sampled_from([0, 1, -1, 2**40, None])


@some.composite
def arrivals(draw: some.DrawFn, keys: some.SearchStrategy[Any]) -> list[list[Event] | float]:
    """Batches of either side, out of order as far as watermarks in between allow."""
    lateness = draw(some.sampled_from([0.0, 1.0, 100.0]))
    came: list[list[Event] | float] = []
    newest, number = [-math.inf, -math.inf], 0
    told = -math.inf
    for _ in range(draw(some.integers(0, 14))):
        if draw(some.booleans()) and min(newest) > -math.inf:
            told = max(told, min(newest) - lateness)
            came.append(told)
        side = draw(some.integers(0, 1))
        batch: list[Event] = []
        for key, at in draw(some.lists(some.tuples(keys, TIMES), max_size=8)):
            if at < newest[side] - lateness:
                continue  # It is late, and never comes here.
            newest[side] = max(newest[side], at)
            number += 1
            batch.append(Event(side, key, at, number))
        if batch:
            came.append(batch)
    return came


def driven(
    operator: ColumnJoin, came: Sequence[list[Event] | float], kind: Any, restart: int
) -> Counter[Told]:
    told: list[Row] = []
    running = opened(operator)
    for number, item in enumerate(came):
        if isinstance(item, float):
            told += rows_of(running.on_watermark(item))
        elif not isinstance(item, int):
            side = item[0].side
            columns = sided(side, table(item, side, kind))
            told += rows_of(running.process_columns_at(columns, [event.at for event in item]))
        if number == restart:
            running = goes_on(running)
    return seen([*told, *rows_of(running.on_end())])


@settings(max_examples=200, deadline=None)
@given(
    some.one_of(
        some.tuples(some.just("string"), arrivals(TEXTS)),
        some.tuples(some.just("int64"), arrivals(NUMBERS)),
    ),
    some.sampled_from(BOUNDS),
    some.sampled_from(["inner", "left", "outer"]),
    some.integers(-1, 14),
)
def test_a_join_of_columns_is_what_brute_force_finds(
    typed: tuple[str, list[list[Event] | float]],
    within: tuple[float, float],
    how: How,
    restart: int,
) -> None:
    kind, came = typed
    told = driven(
        ColumnJoin({"key": "key"}, *within, how, "right_"), came, getattr(pa, kind)(), restart
    )
    events = [event for item in came if isinstance(item, list) for event in item]
    assert told == pairs_within(events, within, how)


@settings(max_examples=40, deadline=None)
@given(arrivals(TEXTS), some.sampled_from(BOUNDS), some.sampled_from(["inner", "outer"]))
def test_keys_with_the_same_word_are_told_apart(
    came: list[list[Event] | float], within: tuple[float, float], how: How
) -> None:
    def no_word(keys: Sequence[Any]) -> Any:
        return np.zeros(len(keys[0]), np.uint64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_rows, "key_words", no_word)
        operator = ColumnJoin({"key": "key"}, *within, how, "right_")
        told = driven(operator, came, pa.string(), -1)
    events = [event for item in came if isinstance(item, list) for event in item]
    assert told == pairs_within(events, within, how)


def test_many_stretches_are_put_together_and_forgotten() -> None:
    """What is kept is bounded by the bound, and in few stretches, however small batches are."""
    running = opened(ColumnJoin({"key": "key"}, 1.0, 2.0, "outer", "right_"))
    told: list[Row] = []
    events: list[Event] = []
    most = rows = 0
    for second in range(300):
        for side in (0, 1):
            event = Event(side, "k" if second % 7 else None, float(second), 2 * second + side)
            events.append(event)
            columns = sided(side, table([event], side, pa.string()))
            told += rows_of(running.process_columns_at(columns, [event.at]))
        told += rows_of(running.on_watermark(second - 20.0))
        most = max(most, len(running.rows))
        stored: list[tuple[Any, Any]] = list(running.rows.values())
        rows = max(rows, sum(len(times) for _, times in stored))
        assert running.rows.keys() == running.marks.keys()
    assert most <= 2 * 8
    assert rows < 2 * 100
    told += rows_of(running.on_watermark(1000.0))
    assert not running.rows
    assert not running.marks
    assert seen(told) == pairs_within(events, (1.0, 2.0), "outer")


def test_large_stretches_are_joined_as_brute_force_does() -> None:
    """As many rows at once as no test by example has, with keys that come many times."""
    chance = np.random.default_rng(4)
    sides = list[list[Event]]()
    for side in (0, 1):
        at = np.sort(chance.integers(0, 2_000_000, 3000)) / 1e3
        keys = chance.integers(0, 40, 3000)
        numbers = range(3000 * side, 3000 * side + 3000)
        given_ones = zip(keys.tolist(), at.tolist(), numbers, strict=True)
        sides.append([Event(side, f"key-{key}", when, n) for key, when, n in given_ones])
    came: list[list[Event] | float] = []
    for start in range(0, 3000, 700):
        came += [one[start : start + 700] for one in sides]
        came.append(min(one[min(start + 700, 2999)].at for one in sides) - 1.0)
    told = driven(ColumnJoin({"key": "key"}, 3.0, 7.5, "outer", "right_"), came, pa.string(), 7)
    assert sum(told.values()) > 5000
    assert told == pairs_within([*sides[0], *sides[1]], (3.0, 7.5), "outer")


def test_what_nothing_matched_is_told_in_the_order_of_time_with_null_beside_it() -> None:
    running = opened(ColumnJoin({"key": "name"}, 0.0, 1.0, "outer", "other_"))
    left = sided(0, pa.table({"key": ["b", "a"], "n": [1, 2]}))
    right = sided(1, pa.table({"name": ["c", "a"], "n": [3, 4], "more": [True, False]}))
    assert rows_of(running.process_columns_at(left, [5.0, 1.0])) == []
    assert rows_of(running.process_columns_at(right, [2.0, 1.5])) == [
        {"key": "a", "n": 2, "other_n": 4, "other_more": False}
    ]
    assert rows_of(running.on_watermark(math.inf)) == [
        {"key": "c", "n": None, "other_n": 3, "other_more": True},
        {"key": "b", "n": 1, "other_n": None, "other_more": None},
    ]


def test_keys_of_several_columns_meet_where_all_are_equal() -> None:
    on = {"a": "x", "b": "y"}
    running = opened(ColumnJoin(on, 1.0, 1.0, "inner", "right_"))
    left = sided(0, pa.table({"a": [1, 1, 2, None], "b": ["p", "q", None, "p"], "n": range(4)}))
    right = sided(1, pa.table({"x": [1.0, 1.0, 2.0], "y": ["q", "r", None], "m": range(3)}))
    list(running.process_columns_at(left, [0.0] * 4))
    told = rows_of(running.process_columns_at(right, [0.0] * 3))
    assert told == [{"a": 1, "b": "q", "n": 1, "right_m": 0}]


def test_types_may_widen_on_the_way() -> None:
    running = opened(ColumnJoin({"key": "key"}, 9.0, 9.0, "left", "right_"))
    for keys in ([None], [1, 2], [2.5]):
        list(running.process_columns_at(sided(0, pa.table({"key": keys})), [0.0] * len(keys)))
    right = sided(1, pa.table({"key": [1.0, 2.5, 3.0], "m": [1, 2, 3]}))
    assert [row["right_m"] for row in rows_of(running.process_columns_at(right, [0.0] * 3))] == [
        1,
        2,
    ]
    assert [row["key"] for row in rows_of(running.on_end())] == [None, 2]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "", "longer than eight", "exactly8", None, "ä" * 9], "string"),
        (["a", "", "longer than eight", "exactly8", None], "large_string"),
        ([b"a", b"\0", b"\0\0", b""], "binary"),
        ([1, -1, 0, 2**62, None], "int64"),
        ([1, 0, 2**63], "uint64"),
        ([1.5, -0.25, 0.0, None], "float64"),
        ([True, False, None], "bool_"),
    ],
)
def test_the_word_of_a_key_does_not_depend_on_what_stands_beside_it(
    values: list[Any], kind: str
) -> None:
    whole = pa.array([*values, *values], getattr(pa, kind)())
    words = key_words([whole])
    count = len(values)
    known = [index for index in range(count) if values[index] is not None]
    assert [words[index] for index in known] == [words[count + index] for index in known]
    assert len({int(words[index]) for index in known}) == len(known)
    for index in known:
        assert key_words([whole.slice(index, 1)])[0] == words[index]
    assert (key_words([whole.dictionary_encode()])[known] == words[known]).all()


def test_numbers_that_are_equal_have_the_same_word_whatever_their_type() -> None:
    types = [pa.int64(), pa.int8(), pa.uint32(), pa.float64(), pa.float32()]
    words = [int(key_words([pa.array([7], kind)])[0]) for kind in types]
    assert len(set(words)) == 1
    minus = [int(key_words([pa.array([-7], kind)])[0]) for kind in (pa.int64(), pa.float64())]
    assert len(set(minus)) == 1
    zeros = key_words([pa.array([0.0, -0.0])])
    assert zeros[0] == zeros[1]


def at_of(row: Row) -> Any:
    return row["at"]


def timed(graph: Graph, name: str, source: Any, lateness: float = 0.0) -> Stream[Any]:
    return graph.read(name, source).event_time(
        at_of, unit="s", lateness=lateness, max_ahead=None, name=f"{name}_time"
    )


def rows(side: int, count: int, step: float) -> list[Row]:
    name = "r" if side else "l"
    return [
        {name: n, "key": "abcd"[n * n % 4], "at": 1000 + n * step + n % 3} for n in range(count)
    ]


@pytest.mark.parametrize("how", ["inner", "outer"])
def test_a_join_of_columns_goes_on_after_any_fault(how: How) -> None:
    def make() -> Graph:
        graph = Graph("joined")
        left = timed(graph, "lefts", sources.records(rows(0, 120, 1.0)), 3.0)
        right = timed(graph, "rights", sources.records(rows(1, 90, 1.37)), 3.0)
        made = join_columns("joined", left, right, on="key", within=("2s", "1s"), how=how)
        made.to("out", sinks.ndjson("joined.ndjson"))
        return graph

    reports = [simulate(make, seed=seed) for seed in range(6)]
    assert [report.differences for report in reports if not report.ok] == []
    assert all(report.records > 50 for report in reports)
    assert any(report.faults for report in reports)


@pytest.mark.parametrize("how", ["inner", "left", "outer"])
@pytest.mark.parametrize("max_batch_size", [1, 7, 1024])
@pytest.mark.parametrize("column", [False, True])
def test_a_job_makes_what_brute_force_finds_of_what_is_not_late(
    how: How, max_batch_size: int, column: bool
) -> None:
    graph, told = Graph("job", max_batch_size=max_batch_size), list[Row]()
    late = [list[Row](), list[Row]()]
    streams = list[Any]()
    given_rows = [rows(0, 150, 0.5), rows(1, 130, 0.6)]
    for side, name in enumerate("lr"):
        time: Any = "at" if column else at_of
        stream = graph.read(name, sources.records(given_rows[side])).event_time(
            time, unit="s", lateness=1, max_ahead=None
        )
        stream.late.to(f"late_{name}", sinks.collect(late[side]))
        streams.append(stream)
    made = join_columns("joined", *streams, on="key", within=("1s", "2s"), how=how, volatile=True)
    made.to("told", sinks.collect(told))
    graph.run()
    assert all(late)
    events = [
        Event(side, row["key"], float(row["at"]), int(row["r" if side else "l"]) + 1000 * side)  # type: ignore[arg-type, call-overload]
        for side in (0, 1)
        for row in given_rows[side]
        if row not in late[side]
    ]
    found = Counter(
        (key, left, right if right is None else right + 1000)
        for (key, left, right), count in seen(told).items()
        for _ in range(count)
    )
    assert found == pairs_within(events, (1.0, 2.0), how)


def test_a_record_that_is_no_row_becomes_a_dead_letter() -> None:
    graph, told, dead = Graph("odd"), list[Row](), list[DeadLetter]()
    given_rows: list[Any] = [{"key": 1, "at": 1.0}, ("no", "row"), {"key": 2, "at": 3.0}]

    def time_of(row: Any) -> float:
        return 2.0 if isinstance(row, tuple) else float(row["at"])

    left = graph.read("l", sources.records(given_rows)).event_time(time_of, unit="s")
    right = timed(graph, "r", sources.records([{"key": 2, "at": 3.5}]))
    graph.failed.to("dead", sinks.collect(dead))
    made = join_columns("joined", left, right, on="key", within=1, volatile=True)
    made.to("told", sinks.collect(told))
    graph.run()
    assert told == [{"key": 2, "at": 3.0, "right_at": 3.5}]
    assert [(one.node, str(one.origin)) for one in dead] == [("joined.left", "l, record 1")]


@pytest.mark.parametrize(
    ("left", "right", "options", "message"),
    [
        ({"k": 1}, {"key": 1}, {}, r"asks for the column 'key' on its left side"),
        ({"key": 1}, {"k": 1}, {}, r"asks for the column 'key' on its right side"),
        ({"key": 1}, {"key": "1"}, {}, r"has int64 in 'key', and the right one string"),
        ({"key": 1, "n": 1}, {"key": 1, "n": 1}, {"prefix": ""}, r"another prefix="),
    ],
)
def test_what_cannot_be_joined_fails_the_job(
    left: Row, right: Row, options: dict[str, Any], message: str
) -> None:
    graph = Graph("wrong")
    sides = [
        timed(graph, name, sources.records([{**row, f"at_{name}": 1.0, "at": 1.0}]))
        for name, row in (("l", left), ("r", right))
    ]
    made = join_columns("joined", *sides, on="key", within=1, volatile=True, **options)
    made.to("out", sinks.collect([]))
    with pytest.raises(JobFailed, match=message):
        graph.run()


def test_a_join_without_times_is_refused_where_it_is_declared() -> None:
    graph = Graph("timeless")
    left = graph.read("left", sources.records([{"key": 1}]))
    right = timed(graph, "right", sources.records(list[Row]()))
    made = join_columns("joined", left, right, on="key", within="1s", volatile=True)
    made.to("out", sinks.collect([]))
    with pytest.raises(GraphError, match=r"'joined' asks for the times of records.*left"):
        graph.plan()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "key", "within": "1s", "how": "right"}, "change the two streams"),
        ({"on": "key", "within": ("1s",)}, "a length of time or a pair"),
        ({"on": "key", "within": -1}, "within"),
        ({"on": [], "within": 1}, "names no field"),
    ],
)
def test_a_wrong_option_is_told_where_it_is_written(options: Any, message: str) -> None:
    graph = Graph("wrong")
    sides = [timed(graph, name, sources.records(list[Row]())) for name in "lr"]
    with pytest.raises(ValueError, match=message):
        join_columns("joined", *sides, **options)


def test_the_plan_tells_where_records_become_columns() -> None:
    def plan(time: str | Callable[[Row], Any]) -> str:
        graph = Graph("plan")
        sides = [
            graph.read(name, sources.records(list[Row]())).event_time(
                time, unit="s", name=f"{name}_time"
            )
            for name in "lr"
        ]
        made = join_columns("joined", *sides, on={"a": "b"}, within=("1s", "2s"), volatile=True)
        made.to("out", sinks.collect([]))
        return graph.plan().text()

    assert "join by a = b, 1 s before to 2 s after, inner" in plan("at")
    assert "l_time  [column_time]" in plan("at")
    assert "l_time  [event_time]" in plan(at_of)


@pytest.mark.parametrize("key", [[1], {"id": 1}])
def test_keys_that_are_no_plain_values_are_refused_on_both_sides(key: object) -> None:
    for side in (0, 1):
        graph = Graph("nested")
        row: Row = {"k": key, "at": 1}
        timed = [
            graph.read(
                f"side_{at}", sources.records([row] if at == side else list[Row]())
            ).event_time("at", unit="s")
            for at in (0, 1)
        ]
        joined = join_columns("joined", *timed, on="k", within="1s", how="outer", volatile=True)
        joined.to("out", sinks.collect([]))
        with pytest.raises(JobFailed, match="plain values are joined by: take a part of it out"):
            graph.run()
