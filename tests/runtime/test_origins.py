"""Origins: where the records of a batch came from and when they happened, bent with the batch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.runtime.origins import Origin, Origins


def _two() -> Origins:
    """Three records of one lane and two of another, with the times 0.5, 1.5 and so on."""
    joined = Origins.join([Origins.of("s", "a", range(10, 13)), Origins.of("t", "", [4, 8])])
    return joined.timed([0.5, 1.5, 2.5, 3.5, 4.5])


def _all(origins: Origins) -> list[Origin]:
    return [origins.at(index) for index in range(len(origins))]


def test_times_stand_beside_the_records_of_each_lane() -> None:
    origins = _two()
    assert origins.times() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert origins.lanes() == [("s", "a", 3), ("t", "", 2)]
    assert Origins.of("s", "", range(3)).times() is None


def test_taking_cutting_and_joining_bend_times_as_positions() -> None:
    taken = _two().take([1, 1, 4])
    assert taken.times() == [1.5, 1.5, 4.5]
    assert [origin.position for origin in _all(taken)] == [11, 11, 8]
    cut = _two().cut(2, 4)
    assert cut.times() == [2.5, 3.5]
    assert [origin.position for origin in _all(cut)] == [12, 4]
    joined = Origins.join([taken, cut])
    assert joined.times() == [1.5, 1.5, 4.5, 2.5, 3.5]


def test_what_hides_which_is_which_loses_the_times() -> None:
    assert _two().blur(2).times() is None
    assert Origins.join([_two(), Origins.of("s", "a", [7])]).times() is None


def test_times_outlive_positions_that_are_not_known() -> None:
    blurred = Origins.of("s", "a", range(10)).blur(4).timed([1.0, 2.0, 3.0, 4.0])
    taken = blurred.take([0, 3])
    assert taken.times() == [1.0, 4.0]
    assert taken.at(1) == Origin("s", "a", 0, 9)
    assert taken.cut(1, 2).times() == [4.0]


def test_what_memory_made_has_no_source_and_may_have_times() -> None:
    origins = Origins.nowhere(3).timed([1.0, 2.0, 3.0])
    assert origins.take([2]).times() == [3.0]
    assert origins.lanes() == [("", "", 3)]
    assert origins.at(0) == Origin("")
    assert origins.span() == str(Origin("")) == "what no single record of a source made"


@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3),
    picks=st.lists(st.integers(0, 100), max_size=8),
)
def test_times_and_positions_go_through_everything_together(
    counts: Sequence[int], cuts: Sequence[tuple[float, float]], picks: Sequence[int]
) -> None:
    """Each record's time is its position in its lane, and stays so."""
    parts = [Origins.of("s", str(lane), range(count)) for lane, count in enumerate(counts)]
    origins = Origins.join([part.timed([float(n) for n in range(len(part))]) for part in parts])
    for low, high in cuts:
        start, stop = sorted((int(low * len(origins)), int(high * len(origins))))
        if start < stop:
            origins = origins.cut(start, stop)
    origins = origins.take(sorted(pick % len(origins) for pick in picks) or [0])
    assert origins.times() == [float(origin.position or 0) for origin in _all(origins)]


def test_an_index_behind_the_last_record_is_none() -> None:
    with pytest.raises(IndexError):
        _two().at(5)


@pytest.mark.parametrize("chosen", [range(5), range(1, 4), range(2, 2)])
def test_taking_a_range_is_taking_each_of_its_records(chosen: range) -> None:
    origins = Origins.join([Origins.of("a", "x", range(10, 13)), Origins.of("a", "y", [5, 9])])
    taken, singly = origins.take(chosen), origins.take(list(chosen))
    assert len(taken) == len(chosen)
    assert [taken.at(i) for i in range(len(chosen))] == [singly.at(i) for i in range(len(chosen))]
