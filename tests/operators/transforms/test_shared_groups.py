"""Groups that several operators ask for are found once, and are those that each finds alone."""

from __future__ import annotations

import asyncio
import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import Columns, Context, Graph, JobFailed, Read, Row, Source
from thalweg.operators import aggregates, cube, group_by, rollup, sinks, windows
from thalweg.operators.aggregates.sum import Sum
from thalweg.operators.transforms import _grouping as grouping
from thalweg.operators.transforms import _shared_groups as shared_groups
from thalweg.operators.transforms._grouping import Grouping
from thalweg.operators.transforms._partial_groups import partial_groups
from thalweg.operators.transforms._shared_groups import SharedGroups

pa: Any = pytest.importorskip("pyarrow")


class Pieces(Source[Row]):
    """Hands over these tables."""

    gives_columns = True

    def __init__(self, tables: Sequence[Any]) -> None:
        self.tables = tables

    async def open(self, context: Context) -> None:
        self.left: Iterator[Any] = iter(self.tables)
        self.at = 0

    async def read(self, limit: int) -> Read[Row] | None:
        table = next(self.left, None)
        if table is None:
            return None
        start, self.at = self.at, self.at + table.num_rows
        return Read(Columns(table), range(start, self.at))


def run(tables: Sequence[Any], operators: Mapping[str, Grouping]) -> dict[str, list[Row]]:
    """What each operator tells of these tables, all of them below one source."""
    graph, out = Graph("groups"), {name: list[Row]() for name in operators}
    read = graph.read("rows", Pieces(tables))
    for name, operator in operators.items():
        read.via(name, operator, volatile=True).to(f"{name}_out", sinks.collect(out[name]))
    graph.run()
    return out


def alike(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        close = math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
        return close or (math.isnan(one) and math.isnan(other))
    return one == other


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """By which keys groups are found, pass by pass."""
    passes: list[tuple[str, ...]] = []

    def counted(table: Any, keys: Sequence[str], *rest: Any) -> Any:
        passes.append(tuple(keys))
        return partial_groups(table, keys, *rest)

    for room in (grouping, shared_groups):
        monkeypatch.setattr(room, "partial_groups", counted)
    return passes


def several() -> dict[str, Any]:
    counts = {"rows": aggregates.count(), "known": aggregates.count("x")}
    numbers = {
        "total": aggregates.sum("n"),
        "mean": aggregates.mean("x"),
        "least": aggregates.min("n"),
        "low": aggregates.min("x"),
        "most": aggregates.max("x"),
        "spread": aggregates.variance("x"),
    }
    return {
        "plain": group_by("a", "b", measures=counts, mode="complete"),
        "cube": cube("b", "c", measures=numbers, mode="complete"),
        "rollup": rollup("c", "a", measures=counts | numbers, mode="update"),
        "all": group_by(measures=numbers, mode="complete"),
    }


LETTERS = st.sampled_from(["p", "q", None])
ROWS = st.fixed_dictionaries(
    {
        "a": LETTERS,
        "b": LETTERS,
        "c": st.sampled_from([1.5, math.nan, None]),
        "n": st.none() | st.integers(-(2**62), 2**62),
        "x": st.none() | st.floats(-1e6, 1e6) | st.just(math.nan),
    }
)
SCHEMA: Any = [("a", "string"), ("b", "string"), ("c", "double"), ("n", "int64"), ("x", "double")]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=30), min_size=1, max_size=4))
def test_each_tells_what_it_tells_alone(pieces: list[list[dict[str, Any]]]) -> None:
    tables = [pa.Table.from_pylist(rows, schema=pa.schema(SCHEMA)) for rows in pieces]
    together = run(tables, several())
    for name, operator in several().items():
        alone = run(tables, {name: operator})[name]
        keys = [key for key in alone[0] if key in ("a", "b", "c", "grouping")]

        def order(row: Row, keys: Sequence[str] = keys) -> list[str]:
            return [repr(row[key]) for key in keys]

        pairs = zip(sorted(together[name], key=order), sorted(alone, key=order), strict=True)
        for one, other in pairs:
            assert one.keys() == other.keys()
            assert all(alike(one[key], other[key]) for key in one), (name, one, other)


