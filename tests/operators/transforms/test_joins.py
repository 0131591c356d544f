"""Joins of two streams: against a join by brute force, in random jobs, and through faults."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from thalweg import Graph, GraphError, Stream
from thalweg.operators import Joined, as_of_join, join, sinks, sources
from thalweg.operators.transforms.as_of_join import AsOfJoin
from thalweg.operators.transforms.join import IntervalJoin
from thalweg.runtime.contracts import Operator
from thalweg.runtime.signals import Watermark
from thalweg.runtime.testing.contexts import instance
from thalweg.testing import (
    OPERATOR_CHECKS,
    PAUSE,
    At,
    OperatorCase,
    context,
    run_virtual,
    scripted,
    simulate,
)

Event = tuple[str, float, int]
"""A key, a time, and a number that tells it from all others."""

How = Literal["inner", "left", "outer"]


def pairs_within(
    lefts: Sequence[Event], rights: Sequence[Event], before: float, after: float, how: str
) -> list[Joined]:
    """Every left record beside every right one."""
    found: list[Joined] = []
    met: set[int] = set()
    for left in lefts:
        for right in rights:
            if left[0] == right[0] and -before <= right[1] - left[1] <= after:
                found.append(Joined(left[0], left, right))
                met |= {left[2], right[2]}
    if how != "inner":
        found += [Joined(one[0], one, None) for one in lefts if one[2] not in met]
    if how == "outer":
        found += [Joined(one[0], None, one) for one in rights if one[2] not in met]
    return found


def latest_values(
    lefts: Sequence[Event], rights: Sequence[Event], how: str, max_age: float
) -> list[Joined]:
    """For every left record, all right ones looked at."""
    found: list[Joined] = []
    for left in lefts:
        known = [one for one in rights if one[0] == left[0] and one[1] <= left[1]]
        latest = max(known, key=lambda one: one[1], default=None)
        if latest is not None and left[1] - latest[1] > max_age:
            latest = None
        if latest is not None or how == "left":
            found.append(Joined(left[0], left, latest))
    return found


# Times with fractions that sums would round: each bound is met and missed by very little.
TIMES = some.integers(0, 60).map(lambda tenths: tenths / 10)
STREAMS = some.lists(some.tuples(some.sampled_from("abc"), TIMES), max_size=25)


@some.composite
def arrivals(draw: some.DrawFn) -> tuple[list[tuple[int, Event]], list[float]]:
    """Records of both sides as they come, and the watermark behind each of them."""
    given_ones = [(side, *one) for side in (0, 1) for one in draw(STREAMS)]
    order = draw(some.permutations(given_ones))
    late = draw(some.sampled_from([0.0, 1.0, 100.0]))
    kept: list[tuple[int, Event]] = []
    marks: list[float] = []
    mark = -math.inf
    for number, (side, key, at) in enumerate(order):
        if at < mark:
            continue
        kept.append((side, (key, at, number)))
        mark = max(mark, at - late)
        marks.append(mark)
    return kept, marks


def driven(
    operator: Operator[Any, Joined],
    came: Sequence[tuple[int, Event]],
    marks: Sequence[float],
    restart: int,
) -> list[Joined]:
    """What an operator makes of this; in the middle it is saved, and another one goes on."""
    told: list[Joined] = []
    asyncio.run(operator.open(context()))
    for number, ((side, event), mark) in enumerate(zip(came, marks, strict=True)):
        told += operator.process_at((side, (event[0], event)), event[1])
        if number % 3 == 0:
            told += operator.on_watermark(mark)
        if number == restart:
            later = instance(operator)
            asyncio.run(later.open(context()))
            for name in ("lefts", "rights", "waiting", "values"):
                if hasattr(operator, name):
                    getattr(later, name).restore([getattr(operator, name).snapshot()])
            operator = later
    return [*told, *operator.on_end()]


@settings(max_examples=150, deadline=None)
@given(
    arrivals(),
    some.sampled_from([(0.0, 0.0), (0.3, 0.3), (0.0, 1.1), (2.0, 0.1), (100.0, 100.0)]),
    some.sampled_from(["inner", "left", "outer"]),
    some.integers(-1, 20),
)
def test_a_join_is_what_brute_force_finds(
    both: tuple[list[tuple[int, Event]], list[float]],
    within: tuple[float, float],
    how: How,
    restart: int,
) -> None:
    came, marks = both
    told = driven(IntervalJoin(*within, how), came, marks, restart)
    lefts = [event for side, event in came if side == 0]
    rights = [event for side, event in came if side == 1]
    assert Counter(told) == Counter(pairs_within(lefts, rights, *within, how))


@settings(max_examples=150, deadline=None)
@given(
    arrivals(),
    some.sampled_from(["inner", "left"]),
    some.sampled_from([math.inf, 0.0, 0.3, 2.0]),
    some.integers(-1, 20),
)
def test_an_as_of_join_is_what_brute_force_finds(
    both: tuple[list[tuple[int, Event]], list[float]],
    how: Literal["inner", "left"],
    max_age: float,
    restart: int,
) -> None:
    seen: set[tuple[str, float]] = set()
    came: list[tuple[int, Event]] = []
    marks: list[float] = []
    for (side, event), mark in zip(*both, strict=True):
        # Of several values at one time the last to come counts: here there is one.
        if side == 1 and event[:2] in seen:
            continue
        seen |= {event[:2]} if side == 1 else set()
        came.append((side, event))
        marks.append(mark)
    told = driven(AsOfJoin(how, max_age), came, marks, restart)
    lefts = [event for side, event in came if side == 0]
    rights = [event for side, event in came if side == 1]
    assert Counter(told) == Counter(latest_values(lefts, rights, how, max_age))


def sided(*events: tuple[int, str, float]) -> list[object]:
    return [
        At((side, (key, (key, at, number))), at) for number, (side, key, at) in enumerate(events)
    ]


LEFT_A, LEFT_B, RIGHT_A, RIGHT_C = ("a", 10.0, 0), ("b", 11.0, 1), ("a", 12.0, 2), ("c", 12.0, 3)
CAME = sided((0, "a", 10.0), (0, "b", 11.0), (1, "a", 12.0), (1, "c", 12.0))

CASES: dict[str, OperatorCase[Any, Joined]] = {
    "inner": OperatorCase(
        lambda: IntervalJoin(0.0, 5.0, "inner"),
        [*CAME, Watermark(20.0)],
        [Joined("a", LEFT_A, RIGHT_A)],
    ),
    "outer": OperatorCase(
        lambda: IntervalJoin(0.0, 5.0, "outer"),
        [*CAME, Watermark(16.5)],
        [
            Joined("a", LEFT_A, RIGHT_A),
            Joined("b", LEFT_B, None),
            Joined("c", None, RIGHT_C),
        ],
    ),
    "as of": OperatorCase(
        lambda: AsOfJoin("left", 5.0),
        [*CAME, Watermark(11.0), At((0, ("a", "late")), 17.0), At((0, ("a", "old")), 17.5)],
        [
            Joined("a", LEFT_A, None),
            Joined("b", LEFT_B, None),
            Joined("a", "late", RIGHT_A),
            Joined("a", "old", None),
        ],
    ),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(check: Any, kind: str) -> None:
    await check(CASES[kind])


def test_what_nothing_can_match_any_more_is_forgotten() -> None:
    operator = IntervalJoin(1.0, 2.0, "left")
    values = AsOfJoin("left", math.inf)
    asyncio.run(operator.open(context()))
    asyncio.run(values.open(context()))
    most = 0
    for second in range(1000):
        for side in (0, 1):
            for one in (operator, values):
                list(one.process_at((side, ("k", (side, second))), float(second)))
        list(operator.on_watermark(float(second)))
        list(values.on_watermark(float(second)))
        most = max(most, len(operator.lefts["k"]) + len(operator.rights["k"]))
        assert len(values.values["k"]) <= 2
    assert most <= 8
    inside: Any = operator
    for side in (inside._left, inside._right):
        assert len(side._times) - side._start + len(side._behind) <= 8
    list(operator.on_watermark(2000.0))
    assert not operator.lefts
    assert not operator.rights
    assert list(values.values["k"]) == [[999.0, (1, 999), False]]


Rows = list[dict[str, Any]]


def keyed(graph: Graph, name: str, source: Any, lateness: float) -> Stream[tuple[str, Any]]:
    timed = graph.read(name, source).event_time(
        lambda row: row["at"], unit="s", lateness=lateness, max_ahead=None, name=f"{name}_time"
    )
    return timed.key_by(lambda row: row["key"], name=f"{name}_key")


def rows(count: int, step: float, key: str = "abcd") -> Rows:
    return [
        {"n": n, "key": key[n * n % len(key)], "at": 1000 + n * step + n % 3} for n in range(count)
    ]


def joined_graph(kind: str, left: Callable[[], Any], right: Callable[[], Any]) -> Graph:
    graph = Graph("joined")
    lefts = keyed(graph, "lefts", left(), 3.0)
    rights = keyed(graph, "rights", right(), 3.0)
    if kind == "as_of":
        made = as_of_join("joined", lefts, rights, max_age="8s")
    else:
        made = join("joined", lefts, rights, within=("2s", "1s"), how=kind)  # type: ignore[arg-type]
    made.to("out", sinks.ndjson("joined.ndjson"))
    return graph


@pytest.mark.parametrize("kind", ["inner", "outer", "as_of"])
def test_a_join_goes_on_after_any_fault(kind: str) -> None:
    def make() -> Graph:
        return joined_graph(
            kind,
            lambda: sources.records(rows(120, 1.0)),
            lambda: sources.records(rows(90, 1.37)),
        )

    reports = [simulate(make, seed=seed) for seed in range(6)]
    assert [report.differences for report in reports if not report.ok] == []
    assert all(report.records > 50 for report in reports)
    assert any(report.faults for report in reports)


def test_both_inputs_may_come_from_one_source() -> None:
    """A diamond: what stands at a barrier on one side waits for the other, and nothing locks."""

    def make() -> Graph:
        graph = Graph("diamond")
        readings = keyed(graph, "readings", sources.records(rows(300, 0.5)), 3.0)
        slow = readings.map(lambda pair: pair, name="slow")
        join("joined", readings, slow, within="0s").to("out", sinks.ndjson("out.ndjson"))
        return graph

    report = simulate(make, seed=3)
    assert report.ok
    assert report.records >= 300


def test_what_matches_nothing_is_told_when_the_watermark_says_so() -> None:
    graph, told = Graph("quiet"), list[Joined]()
    views = [{"key": "a", "at": 100.0}, PAUSE(50), {"key": "a", "at": 200.0}]
    clicks = [{"key": "b", "at": 100.0}, PAUSE(5), {"key": "b", "at": 201.0}, PAUSE(60)]
    left = keyed(graph, "views", scripted(*views), 0.0)
    right = keyed(graph, "clicks", scripted(*clicks), 0.0)
    made = join("joined", left, right, within=("0s", "10s"), how="left", volatile=True)
    made.to("told", sinks.collect(told))

    async def main() -> list[int]:
        async with graph.start() as job:
            counts: list[int] = []
            for _ in range(2):
                await asyncio.sleep(20)  # Of virtual time: after 30 s the left side is idle.
                counts.append(len(told))
            await job.wait()
            return counts

    assert run_virtual(main) == [0, 1]
    assert [(one.left["at"], one.right) for one in told] == [(100.0, None), (200.0, None)]


def test_a_join_without_times_is_refused_where_it_is_declared() -> None:
    graph = Graph("timeless")
    left = graph.read("left", sources.records(["a"])).key_by(lambda text: text)
    right = keyed(graph, "right", sources.records([]), 0.0)
    join("joined", left, right, within="1s", volatile=True).to("out", sinks.collect([]))
    with pytest.raises(GraphError, match=r"'joined' asks for the times of records.*left"):
        graph.plan()


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (join, {"within": "1s", "how": "right"}, "change the two streams"),
        (join, {"within": ("1s",)}, "a length of time or a pair"),
        (join, {"within": -1}, "within"),
        (as_of_join, {"how": "outer"}, "never told"),
        (as_of_join, {"max_age": -1}, "max_age"),
    ],
)
def test_a_wrong_option_is_told_where_it_is_written(make: Any, options: Any, message: str) -> None:
    graph = Graph("wrong")
    left = keyed(graph, "left", sources.records([]), 0.0)
    right = keyed(graph, "right", sources.records([]), 0.0)
    with pytest.raises(ValueError, match=message):
        make("joined", left, right, **options)
