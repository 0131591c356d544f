"""Groups of columns: against DuckDB in one go, however batches are cut, in each mode."""

from __future__ import annotations

import asyncio
import math
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from thalweg import (
    Columns,
    Context,
    DeadLetter,
    Graph,
    JobFailed,
    Read,
    Row,
    Source,
    State,
    Trigger,
)
from thalweg.operators import (
    aggregates,
    cube,
    group_by,
    grouping_sets,
    rollup,
    sinks,
    sources,
    windows,
)
from thalweg.operators.transforms import _partial_groups as partial_groups

pa: Any = pytest.importorskip("pyarrow")
duckdb: Any = pytest.importorskip("duckdb")


class Cut(Source[Row]):
    """Hands over a table in pieces of these lengths; a trigger stands behind each if asked for."""

    gives_columns = True

    def __init__(self, table: Any, lengths: Sequence[int], *, triggers: bool = False) -> None:
        self.table = table
        self.lengths = lengths
        self.triggers = triggers
        self.start = 0

    async def open(self, context: Context) -> None:
        self.items = self.each()

    def each(self) -> Iterator[Read[Row] | Trigger]:
        start = self.start
        for number, length in enumerate(self.lengths):
            piece = self.table.slice(start, length)
            yield Read(Columns(piece), range(start, start + piece.num_rows))
            start += length
            if self.triggers:
                yield Trigger(number)

    async def read(self, limit: int) -> Read[Row] | Trigger | None:
        return next(self.items, None)


def run(source: Source[Row], operator: Any) -> list[Row]:
    out = list[Row]()
    graph = Graph("groups")
    graph.read("rows", source).via("groups", operator, volatile=True).to("out", sinks.collect(out))
    graph.run()
    return out


def table(rows: int, seed: int = 1) -> Any:
    chance = random.Random(seed)
    return pa.table(
        {
            "device": [chance.choice(["d1", "d2", None]) for _ in range(rows)],
            "activity": [chance.choice(["walk", "sit", "null", None]) for _ in range(rows)],
            "n": pa.array(
                [chance.choice([None, chance.randint(-9, 9)]) for _ in range(rows)], pa.int64()
            ),
            "x": [chance.choice([None, chance.gauss(1e6, 1)]) for _ in range(rows)],
        }
    )


def cuts(rows: int, seed: int) -> list[int]:
    chance, lengths = random.Random(seed), list[int]()
    while sum(lengths) < rows:
        lengths.append(chance.choice([1, 2, 300, 1000]))
    return lengths


def order(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple((value is not None, str(value)) for value in row)


def same(mine: list[Row], theirs: list[tuple[Any, ...]]) -> None:
    left = sorted((tuple(row.values()) for row in mine), key=lambda row: order(row[:3]))
    right = sorted(theirs, key=lambda row: order(row[:3]))
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        pairs: Any = zip(one, other, strict=True)
        for a, b in pairs:
            if isinstance(b, float) or (hasattr(b, "append") and a and isinstance(a[0], float)):
                assert a == pytest.approx(b, rel=1e-9), (one, other)
            else:
                assert a == b, (one, other)


MEASURES: dict[str, aggregates.Measure[Any, Any]] = {
    "rows": aggregates.count(),
    "known": aggregates.count("x"),
    "total": aggregates.sum("n"),
    "mean": aggregates.mean("x"),
    "least": aggregates.min("n"),
    "most": aggregates.max("activity"),
    "spread": aggregates.variance("x"),
    "deviation": aggregates.stddev("x", sample=False),
    "early": aggregates.first("n"),
    "late": aggregates.last("x"),
    "kinds": aggregates.count_distinct("n"),
    "middle": aggregates.quantiles("x", [0.25, 0.5]),
    "all": aggregates.collect_values("n"),
}
SQL = (
    "count(*), count(x), sum(n)::bigint, avg(x), min(n), max(activity), var_samp(x), "
    "stddev_pop(x), first(n), last(x), count(distinct n), quantile_cont(x, [0.25, 0.5]), list(n)"
)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("make", "sets", "keys"),
    [
        (group_by, "(device, activity)", ["device", "activity"]),
        (cube, "cube (device, activity)", ["device", "activity"]),
        (rollup, "rollup (device, activity)", ["device", "activity"]),
    ],
)
def test_results_are_those_of_duckdb_however_batches_are_cut(
    seed: int, make: Any, sets: str, keys: list[str]
) -> None:
    rows = table(3000, seed)
    mine = run(Cut(rows, cuts(3000, seed)), make(*keys, measures=MEASURES))
    grouping = "" if make is group_by else "grouping(device, activity), "
    link = duckdb.connect(config={"threads": 1})
    link.register("rows", rows)
    theirs = link.sql(
        f"select device, activity, {grouping} {SQL} from rows group by {sets}"
    ).fetchall()
    same(mine, theirs)


