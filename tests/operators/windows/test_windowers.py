"""Which windows there are, and what is refused when they are declared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.operators import aggregates, window, windows
from thalweg.operators.windows import Hopping, Tumbling, Window

a_window: Callable[..., object] = window


def _count(so_far: int, record: object) -> int:
    return so_far + 1


lengths = st.one_of(st.integers(1, 1000), st.floats(0.001, 1e5))
times = st.one_of(st.integers(-1000, 2_000_000_000), st.floats(-1e6, 2e9))


@given(length=lengths, offset=st.one_of(st.just(0), lengths), at=times)
def test_each_time_is_in_one_tumbling_window_and_they_leave_no_gap(
    length: float, offset: float, at: float
) -> None:
    tumbling = windows.tumbling(length, offset=offset)
    since, until, ((start, end),) = tumbling.around(at)
    assert (since, until) == (start, end)
    assert start <= at < end
    assert end - start == pytest.approx(length, rel=1e-3)
    # The next one begins where this one ends, to the last bit.
    assert tumbling.around(end)[2][0][0] == end
    assert tumbling.around(start)[2] == [(start, end)]


@given(
    length=st.integers(1, 1000), every=st.integers(1, 1000), offset=st.integers(0, 50),
    at=st.integers(-1000, 10_000),
)  # fmt: skip
def test_a_time_is_in_all_hopping_windows_that_hold_it(
    length: int, every: int, offset: int, at: int
) -> None:
    every = min(every, length)
    since, until, found = windows.hopping(length, every, offset=offset).around(at)
    low = (at - length - offset) // every * every + offset
    starts = [start for start in range(low, at + 1, every) if start <= at < start + length]
    assert found == [(start, start + length) for start in starts]
    # All times between belong to the same, and the neighbours on both sides do not.
    hopping = windows.hopping(length, every, offset=offset)
    assert since <= at < until
    assert hopping.around(since)[2] == found
    assert hopping.around(until)[2] != found
    assert hopping.around(since - 1)[2] != found


@given(length=st.floats(0.01, 1e4), share=st.floats(0.05, 1.0), at=st.floats(-1e6, 2e9))
def test_hopping_windows_of_any_length_hold_their_time(
    length: float, share: float, at: float
) -> None:
    since, until, found = windows.hopping(length, length * share).around(at)
    assert since <= at < until
    assert found
    assert all(start <= at < end for start, end in found)
    assert found == sorted(found)


def test_windows_of_a_tenth_of_a_second_are_even() -> None:
    tumbling = windows.tumbling(0.1)
    starts = {tumbling.around(n / 100)[2][0][0] for n in range(1000)}
    assert len(starts) == 100


def test_lengths_may_be_text() -> None:
    assert windows.tumbling("15min").length == 900
    assert windows.tumbling("1d", offset="6h").offset == 21600
    assert windows.hopping("1h", "20min").every == 1200
    assert windows.session("90s").gap == 90
    assert windows.every("250ms").seconds == 0.25


def test_a_window_tells_its_bounds_as_datetimes_of_any_zone() -> None:
    one = Window("k", 1424686500.0, 1424687400.0, 1)
    assert one.ends().isoformat() == "2015-02-23T10:30:00+00:00"
    here = timezone(timedelta(hours=1))
    assert one.starts(here).isoformat() == "2015-02-23T11:15:00+01:00"
    assert one == Window("k", 1424686500.0, 1424687400.0, 1)
    assert hash(one) == hash(Window("k", 1424686500.0, 1424687400.0, 1))


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: windows.tumbling(0), "the length of a window is more than 0 seconds"),
    (lambda: windows.tumbling(-1), "the length of a window is 0 seconds or more"),
    (lambda: windows.tumbling("5m"), "'m' could be a month"),
    (lambda: windows.tumbling("1h", offset=-1), "the offset of windows is 0 seconds or more"),
    (lambda: windows.hopping("1h", "2h"), "or times between would be in none"),
    (lambda: windows.hopping("1h", 0), "the distance is more than 0"),
    (lambda: windows.session(0), "the gap of sessions is more than 0 seconds"),
    (lambda: windows.count(0), "a window holds 1 record or more, not 0"),
    (lambda: windows.count(True), "a window holds 1 record or more, not True"),
    (lambda: windows.count(2.5), "a window holds 1 record or more, not 2.5"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    (lambda: windows.every(0), "the interval is more than 0 seconds"),
    (
        lambda: a_window(windows.session(5), aggregates.fold(int, _count)),
        r"sessions need an aggregate with merge: fold\(…, merge=…\)",
    ),
    (
        lambda: a_window(windows.tumbling(5), aggregates.counting(), emit="always"),
        r"emit is 'close', 'update' or every\(seconds\), not 'always'",
    ),
    (
        lambda: a_window(windows.tumbling(5), aggregates.counting(), clock="wall"),
        "clock is 'event' or 'processing', not 'wall'",
    ),
    (
        lambda: a_window(windows.count(5), aggregates.counting(), clock="event"),
        "windows of so many records go by no clock",
    ),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_what_does_not_go_together_is_refused_at_once(
    wrong: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def test_windowers_are_what_they_are_called() -> None:
    assert isinstance(windows.tumbling(5), Tumbling)
    assert isinstance(windows.hopping(5, 5), Hopping)