def letters(rows: int, kinds: int = 3) -> Any:
    return pa.table(
        {
            "a": [f"a{n % kinds}" for n in range(rows)],
            "b": ["b"] * rows,
            "c": [n % 2 for n in range(rows)],
        }
    )


def two(**measures: Any) -> dict[str, Any]:
    measures = measures or {"rows": aggregates.count()}
    return {
        "by_a": group_by("a", measures=measures, mode="complete"),
        "by_b": group_by("b", measures=measures, mode="complete"),
    }


def test_a_pass_over_the_rows_is_made_once_for_all(found: list[tuple[str, ...]]) -> None:
    operators = two() | {"by_c": group_by("c", measures={"n": aggregates.count()}, mode="complete")}
    out = run([letters(70_000), letters(70_000)], operators)
    assert found == [("a", "b", "c")] * 2
    assert out["by_b"][-1] == {"b": "b", "rows": 140_000}
    assert [row["n"] for row in out["by_c"][-2:]] == [70_000, 70_000]


@pytest.mark.parametrize(
    "measure",
    [aggregates.first("c"), aggregates.collect_values("c"), aggregates.count_distinct("c")],
)
def test_what_its_parts_do_not_know_is_found_alone(
    measure: Any, found: list[tuple[str, ...]]
) -> None:
    run([letters(70_000)], two(one=measure))
    assert sorted(found) == [("a",), ("b",)]


def test_what_depends_on_the_order_of_rows_is_found_alone(found: list[tuple[str, ...]]) -> None:
    class Latest(Sum):
        """The sum of the last few rows."""

        ordered = True

    run([letters(70_000)], two(late=Latest("c")))
    assert sorted(found) == [("a",), ("b",)]


def test_who_is_given_the_rows_of_others_too_finds_alone(found: list[tuple[str, ...]]) -> None:
    graph, out = Graph("unions"), {name: list[Row]() for name in "abc"}
    first = graph.read("first", Pieces([letters(1000)]))
    second = graph.read("second", Pieces([letters(500)]))
    for key, stream in [("a", first), ("b", first.union(second)), ("c", second)]:
        operator = group_by(key, measures={"rows": aggregates.count()}, mode="complete")
        stream.via(key, operator, volatile=True).to(f"{key}_out", sinks.collect(out[key]))
    graph.run()
    assert {len(keys) for keys in found} == {1}
    assert [row["rows"] for row in out["a"]] == [334, 333, 333]
    assert out["b"] == [{"b": "b", "rows": 1500}]
    assert out["c"] == [{"c": 0, "rows": 250}, {"c": 1, "rows": 250}]