def test_null_and_the_text_null_and_a_subtotal_are_three_things() -> None:
    rows = pa.table({"device": ["d", "d", "d"], "gt": ["null", None, None]})
    out = run(Cut(rows, [3]), cube("device", "gt", measures={"n": aggregates.count()}))
    found = {(row["device"], row["gt"], row["grouping"]): row["n"] for row in out}
    assert found == {
        ("d", "null", 0): 1,
        ("d", None, 0): 2,
        ("d", None, 1): 3,
        (None, "null", 2): 1,
        (None, None, 2): 2,
        (None, None, 3): 3,
    }


def test_chosen_grouping_sets_are_the_only_ones() -> None:
    operator = grouping_sets([["device"], []], measures={"n": aggregates.count()}, grouping="level")
    out = run(Cut(pa.table({"device": ["a", "a", "b"]}), [2, 1]), operator)
    assert out == [
        {"device": "a", "level": 0, "n": 2},
        {"device": None, "level": 1, "n": 3},
        {"device": "b", "level": 0, "n": 1},
    ]


def test_one_group_of_all_rows_needs_no_key() -> None:
    out = run(
        Cut(pa.table({"n": [1, None, 3]}), [1, 2]),
        group_by(measures={"n": aggregates.sum("n"), "all": aggregates.collect_values("n")}),
    )
    assert out == [{"n": 4, "all": [1, None, 3]}]


def test_update_tells_the_groups_that_have_changed_at_each_trigger() -> None:
    rows = pa.table({"k": ["a", "b", "a", "c"], "n": [1, 2, 3, 4]})
    operator = group_by("k", measures={"n": aggregates.sum("n")}, mode="update")
    out = run(Cut(rows, [2, 1, 0, 1], triggers=True), operator)
    assert [tuple(row.values()) for row in out] == [("a", 1), ("b", 2), ("a", 4), ("c", 4)]


def test_complete_tells_all_groups_in_one_batch_when_any_has_changed() -> None:
    batches = list[int]()
    rows = pa.table({"k": ["a", "b", "a", "c"], "n": [1, 2, 3, 4]})
    graph, out = Graph("complete"), list[Row]()
    source = Cut(rows, [2, 1, 0, 1], triggers=True)
    operator = group_by("k", measures={"n": aggregates.sum("n")}, mode="complete")
    told = graph.read("rows", source).via("groups", operator, volatile=True)

    def note(some: list[Row]) -> list[Row]:
        batches.append(len(some))
        return some

    told.map_batch(note).to("out", sinks.collect(out))
    graph.run()
    assert batches == [2, 2, 3]
    assert [tuple(row.values()) for row in out[-3:]] == [("a", 4), ("b", 2), ("c", 4)]


def test_append_without_a_window_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"say mode='update' .* mode='complete' .* window="):
        group_by("k", measures={"n": aggregates.count()}, mode="append")


