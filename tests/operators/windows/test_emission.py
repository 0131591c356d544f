"""When windows are told: by the clock, by number, now and then, and across a restart."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import Graph, JobFailed, KeyedState, Operator
from thalweg.operators import aggregates, fold, sinks, sources, window, windows
from thalweg.operators.aggregates import Aggregate
from thalweg.operators.windows import Window
from thalweg.runtime.contracts import StateMismatch, Watermark
from thalweg.runtime.memory import Memory
from thalweg.testing import (
    OPERATOR_CHECKS,
    PAUSE,
    At,
    CollectingSink,
    Fed,
    OperatorCase,
    Wake,
    context,
    feed,
    run_virtual,
    scripted,
)

COLLECT: Aggregate[Any, Any, Any] = aggregates.collect()
a_window: Callable[..., Operator[Any, Any]] = window
a_fold: Callable[..., Operator[Any, Any]] = fold


def _add(total: int, number: int) -> int:
    return total + number


def _feed(operator: Operator[Any, Any], values: Sequence[object], **options: Any) -> Fed[Any]:
    return run_virtual(lambda: feed(operator, values, **options))


def _short(found: Sequence[Window[Any, Any]]) -> list[tuple[Any, ...]]:
    return [(one.key, one.start, one.end, one.value) for one in found]


# By number

_PAIRS = [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("c", 5), ("b", 6), ("a", 7)]


def test_windows_by_number_are_told_when_full_and_the_rest_at_the_end() -> None:
    fed = _feed(a_window(windows.count(2), COLLECT), _PAIRS)
    assert _short(fed.records) == [
        ("a", 0, 2, [1, 3]),
        ("b", 0, 2, [2, 6]),
        ("a", 2, 4, [4, 7]),
        ("c", 0, 1, [5]),
    ]


def test_windows_by_number_can_tell_each_change() -> None:
    fed = _feed(a_window(windows.count(2), aggregates.counting(), emit="update"), _PAIRS[:4])
    assert _short(fed.records) == [
        ("a", 0, 1, 1),
        ("b", 0, 1, 1),
        ("a", 0, 2, 2),
        ("a", 2, 3, 1),
    ]


pairs = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=30)


@settings(deadline=None)
@given(pairs=pairs, size=st.integers(1, 5))
def test_windows_by_number_hold_each_record_once_and_in_order(
    pairs: list[tuple[str, int]], size: int
) -> None:
    fed = _feed(a_window(windows.count(size), COLLECT), pairs)
    for key in "abc":
        mine = [one for one in fed.records if one.key == key]
        assert [record for one in mine for record in one.value] == [r for k, r in pairs if k == key]
        assert [one.start for one in mine] == [size * n for n in range(len(mine))]
        assert all(len(one.value) == one.end - one.start == size for one in mine[:-1])
    left = [one.key for one in fed.records if one.end - one.start < size]
    begun: dict[str, int] = {}
    for place, (key, _) in enumerate(pairs):
        if sum(k == key for k, _ in pairs[: place + 1]) % size == 1 % size:
            begun[key] = place
    assert left == sorted(left, key=lambda key: begun[key])


# By the clock


def test_windows_by_the_clock_close_when_their_time_has_come() -> None:
    operator: Operator[Any, Any] = a_window(windows.tumbling(10), COLLECT, clock="processing")
    values = [
        At(("a", 1), 3.0), At(("b", 2), 5.0), At(("a", 3), 9.0), Wake(10.0),
        At(("a", 4), 12.0), Watermark(1e9), Wake(15.0), At(("a", 5), 19.5), Wake(40.0),
        At(("c", 6), 45.0),
    ]  # fmt: skip
    fed = _feed(operator, values, end=False)
    assert _short(fed.records) == [("a", 0, 10, [1, 3]), ("b", 0, 10, [2]), ("a", 10, 20, [4, 5])]
    assert fed.late == []
    fed = _feed(operator, values)
    assert _short(fed.records)[-1] == ("c", 40, 50, [6])


def test_sessions_by_the_clock_close_when_nothing_has_come() -> None:
    operator: Operator[Any, Any] = a_window(
        windows.session(10), aggregates.counting(), clock="processing"
    )
    values = [At(("a", 1), 0.0), At(("a", 1), 9.0), Wake(12.0), At(("a", 1), 18.0), Wake(28.0)]
    assert _short(_feed(operator, values, end=False).records) == [("a", 0, 28, 3)]


def test_a_clock_that_was_set_back_closes_nothing_twice() -> None:
    operator: Operator[Any, Any] = a_window(
        windows.tumbling(60), aggregates.counting(), clock="processing"
    )
    values = [At(("a", 1), 7190.0), Wake(7200.0), At(("a", 1), 3600.0), At(("a", 1), 3700.0),
              Wake(7259.0), At(("a", 1), 7270.0), Wake(7320.0)]  # fmt: skip
    fed = _feed(operator, values, end=False)
    assert _short(fed.records) == [("a", 7140, 7200, 1), ("a", 7200, 7260, 2), ("a", 7260, 7320, 1)]
    assert fed.late == []


def test_in_a_job_the_clock_closes_windows_while_nothing_comes() -> None:
    out = CollectingSink[Window[str, int]]()
    graph = Graph("clock")
    records = graph.read("records", scripted(1, 2, PAUSE(3600), 3, PAUSE(3600)))
    operator: Operator[Any, Any] = a_window(
        windows.tumbling("1min"), aggregates.counting(), clock="processing"
    )
    records.key_by(lambda _: "all").via("minutes", operator, volatile=True).to("out", out)

    async def main() -> None:
        async with graph.start() as job:
            await asyncio.sleep(61)
            assert [one.value for one in out.records] == [2]
            await job.wait()

    run_virtual(main)
    assert [one.value for one in out.records] == [2, 1]
    assert all(one.end - one.start == 60 for one in out.records)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_jump_of_the_machines_clock_moves_no_window_and_makes_nothing_late(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = 1_700_000_000.0
    monkeypatch.setattr("time.time", lambda: began)
    graph, out = Graph("jump"), CollectingSink[Window[str, int]]()
    marked, late = CollectingSink[Window[str, int]](), CollectingSink[Any]()
    values: list[Any] = []
    for number in range(30):
        values += [began + 60 * number, PAUSE(60)]
    records = graph.read("records", scripted(*values))
    by_clock = a_window(windows.tumbling("10min"), aggregates.counting(), clock="processing")
    records.key_by(lambda _: "all").via("clock", by_clock, volatile=True).to("out", out)
    timed = records.event_time(lambda at: at, unit="s", max_ahead=60)
    by_event = a_window(windows.tumbling("10min"), aggregates.counting())
    timed.key_by(lambda _: "all").via("event", by_event, volatile=True).to("marked", marked)
    timed.late.to("late", late)

    async def main() -> None:
        async with graph.start() as job:
            await asyncio.sleep(601)
            monkeypatch.setattr("time.time", lambda: began + 601 + jump)
            await job.wait()

    run_virtual(main)
    assert sum(one.value for one in out.records) == 30
    assert [(one.start, one.value) for one in out.records] == [
        (one.start, one.value) for one in marked.records
    ]
    assert late.records == []


# Now and then


def test_what_has_changed_is_told_each_interval_and_what_is_over_at_its_end() -> None:
    operator: Operator[Any, Any] = a_window(
        windows.tumbling(10), aggregates.counting(), emit=windows.every(100)
    )
    values = [
        At(("a", 1), 3.0), Wake(1000.0), At(("b", 1), 4.0), At(("a", 1), 5.0), Wake(1099.0),
        At(("a", 1), 15.0), Wake(1100.0), Wake(1500.0), Watermark(10.0), At(("a", 1), 16.0),
        Watermark(20.0),
    ]  # fmt: skip
    fed = _feed(operator, values, end=False)
    assert _short(fed.records)[:1] == [("a", 0, 10, 1)]
    # By end, by start and by opening; what was told as it stands is not told again when it is over.
    assert _short(fed.records)[-4:] == [
        ("a", 0, 10, 2),
        ("b", 0, 10, 1),
        ("a", 10, 20, 1),
        ("a", 10, 20, 2),
    ]


def test_in_a_job_changes_are_told_by_the_clock_and_nothing_without_a_change() -> None:
    graph, seen = Graph("now"), list[tuple[float, Any, int]]()
    values: list[Any] = []
    for number in range(20):
        values += [number, PAUSE(1.0)]
    records = graph.read("records", scripted(*values, PAUSE(1000)))
    timed = records.event_time(lambda n: n, unit="s", idle_after=None)
    keyed = timed.key_by(lambda n: "even" if n % 2 == 0 else "odd")
    operator: Operator[Any, Any] = a_window(
        windows.tumbling(1000), aggregates.counting(), emit=windows.every(5)
    )

    def note(one: Window[str, int]) -> None:
        seen.append((asyncio.get_running_loop().time(), one.key, one.value))

    keyed.via("now", operator, volatile=True).to("out", sinks.each(note))

    async def main() -> None:
        async with graph.start() as job:
            await job.wait()

    run_virtual(main)
    times = sorted({at for at, _, _ in seen})
    assert 4 <= len(times) <= 6
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == (
        pytest.approx([5.0] * (len(times) - 1))
    )
    last = {key: value for _, key, value in seen}
    assert last == {"even": 10, "odd": 10}


@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["every", "clock", "sessions", "count", "count every"])
def test_they_keep_to_the_rules(check: Callable[[Any], Any], kind: str) -> None:
    counting = aggregates.counting()
    operators: dict[str, Callable[[], Operator[Any, Any]]] = {
        "every": lambda: a_window(windows.tumbling(10), counting, emit=windows.every(100)),
        "clock": lambda: a_window(windows.hopping(10, 5), counting, clock="processing"),
        "sessions": lambda: a_window(
            windows.session(7), counting, clock="processing", emit=windows.every(4)
        ),
        "count": lambda: a_window(windows.count(3), counting),
        "count every": lambda: a_window(windows.count(3), counting, emit=windows.every(100)),
    }
    records: list[object] = []
    timed = not kind.startswith("count")
    for number in range(24):
        pair = ("ab"[number % 5 % 2], number)
        records.append(At(pair, 2.0 * number) if timed else pair)
        if number % 4 == 3:
            records += [Watermark(2.0 * number - 5), Wake(2.0 * number + 0.5)]
    expected = _feed(operators[kind](), records).records
    assert len(expected) > 5
    bad: list[object] = [None, ("a",), ([], 1)]
    case: OperatorCase[Any, Any] = OperatorCase(
        make=operators[kind],
        records=records,
        expected=expected,
        bad=[At(one, 50.0) for one in bad] if timed else bad,
    )
    run_virtual(lambda: check(case))


# What remembers


@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("emit", ["update", "end"])
def test_fold_keeps_to_the_rules(check: Callable[[Any], Any], emit: Any) -> None:
    records = [("ab"[n % 5 % 2], n) for n in range(30)]
    sums = {"a": 0, "b": 0}
    updates: list[tuple[str, int]] = []
    for key, number in records:
        sums[key] += number
        updates.append((key, sums[key]))
    bad: list[object] = [("a", "x"), ("b", "x"), ("new", None), None, ([], 1)]
    case: OperatorCase[Any, Any] = OperatorCase(
        make=lambda: a_fold(int, _add, emit=emit),
        records=records,
        expected=updates if emit == "update" else list(sums.items()),
        bad=bad,
    )
    run_virtual(lambda: check(case))


def test_a_state_of_other_windows_is_refused() -> None:
    async def saved(operator: Operator[Any, Any]) -> bytes | None:
        await operator.open(context())
        return operator.snapshot()

    async def main() -> None:
        counting, tumbling = aggregates.counting(), windows.tumbling(5)
        data = await saved(a_window(tumbling, counting))
        assert data is not None
        for other, message in (
            (a_window(tumbling, COLLECT), "Counting of windows on a grid.*Collect of"),
            (a_window(windows.session(5), counting), "now keeps Counting of sessions"),
            (a_window(windows.count(5), counting), "now keeps Counting of windows by number"),
        ):
            await other.open(context())
            with pytest.raises(StateMismatch, match=message):
                other.restore(data)
        longer: Operator[Any, Any] = a_window(windows.hopping(50, 5), counting)
        await longer.open(context())
        longer.restore(data)

    run_virtual(main)


def test_another_version_of_an_aggregate_is_refused_by_its_memory() -> None:
    def state(operator: Operator[Any, Any]) -> KeyedState[Any, Any]:
        Memory("op", operator).begin()
        found: list[KeyedState[Any, Any]] = [
            value for value in vars(operator).values() if isinstance(value, KeyedState)
        ]
        return found[0]

    first, second = (state(a_fold(int, _add, version=version)) for version in (1, 2))
    first["a"] = 1
    with pytest.raises(StateMismatch, match="saved with version 1 of its values and has version 2"):
        second.restore([first.snapshot()])


def test_what_an_aggregate_cannot_tell_at_the_end_fails_the_job_and_names_the_line() -> None:
    class Broken(aggregates.Counting):
        def result(self, accumulator: int) -> int:
            raise ZeroDivisionError("of nothing")

    graph = Graph("broken")
    timed = graph.read("numbers", sources.records([1, 2])).event_time(float, unit="s")
    keyed = timed.key_by(lambda n: n)
    keyed.via("w", a_window(windows.tumbling(5), Broken()), volatile=True).to(
        "out", sinks.collect([])
    )
    with pytest.raises(
        JobFailed, match=r"'w' failed: ZeroDivisionError.*test_emission.py:\d+ in res"
    ):
        graph.run()
