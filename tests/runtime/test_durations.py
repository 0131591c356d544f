"""Lengths of time, as numbers or as text."""

from __future__ import annotations

import pytest

from thalweg.runtime.durations import in_seconds


@pytest.mark.parametrize(
    ("length", "seconds"),
    [
        (0, 0.0),
        (2, 2.0),
        (0.5, 0.5),
        ("30s", 30.0),
        ("15min", 900.0),
        ("1h", 3600.0),
        ("1.5h", 5400.0),
        ("1d12h", 129600.0),
        (" 1 h 30 min ", 5400.0),
        ("2w", 1209600.0),
        ("250ms", 0.25),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("0s", 0.0),
    ],
)
def test_a_length_of_time_is_seconds_or_text(length: float | str, seconds: float) -> None:
    assert in_seconds(length) == pytest.approx(seconds)


@pytest.mark.parametrize("length", ["", "5", "h", "-1s", "1e3s", "1h30", "inf", "5 parsecs", "1.s"])
def test_text_that_is_no_length_is_refused_with_the_units(length: str) -> None:
    with pytest.raises(ValueError, match="lateness is a number of seconds, or text such as '30s'"):
        in_seconds(length, "lateness")


def test_an_m_is_a_month_to_some() -> None:
    with pytest.raises(ValueError, match="'m' could be a month, say 'min'"):
        in_seconds("5m")


@pytest.mark.parametrize("length", [-1, -0.001, float("inf"), float("nan")])
def test_a_number_that_is_no_length_is_refused(length: float) -> None:
    with pytest.raises(ValueError, match="is 0 seconds or more"):
        in_seconds(length)


@pytest.mark.parametrize("length", [None, True, [], b"5s"])
def test_what_is_neither_is_refused(length: object) -> None:
    with pytest.raises(TypeError, match="a number of seconds, or text"):
        in_seconds(length)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