def timed(*times: float, unit: int = 1000) -> Any:
    return pa.table({"at": pa.array([round(t * unit) for t in times], pa.int64())})


def windowed(mode: Any, *, lateness: float = 0.0, window: Any = None) -> Any:
    return group_by(
        measures={"n": aggregates.count()},
        mode=mode,
        window=window or windows.tumbling("10s"),
        time="at",
        unit="ms",
        lateness=lateness,
    )


def starts(rows: list[Row]) -> list[tuple[float, Any]]:
    found: list[Any] = [row["window_start"] for row in rows]
    return [(at.timestamp(), row["n"]) for at, row in zip(found, rows, strict=True)]


def test_append_tells_each_window_once_when_it_is_over() -> None:
    rows = timed(1, 9, 12, 3, 15, 31, 8)  # 3 is in time for its window, 8 is not.
    out = run(Cut(rows, [3, 2, 2], triggers=True), windowed("append", lateness=9))
    assert starts(out) == [(0, 3), (10, 2), (30, 1)]


def test_late_rows_go_to_their_port_as_they_came() -> None:
    out, late = list[Row](), list[Row]()
    graph = Graph("late")
    read = graph.read("rows", Cut(timed(1, 12, 3, 13, 4), [2, 3]))
    groups = read.via("groups", windowed("append", lateness=5), volatile=True)
    groups.to("out", sinks.collect(out))
    groups.late.to("late", sinks.collect(late))
    job = graph.start()

    async def main() -> None:
        async with job:
            await job.wait()

    asyncio.run(main())
    assert late == [{"at": 3000}, {"at": 4000}]
    assert starts(out) == [(0, 1), (10, 2)]
    assert next(node.late for node in job.progress().nodes if node.node == "groups") == 2


def test_what_is_late_does_not_depend_on_where_batches_are_cut() -> None:
    chance = random.Random(5)
    times = [at / 10 + chance.choice([0, 0, 0, -7, -30]) for at in range(100, 3000)]
    rows = timed(*times)
    found = [
        sorted(starts(run(Cut(rows, cuts(len(times), seed)), windowed("append", lateness=5))))
        for seed in range(4)
    ]
    assert found[0] == found[1] == found[2] == found[3]
    newest, kept = -math.inf, dict[float, int]()
    for at in times:
        newest = max(newest, at)
        if at >= newest - 5:
            kept[at // 10 * 10] = kept.get(at // 10 * 10, 0) + 1
    assert dict(found[0]) == kept


@pytest.mark.parametrize("lengths", [[6], [1] * 6])
def test_times_before_1970_are_in_the_window_below_and_not_in_the_one_around_0(
    lengths: list[int],
) -> None:
    rows = timed(-11, -10, -1, 0, 9, -6)  # Only the last is late.
    out = run(Cut(rows, lengths), windowed("append", lateness=12))
    assert starts(out) == [(-20, 1), (-10, 2), (0, 2)]


def test_update_tells_windows_that_changed_and_forgets_those_that_are_over() -> None:
    rows = timed(1, 12, 13, 25)
    operator = windowed("update")
    out = run(Cut(rows, [1, 1, 1, 1], triggers=True), operator)
    assert starts(out) == [(0, 1), (10, 1), (10, 2), (20, 1)]


def test_complete_keeps_all_windows_and_no_row_is_late() -> None:
    out = run(Cut(timed(1, 12, 25, 3), [1, 1, 1, 1], triggers=True), windowed("complete"))
    assert starts(out)[-6:] == [(0, 1), (10, 1), (20, 1), (0, 2), (10, 1), (20, 1)]
    with pytest.raises(ValueError, match="no row is late: leave out lateness="):
        windowed("complete", lateness=5)


def test_a_row_is_in_each_of_its_hopping_windows() -> None:
    out = run(
        Cut(timed(-1, 12), [2]), windowed("append", window=windows.hopping("10s", every="5s"))
    )
    assert starts(out) == [(-10, 1), (-5, 1), (5, 1), (10, 1)]


@pytest.mark.parametrize("cut", [[6], [1, 5], [1] * 6])
@pytest.mark.parametrize("chunks", [1, 2])
def test_the_rows_of_a_hopping_window_keep_their_order(cut: list[int], chunks: int) -> None:
    rows = timed(7, 1, 8, 2, 6, 3)
    rows = rows.append_column("n", pa.array(range(6)))
    pieces = [rows.slice(0, 4), rows.slice(4)] if chunks == 2 else [rows]
    operator = group_by(
        measures={
            "all": aggregates.collect_values("n"),
            "first": aggregates.first("n"),
            "last": aggregates.last("n"),
        },
        window=windows.hopping("10s", every="5s"),
        time="at",
        unit="ms",
        lateness="10s",
        mode="append",
    )
    out = run(Cut(pa.concat_tables(pieces), cut), operator)
    assert [(row["all"], row["first"], row["last"]) for row in out] == [
        ([1, 3, 5], 1, 5),
        ([0, 1, 2, 3, 4, 5], 0, 5),
        ([0, 2, 4], 0, 4),
    ]


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (pa.array([1_500_000], pa.timestamp("us", tz="UTC")), None),
        (pa.array([1_500_000_000], pa.timestamp("ns")), None),
        (pa.array([1.5]), "s"),
        (pa.array([1_500_000_000], pa.int64()), "ns"),
    ],
)
def test_times_are_timestamps_or_numbers_with_a_unit(values: Any, unit: Any) -> None:
    operator = group_by(
        measures={"n": aggregates.count()}, window=windows.tumbling(1), time="at", unit=unit
    )
    assert starts(run(Cut(pa.table({"at": values}), [1]), operator)) == [(1, 1)]


