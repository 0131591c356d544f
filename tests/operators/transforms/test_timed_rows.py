"""Records by key and time: whose turn has come is what a look at all of them would say."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from thalweg.operators.transforms._timed_rows import Entry, Some, Timed, time_of
from thalweg.runtime.contracts import KeyedState

TIMES = st.integers(0, 30).map(float)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.sampled_from("abc"), TIMES), max_size=8)),
        st.tuples(st.just("due"), st.tuples(TIMES, st.sampled_from([0.0, 2.0, 7.5]))),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=12,
)


def keep(side: Timed, records: list[tuple[str, float]], number: int) -> None:
    some = Some(side)
    for at, (key, time) in enumerate(records):
        some.add(key, [time, (number, at), False])
        assert some.of(key)
    side.keep(some)


@given(STEPS)
def test_whose_turn_has_come_is_told_once(steps: list[tuple[str, Any]]) -> None:
    state: KeyedState[str, list[Entry]] = KeyedState()
    side, all_of_them = Timed(state, due=True), list[tuple[str, float, tuple[int, int]]]()
    for number, (step, told) in enumerate(steps):
        if step == "add":
            keep(side, told, number)
            all_of_them += [(key, time, (number, at)) for at, (key, time) in enumerate(told)]
        elif step == "restart":
            again: KeyedState[str, list[Entry]] = KeyedState()
            again.restore([state.snapshot()])
            state, side = again, Timed(again, due=True)
        else:
            at, bound = told
            over = [one for one in all_of_them if at - one[1] > bound]
            counts = side.due(at, bound)
            assert counts == Counter(key for key, *_ in over)
            side.drop(counts)
            all_of_them = [one for one in all_of_them if one not in over]
        for key in "abc":
            mine = [(one[1], one[2]) for one in all_of_them if one[0] == key]
            assert [(time_of(one), one[1]) for one in side.of(key)] == sorted(mine)


def test_what_is_over_takes_no_room() -> None:
    state: KeyedState[str, list[Entry]] = KeyedState()
    side: Any = Timed(state, due=True)
    side.due(0.0, 0.0)
    for second in range(20_000):
        keep(side, [("a", float(second))], second)
        side.drop(side.due(float(second), 5.0))
    assert len(state["a"]) == 6
    assert len(side._times) == len(side._keys) < 10_000


def test_what_was_dropped_before_its_turn_is_told_all_the_same() -> None:
    state: KeyedState[str, list[Entry]] = KeyedState()
    side = Timed(state, due=True)
    keep(side, [("a", 1.0), ("a", 2.0)], 0)
    assert not side.due(0.0, 0.0)
    side.drop({"a": 1})
    counts = side.due(1.5, 0.0)
    assert counts == {"a": 1}