def test_a_cube_merges_no_more_for_the_keys_of_others(found: list[tuple[str, ...]]) -> None:
    class Noted(Sum):
        """Notes each merge."""

        def merge(self, earlier: Any, later: Any) -> Any:
            merges.append(later)
            return super().merge(earlier, later)

    merges, table = list[int](), letters(70_000, kinds=20).append_column("d", [range(70_000)])
    table = table.set_column(3, "d", [[n // 2 % 8 for n in range(70_000)]])
    wide = cube("a", "b", "c", measures={"n": Noted("d")}, mode="complete")
    out = run([table], {"wide": wide})
    alone = len(merges)
    merges.clear()
    by_d = group_by("d", measures={"rows": aggregates.count()}, mode="complete")
    assert run([table], {"wide": wide, "by_d": by_d})["wide"] == out["wide"]
    assert found[-1] == ("a", "b", "c", "d")
    # Those that only the others tell apart are put together first, and not once for each set.
    assert 20 < alone < len(merges) < 2 * alone


def test_windows_have_groups_of_their_own(found: list[tuple[str, ...]]) -> None:
    times = pa.array(range(70_000), pa.timestamp("s", tz="UTC"))
    table = letters(70_000).append_column("at", times)
    measures = {"rows": aggregates.count()}
    by_hour = group_by(
        "c", measures=measures, window=windows.tumbling(3600), time="at", mode="append"
    )
    run([table], two() | {"by_hour": by_hour})
    assert ("a", "b") in found
    assert len(found) == 2


def test_keys_that_make_many_groups_together_are_not_put_together(
    found: list[tuple[str, ...]],
) -> None:
    several = {
        key: group_by(key, measures={"rows": aggregates.count()}, mode="complete")
        for key in ("a", "c")
    }
    table = letters(70_000, kinds=40_000)
    out = run([table] * 4, several)
    # It is tried once, and then left for a while.
    assert found.count(("a", "c")) == 1
    assert found.count(("c",)) == found.count(("a",)) == 4
    assert sum(int(str(row["rows"])) for row in out["c"][-2:]) == 280_000


@pytest.mark.parametrize(("kinds", "once"), [(32, True), (33, False)])
def test_few_groups_are_put_together_of_few_rows(
    found: list[tuple[str, ...]], kinds: int, once: bool
) -> None:
    measures = {"rows": aggregates.count()}
    several = {key: group_by(key, measures=measures, mode="complete") for key in ("a", "c")}
    run([letters(2_112, kinds=kinds)], several)
    assert (found == [("a", "c")]) is once


def test_what_is_remembered_is_what_each_remembers_alone(found: list[tuple[str, ...]]) -> None:
    async def remembered(*, together: bool) -> list[Any]:
        operators = list(several().values())
        for one in operators if together else []:
            one.beside([other for other in operators if other is not one])
        for one in operators:
            await one.open(Any)
        for columns in [Columns(table) for table in (first, second)]:
            for one in operators:
                list(one.process_columns(columns))
        kept = [{key: tuple(one.groups[key]) for key in one.groups} for one in operators]
        noted = [pickle.loads(one.snapshot()) for one in operators]
        return [*kept, *((types, set(changed), newest) for types, changed, newest in noted)]

    # Of whole numbers, which are the same however they are put together.
    rows = [{"a": a, "b": b, "c": c, "n": 3, "x": 2.0} for a in "pq" for b in "pq" for c in (1, 2)]
    first, second = (pa.Table.from_pylist(rows, schema=pa.schema(SCHEMA)) for _ in range(2))
    alone = asyncio.run(remembered(together=False))
    found.clear()
    assert asyncio.run(remembered(together=True)) == alone
    assert found == [("a", "b", "c")] * 2


def test_who_is_given_other_columns_goes_alone_after_some(found: list[tuple[str, ...]]) -> None:
    async def main() -> None:
        first, second = several()["plain"], several()["cube"]
        first.beside([second])
        second.beside([first])
        table = pa.table({name: pa.array([None], kind) for name, kind in SCHEMA})
        for operator in (first, second):
            await operator.open(Any)
        for _ in range(20):
            for operator in (first, second):
                list(operator.process_columns(Columns(table)))

    asyncio.run(main())
    assert found[:2] == [("a", "b", "c")] * 2
    assert found[-2:] == [("a", "b"), ("b", "c")]


def test_who_went_on_meanwhile_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedGroups(["a", "b"], aggregates.count().kernels())
    asked = list[object]()

    def another_asks(table: Any, *rest: Any) -> Any:
        asked.append(table)
        if len(asked) == 16:  # Amid the time that counts.
            shared.of(Columns(letters(10)))
        return partial_groups(table, *rest)

    monkeypatch.setattr(shared_groups, "partial_groups", another_asks)
    told = [shared.of(Columns(letters(10))) for _ in range(40)]
    assert told[0] is not None
    assert told[-1] is None


def test_a_column_that_one_of_them_lacks_fails_that_one(found: list[tuple[str, ...]]) -> None:
    operators = two() | {
        "wrong": group_by("nowhere", measures={"n": aggregates.count()}, mode="complete")
    }
    with pytest.raises(JobFailed, match=r"wrong.*'nowhere'"):
        run([letters(10)], operators)


def test_several_threads_may_ask_at_once() -> None:
    shared = SharedGroups(["a", "b"], aggregates.count().kernels())
    columns = Columns(letters(1000))

    async def main() -> list[Any]:
        asked = [asyncio.to_thread(shared.of, columns) for _ in range(8)]
        return list(await asyncio.gather(*asked))

    told = asyncio.run(main())
    assert all(one is told[0] for one in told)
    assert sorted(told[0][0]) == [("a0", "b"), ("a1", "b"), ("a2", "b")]