def test_a_number_without_a_unit_is_no_time() -> None:
    operator = group_by(measures={"n": aggregates.count()}, window=windows.tumbling(1), time="at")
    with pytest.raises(JobFailed, match="the column 'at' is int64: a time is a timestamp"):
        run(Cut(timed(1), [1]), operator)


def test_a_row_without_a_time_becomes_a_dead_letter() -> None:
    rows = pa.table({"at": pa.array([1000, None, 2000], pa.int64())})
    out, letters = list[Row](), list[DeadLetter]()
    graph = Graph("timeless")
    groups = graph.read("rows", Cut(rows, [3])).via("groups", windowed("append"), volatile=True)
    groups.to("out", sinks.collect(out))
    groups.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert starts(out) == [(0, 2)]
    assert [letter.record for letter in letters] == [{"at": None}]


def test_whole_numbers_are_exact_however_large() -> None:
    large = 2**62
    rows = pa.table({"k": ["a", "a", "a", "b"], "n": pa.array([large, large, large, 1])})
    operator = group_by("k", measures={"n": aggregates.sum("n"), "mean": aggregates.mean("n")})
    out = run(Cut(rows, [2, 2]), operator)
    assert [int(str(row["n"])) for row in out] == [3 * large, 1]
    assert [row["mean"] for row in out] == [float(large), 1.0]


def test_the_variance_of_large_numbers_keeps_its_digits() -> None:
    rows = pa.table({"x": [1e9 + n % 3 for n in range(3000)]})
    out = run(Cut(rows, [7, 993, 2000]), group_by(measures={"v": aggregates.variance("x")}))
    assert out[0]["v"] == pytest.approx(2 / 3 * 3000 / 2999, rel=1e-9)


def test_not_a_number_is_one_group() -> None:
    rows = pa.table({"x": [math.nan, 1.0, math.nan]})
    out = run(Cut(rows, [1, 1, 1]), group_by("x", measures={"n": aggregates.count()}))
    assert [row["n"] for row in out] == [2, 1]
    assert math.isnan(float(str(out[0]["x"])))


