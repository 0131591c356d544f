"""Which records are late, lane by lane, and up to when all have come."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.runtime.lanes import Lane, Lanes
from thalweg.runtime.signals import Watermark

A, B, C = ("s", "a"), ("s", "b"), ("t", "a")


def _judge(lanes: Lanes, lane: Lane, *times: float) -> list[int]:
    return lanes.judge(lane, times)


def test_a_record_is_late_behind_the_newest_before_it_in_its_lane() -> None:
    lanes = Lanes(5.0, None)
    assert _judge(lanes, A, 10, 12, 7, 6.9, 20, 15, 14) == [3, 6]
    assert _judge(lanes, A, 15, 14) == [1]
    # In a lane of its own it is not.
    assert _judge(lanes, B, 1, 2) == []
    assert _judge(lanes, ("other", "a"), 1) == []


def test_the_watermark_is_the_least_of_all_lanes_and_never_goes_back() -> None:
    lanes = Lanes(2.0, None)
    assert lanes.news() is None
    _judge(lanes, A, 10)
    assert lanes.news() == Watermark(8)
    assert lanes.news() is None
    _judge(lanes, B, 5)
    assert lanes.news() is None
    _judge(lanes, A, 30)
    assert lanes.news() is None
    _judge(lanes, B, 11)
    assert lanes.news() == Watermark(9)
    _judge(lanes, B, 50)
    assert lanes.news() == Watermark(28)


def test_a_lane_that_is_quiet_is_left_out_until_it_is_heard_from() -> None:
    lanes = Lanes(0.0, 8.0)
    lanes.look(0.0)
    _judge(lanes, A, 100)
    _judge(lanes, B, 50)
    assert lanes.news() == Watermark(50)
    assert lanes.patience() == 1.0
    for now in range(1, 8):
        lanes.look(now)
        _judge(lanes, A, 100 + now)
        assert lanes.news() is None
    lanes.look(8)
    assert lanes.news() == Watermark(107)
    # It does not go back for the one that returns, and waits for it again.
    assert _judge(lanes, B, 60) == []
    assert lanes.news() is None
    _judge(lanes, A, 200)
    assert lanes.news() is None
    _judge(lanes, B, 150)
    assert lanes.news() == Watermark(150)


def test_when_all_lanes_are_quiet_the_watermark_stands_still_and_says_so() -> None:
    lanes = Lanes(0.0, 8.0)
    lanes.look(0.0)
    _judge(lanes, A, 100)
    assert lanes.news() == Watermark(100)
    for now in range(1, 9):
        lanes.look(now)
    assert lanes.news() == Watermark(100, idle=True)
    assert lanes.patience() is None
    assert lanes.awoken() is None
    _judge(lanes, B, 90)
    assert lanes.awoken() == Watermark(100)
    assert lanes.awoken() is None
    assert lanes.news() is None


def test_a_source_that_never_says_anything_holds_nobody_up_either() -> None:
    lanes = Lanes(0.0, 8.0)
    for now in range(9):
        lanes.look(now)
    assert lanes.news() == Watermark(-math.inf, idle=True)
    assert lanes.told() is None
    _judge(lanes, A, 5)
    assert lanes.awoken() == Watermark(-math.inf)
    assert lanes.news() == Watermark(5)


def test_without_a_limit_no_lane_is_ever_idle() -> None:
    lanes = Lanes(0.0, None)
    _judge(lanes, A, 5)
    _judge(lanes, B, 1)
    lanes.look(0.0)
    lanes.look(1e9)
    assert lanes.patience() is None
    assert lanes.news() == Watermark(1)


def test_time_in_which_nobody_could_look_makes_no_lane_idle() -> None:
    """After a stop of an hour there is input of all lanes, of which one is read first."""
    lanes = Lanes(0.0, 8.0)
    lanes.look(0.0)
    _judge(lanes, A, 1)
    _judge(lanes, B, 1)
    lanes.news()
    for hour in range(1, 8):
        lanes.look(3600.0 * hour)
        _judge(lanes, A, 10.0 * hour)
        assert lanes.news() is None


def test_what_is_remembered_judges_as_before_and_every_lane_is_waited_for() -> None:
    lanes = Lanes(5.0, 8.0)
    lanes.look(0.0)
    _judge(lanes, A, 100)
    _judge(lanes, C, 80)
    for now in range(1, 9):
        lanes.look(now)
        _judge(lanes, A, 100 + now)
    assert lanes.news() == Watermark(103)
    after = Lanes(5.0, 8.0)
    after.restore(lanes.snapshot())
    assert after.known
    assert after.told() == Watermark(103)
    after.look(1e6)
    _judge(after, A, 200)
    assert after.news() is None
    assert _judge(after, C, 74, 75) == [0]
    _judge(after, C, 190)
    assert after.news() == Watermark(185)


def test_nothing_remembered_is_as_nothing_known() -> None:
    lanes = Lanes(0.0, 8.0)
    lanes.restore(Lanes(0.0, 8.0).snapshot())
    assert not lanes.known
    assert lanes.told() is None
    assert lanes.patience() == 1.0


steps = st.lists(
    st.tuples(st.sampled_from([A, B, C]), st.lists(st.integers(0, 100), min_size=1, max_size=6)),
    max_size=30,
)


@settings(deadline=None)
@given(steps=steps, lateness=st.integers(0, 30))
def test_what_is_late_depends_on_the_lane_alone(
    steps: Sequence[tuple[Lane, list[int]]], lateness: int
) -> None:
    """However lanes are mixed and reads are cut; and nothing that passes is behind a watermark."""
    lanes = Lanes(lateness, None)
    told = -math.inf
    late: dict[Lane, list[int]] = {A: [], B: [], C: []}
    count = dict.fromkeys(late, 0)
    steps = [*((lane, [0]) for lane in late), *steps]
    for lane, times in steps:
        found = lanes.judge(lane, times)
        passed = [at for index, at in enumerate(times) if index not in found]
        assert all(at >= told for at in passed)
        late[lane] += [count[lane] + index for index in found]
        count[lane] += len(times)
        mark = lanes.news()
        if mark is not None:
            assert mark.at > told
            told = mark.at
    for lane, found in late.items():
        newest, expected = -math.inf, list[int]()
        whole = [at for of, times in steps if of == lane for at in times]
        for index, at in enumerate(whole):
            if at < newest - lateness:
                expected.append(index)
            newest = max(newest, at)
        assert found == expected


@pytest.mark.parametrize("lanes", [1, 50])
def test_the_watermark_of_many_lanes_is_that_of_the_slowest(lanes: int) -> None:
    judged = Lanes(0.0, None)
    for number in range(lanes):
        judged.judge(("s", str(number)), [float(number)])
    for turn in range(1, 5):
        for number in range(lanes):
            judged.judge(("s", str(number)), [turn * 100.0 + number])
        mark = judged.news()
        assert mark == Watermark(turn * 100.0)
