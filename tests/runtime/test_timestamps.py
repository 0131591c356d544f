"""What a function says of a record's time, as seconds since 1970."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.runtime.errors import DataError
from thalweg.runtime.timestamps import UNITS, Mistyped, Timestamps, utc, zone_named

AT = 1424686735


@pytest.mark.parametrize(
    ("unit", "number", "seconds"),
    [
        ("s", AT, 1424686735.0),
        ("s", 1424686735.09, 1424686735.09),
        ("ms", 1424686735090, 1424686735.09),
        ("us", 1424686735090000, 1424686735.09),
        ("µs", 1424686735090000, 1424686735.09),
        ("ns", 1424686733090638193, 1424686733.0906382),
        ("s", Decimal("1424686735.5"), 1424686735.5),
        ("ms", Fraction(1424686735500), 1424686735.5),
        ("ms", np.int64(1424686735500), 1424686735.5),
        ("s", np.float32(16777216.0), 16777216.0),
        # Small numbers, as in tests, mean what they say.
        ("s", 5, 5.0),
        ("ms", 5, 0.005),
        ("ns", 0, 0.0),
        ("s", -5, -5.0),
    ],
)
def test_a_number_is_read_in_its_unit(unit: str, number: object, seconds: float) -> None:
    assert Timestamps(unit=unit).seconds(number) == seconds


@pytest.mark.parametrize("right", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("wrong", ["s", "ms", "us", "ns"])
def test_a_unit_that_cannot_be_meant_is_refused_with_the_one_that_can(
    right: str, wrong: str
) -> None:
    number = AT * UNITS[right]
    if right == wrong:
        assert Timestamps(unit=wrong).seconds(number) == AT
        return
    with pytest.raises(
        Mistyped, match=f"as {right} it is 2015-02-23T10:18:55Z: say unit='{right}'"
    ):
        Timestamps(unit=wrong).seconds(number)
    assert Timestamps(unit=wrong).all_numbers([number, number]) is None


def test_what_the_wrong_unit_would_mean_is_said_too() -> None:
    with pytest.raises(Mistyped, match=r"^1424686735 read as ms is 1970-01-17T11:44:46Z; as s it"):
        Timestamps(unit="ms").seconds(AT)
    with pytest.raises(Mistyped, match=r"^1424686735090 read as s is in the year 47116; as ms"):
        Timestamps(unit="s").seconds(1424686735090)


def test_a_number_without_a_unit_is_refused_with_the_one_that_it_seems_to_have() -> None:
    with pytest.raises(Mistyped, match=r"as ns it is 2015-02-23T10:18:53Z: say unit='ns'"):
        Timestamps().seconds(1424686733090638193)
    with pytest.raises(
        Mistyped, match=r"^7 does not say its unit: say unit='s', 'ms', 'us' or 'ns'"
    ):
        Timestamps().seconds(7)


def test_a_time_without_a_zone_is_refused_or_read_in_the_one_that_is_given() -> None:
    naive = datetime(2015, 2, 23, 11, 18, 55)  # noqa: DTZ001
    with pytest.raises(
        Mistyped, match=r"2015-02-23T11:18:55 does not say in which zone: say zone="
    ):
        Timestamps().seconds(naive)
    assert Timestamps(zone="Europe/Vienna").seconds(naive) == AT
    assert Timestamps(zone=ZoneInfo("Europe/Vienna")).seconds(naive) == AT
    assert Timestamps(zone=timezone(timedelta(hours=1))).seconds(naive) == AT
    assert Timestamps(zone="Asia/Tokyo").seconds(naive.replace(tzinfo=UTC)) == AT + 3600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2015-02-23T10:18:55Z", AT),
        (" 2015-02-23 10:18:55+00:00\n", AT),
        ("2015-02-23T11:18:55.090+01:00", AT + 0.09),
        ("2015-02-23T10:18:55.123456789Z", AT + 0.123456),
        ("2015-02-23T11:18:55", AT),
        ("20150223T101855Z", AT),
        ("2015-02-23", 1424646000.0),
    ],
)
def test_text_is_read_as_iso_8601(text: str, seconds: float) -> None:
    assert Timestamps(zone="Europe/Vienna").seconds(text) == seconds


def test_summer_time_begins_and_ends_without_a_time_lost() -> None:
    stamps = Timestamps(zone="Europe/Vienna")
    # The clock goes back from 3 to 2 o'clock: 2:30 comes twice, and the first is meant.
    first = stamps.seconds("2024-10-27T02:30:00")
    assert utc(first) == "2024-10-27T00:30:00Z"
    second = datetime(2024, 10, 27, 2, 30, fold=1)  # noqa: DTZ001
    assert stamps.seconds(second) == first + 3600
    # It goes on from 2 to 3 o'clock: 2:30 is no time, and read by the offset from before.
    assert utc(stamps.seconds("2024-03-31T02:30:00")) == "2024-03-31T01:30:00Z"
    assert utc(stamps.seconds("2024-03-31T03:30:00")) == "2024-03-31T01:30:00Z"


@pytest.mark.parametrize(
    "value",
    [None, True, False, b"2015", [], {}, object(), date(2015, 2, 23), 1j, float("nan"), np.nan,
     float("inf"), float("-inf"), 10**400, -(10**400), 10**6000, Decimal("nan"), Decimal("snan"),
     1e300, -1e300, "", "yesterday", "10:18", "2015-13-01", "x" * 5000],
    ids=lambda value: f"{type(value).__name__}",
)  # fmt: skip
def test_what_is_no_time_is_refused_shortly(value: object) -> None:
    for stamps in (Timestamps(unit="s", zone="UTC"), Timestamps(unit="ns", zone="UTC")):
        with pytest.raises(DataError) as info:
            stamps.seconds(value)
        assert len(str(info.value)) < 300
        assert not isinstance(info.value, Mistyped)


def test_a_time_after_every_calendar_is_refused() -> None:
    with pytest.raises(DataError, match="300000000000 read as s is in the year 11476: no time"):
        Timestamps(unit="s").seconds(300_000_000_000)


def test_digits_may_be_anything_and_are_refused() -> None:
    for digits in ("20150223", "1424686735", "1424686735090"):
        with pytest.raises(Mistyped, match="may be a date or a number"):
            Timestamps(unit="s", zone="UTC").seconds(digits)


class Shy:
    def __repr__(self) -> str:
        raise ValueError("no")


def test_what_cannot_be_shown_is_refused_all_the_same() -> None:
    with pytest.raises(DataError, match="a Shy is no time"):
        Timestamps().seconds(Shy())


numbers = st.one_of(
    st.integers(-(10**20), 10**20),
    st.integers(AT - 10**9, AT + 10**9),
    st.integers(AT * 1000 - 10**12, AT * 1000 + 10**12),
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, 10**400, True, None, "x"]),
)


@given(values=st.lists(numbers, min_size=1, max_size=8), unit=st.sampled_from(["s", "ms", "ns"]))
def test_numbers_as_a_whole_are_read_as_one_by_one(values: list[object], unit: str) -> None:
    stamps = Timestamps(unit=unit)
    whole = stamps.all_numbers(values)
    try:
        singly = [stamps.seconds(value) for value in values]
    except DataError:
        singly = None
    assert whole is None or whole == singly
    # The other way round it may look again where it need not, but not for times of today.
    if singly and all(631152000 <= at < 4102444800 for at in singly):
        assert whole == singly


def test_numbers_without_a_unit_are_looked_at_one_by_one() -> None:
    assert Timestamps().all_numbers([1, 2]) is None
    assert Timestamps(unit="s").all_numbers([1, datetime.now(UTC)]) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "m"}, "unit is one of"),
        ({"unit": "seconds"}, "unit is one of"),
        ({"zone": "Europe/Viena"}, "no time zone 'Europe/Viena': did you mean 'Europe/Vienna'"),
        ({"zone": "Europe"}, "no time zone 'Europe'"),
        ({"zone": ""}, "no time zone ''"),
        ({"zone": "../../etc/passwd"}, "no time zone"),
    ],
)
def test_a_unit_or_zone_that_is_none_is_refused_at_once(
    options: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Timestamps(**options)


def test_a_machine_without_time_zones_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    with pytest.raises(ValueError, match="pip install tzdata"):
        zone_named("Europe/Nowhere")