def test_records_are_grouped_as_columns_are() -> None:
    out = list[Row]()
    graph = Graph("records")
    rows = graph.read("rows", sources.records([{"k": 1, "x": 1}, {"k": 1, "x": 2.5}, {"k": None}]))
    measures = {"x": aggregates.sum("x"), "n": aggregates.count()}
    operator = group_by("k", measures=measures)
    groups = rows.batch(1, linger=None).via("groups", operator, volatile=True)
    groups.to("out", sinks.collect(out))
    graph.run()
    assert out == [{"k": 1, "x": 3.5, "n": 2}, {"k": None, "x": None, "n": 1}]


def test_results_are_told_by_the_clock_if_so_asked() -> None:
    from thalweg.testing import PAUSE, run_virtual, scripted

    out = list[Row]()

    async def main() -> None:
        graph = Graph("clock")
        rows = graph.read("rows", scripted({"k": 1}, PAUSE(10), {"k": 1}))
        operator = group_by("k", measures={"n": aggregates.count()}, every="2s")
        rows.via("groups", operator, volatile=True).to("out", sinks.collect(out))
        async with graph.start() as job:
            await job.wait()

    run_virtual(main)
    assert [row["n"] for row in out] == [1, 2]


def test_a_column_that_there_is_not_fails_the_job() -> None:
    with pytest.raises(JobFailed, match="a measure asks for the column 'z', and there are"):
        run(Cut(table(5), [5]), group_by("device", measures={"n": aggregates.sum("z")}))
    with pytest.raises(JobFailed, match="a key asks for the column 'z', and there are"):
        run(Cut(table(5), [5]), group_by("z", measures={"n": aggregates.count()}))


def test_a_measure_that_cannot_take_its_column_fails_the_job() -> None:
    with pytest.raises(JobFailed, match="cannot be grouped by"):
        run(Cut(table(5), [5]), group_by("n", measures={"n_": aggregates.variance("device")}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: group_by("k", measures={}), "measures names nothing"),
        (lambda: group_by("k", "k", measures=MEASURES), "a key is named twice"),
        (lambda: group_by("n", measures={"n": aggregates.count()}), "two columns of the name 'n'"),
        (lambda: group_by("k", measures=odd), "is one of a column"),
        (lambda: group_by("k", measures=MEASURES, mode=cast("Any", "all")), "mode is 'append', "),
        (lambda: group_by("k", measures=MEASURES, time="at"), "window= and time= go together"),
        (lambda: grouping_sets(["ab"], measures=MEASURES), "keys are names of columns"),
        (lambda: grouping_sets([["a", "b"], ["b", "a"]], measures=MEASURES), "is named twice"),
        (lambda: grouping_sets([], measures=MEASURES), "names no grouping set"),
        (
            lambda: group_by(measures=MEASURES, window=windows.session("1s"), time="at", unit="s"),
            "tumbling or hopping",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


odd: Any = {"n": aggregates.counting()}


def test_bounded_measures_stay_bounded() -> None:
    rows = pa.table({"n": list(range(10_000))})
    measures: dict[str, aggregates.Measure[Any, Any]] = {
        "kinds": aggregates.count_distinct("n", at_most=50),
        "some": aggregates.collect_values("n", at_most=3),
        "middle": aggregates.quantiles("n", [0.1, 0.5, 0.9], at_most=100),
    }
    (row,) = run(Cut(rows, cuts(10_000, 3)), group_by(measures=measures))
    assert row["kinds"] == 50
    assert row["some"] == [0, 1, 2]
    assert row["middle"] == pytest.approx([1000, 5000, 9000], abs=200)


def test_measures_work_in_windows_of_records_too() -> None:
    from thalweg.operators import window

    out = list[Any]()
    graph = Graph("both")
    rows = graph.read("rows", sources.records([{"t": 1, "x": 1.0}, {"t": 2, "x": 3.0}]))
    keyed = rows.event_time(lambda row: row["t"], unit="s").key_by(lambda _: "all")
    told = keyed.via("w", window(windows.tumbling(10), aggregates.mean("x")), volatile=True)
    told.to("out", sinks.collect(out))
    graph.run()
    assert [one.value for one in out] == [2.0]


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_a_measure_says_the_same_of_single_records(name: str) -> None:
    rows, measure = table(500, 9), MEASURES[name]
    kept: Any = measure.create()
    for row in rows.to_pylist():
        kept = measure.add(kept, row)
    (together,) = run(Cut(rows, [100, 400]), group_by(measures={"one": measure}))
    expected: Any = measure.result(kept)
    if type(expected) in (float, list) and name != "all":
        assert together["one"] == pytest.approx(expected, rel=1e-9)
    else:
        assert together["one"] == expected


def test_groups_and_what_was_not_told_survive_a_restart(tmp_path: Any) -> None:
    out = list[Row]()

    class Kept(Cut):
        """Goes on behind what an epoch holds, and waits at the end of the first part."""

        async def seek(self, bookmarks: Any) -> None:
            self.start = bookmarks[""].last + 1
            self.lengths = [self.table.num_rows - self.start]
            self.items = self.each()

        async def read(self, limit: int) -> Any:
            found = await super().read(limit)
            if found is None and stays:
                read.set()
                await asyncio.Event().wait()
            return found

    rows = pa.table({"k": ["a", "b", "a", None], "n": [1, 2, 3, 4]})

    def start(lengths: list[int]) -> None:
        graph = Graph("restart")
        measures: dict[str, aggregates.Measure[Any, Any]] = {
            "n": aggregates.sum("n"),
            "kinds": aggregates.count_distinct("n"),
        }
        source = Kept(rows.slice(0, sum(lengths)), lengths)
        groups = graph.read("rows", source).via("groups", cube("k", measures=measures))
        groups.to("out", sinks.collect(out))

        async def main() -> None:
            async with graph.start(state=State(tmp_path / "state")) as job:
                if stays:
                    await read.wait()
                    await job.suspend()
                else:
                    await job.wait()

        asyncio.run(main())

    read, stays = asyncio.Event(), True
    start([2])
    assert not out
    stays = False
    start([4])
    found = {(row["k"], row["grouping"]): (row["n"], row["kinds"]) for row in out}
    assert found == {("a", 0): (4, 2), ("b", 0): (2, 1), (None, 0): (4, 1), (None, 1): (10, 4)}


def test_keys_that_arrow_has_no_group_for_are_refused() -> None:
    rows = pa.table({"k": [[1], [2]]})
    with pytest.raises(JobFailed, match="cannot be grouped by"):
        run(Cut(rows, [2]), group_by("k", measures={"n": aggregates.count()}))


def test_the_groups_of_a_batch_are_what_costs_not_its_rows() -> None:
    rows = pa.table({"k": [n % 7 for n in range(50_000)]})
    keys, said = partial_groups.partial_groups(rows, ["k"], aggregates.count().kernels())
    assert len(list(keys)) == len(said[0]) == 7


def test_groups_of_files_load_nothing_of_arrow_that_takes_longer_than_a_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.json").write_text('{"k": "a", "n": 1, "x": 0.5}\n')
    program = f"""
import sys
from thalweg import Graph
from thalweg.operators import aggregates, cube, sinks, sources
graph, out = Graph("loaded"), []
rows = graph.read("rows", sources.files({str(tmp_path)!r}, format="ndjson"))
measures = {{"n": aggregates.count(), "mean": aggregates.mean("x")}}
rows.via("groups", cube("k", measures=measures), volatile=True).to("out", sinks.collect(out))
graph.run()
assert len(out) == 2, out
slow = ("pyarrow.compute", "pyarrow.acero", "pyarrow.dataset", "pandas", "thalweg.operators.fleet")
print([name for name in slow if name in sys.modules])
"""
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=50
    )
    assert told.stdout == "[]\n"
