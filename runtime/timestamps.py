"""Timestamps: what a function says of a record's time, as seconds since 1970.

A time without a type is the oldest fault of event time: milliseconds read as seconds, a local time
read as UTC. So a naive time needs a zone and a number a unit, and a number that only makes sense in
another unit is refused with what it would mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import cast

from .errors import DataError

__all__ = ["UNITS", "Mistyped", "Timestamps", "utc", "zone_named"]

UNITS = {"s": 1, "ms": 1000, "us": 10**6, "µs": 10**6, "μs": 10**6, "ns": 10**9}
"""How many of each unit make a second."""

_NAMES = ("s", "ms", "us", "ns")

_EARLY, _LATE = 631_152_000, 4_102_444_800
"""From 1990 to 2100: a time that most streams are about."""


_FIRST, _LAST = -62_135_596_800, 253_402_300_800
"""From the year 1 to 9999: what a calendar has. Beyond it, seconds are too coarse to be of use."""


class Mistyped(DataError):
    """A time that lacks its unit or its zone, or has the wrong one: rather the graph's fault."""


class Timestamps:
    """Makes seconds since 1970 of datetimes, numbers and ISO 8601 text.

    >>> Timestamps(unit="ms").seconds(1424686735090)
    1424686735.09
    >>> Timestamps(zone="Europe/Vienna").seconds("2015-02-23 11:18:55")
    1424686735.0
    >>> Timestamps(unit="s").seconds(1424686735090)
    Traceback (most recent call last):
    thalweg.runtime.timestamps.Mistyped: 1424686735090 read as s is in the year 47116; as ms it is \
2015-02-23T10:18:55Z: say unit='ms'

    `unit` is that of numbers: s, ms, us or ns; `zone` that of times which do not say their own,
    as a `tzinfo` or the name of one. A local time that a clock shows twice, when summer time ends,
    means the first of the two unless its `fold` is 1; one that no clock shows, when summer time
    begins, is read by the offset from before.
    """

    def __init__(self, *, unit: str | None = None, zone: str | tzinfo | None = None) -> None:
        if unit is not None and unit not in UNITS:
            raise ValueError(f"unit is one of {list(_NAMES)}, not {unit!r}")
        self._unit = unit
        self.per_second = UNITS[unit] if unit is not None else 1
        self._zone = zone_named(zone) if isinstance(zone, str) else zone
        # As numbers in the unit that was given: what would be a time of today in another one.
        self._suspicious = [
            (other, _EARLY * UNITS[other], _LATE * UNITS[other])
            for other in _NAMES
            if unit is not None and UNITS[other] != self.per_second
        ]

    def all_numbers(self, values: Sequence[object]) -> list[float] | None:
        """The seconds of several values at once; None if they must be looked at one by one."""
        if self._unit is None or not {*map(type, values)} <= {int, float}:
            return None
        numbers, per_second = cast("Sequence[float]", values), self.per_second
        if not self.all_times(min(numbers), max(numbers)):
            return None
        seconds = (
            [*map(float, numbers)]
            if per_second == 1
            else [number / per_second for number in numbers]
        )
        # NaN would show in the sum, whatever min and max made of it.
        return seconds if math.isfinite(sum(seconds)) else None

    def all_times(self, low: float, high: float) -> bool:
        """Whether all numbers between these are times, in the unit that was given."""
        if self._unit is None:
            return False
        for _, early, late in self._suspicious:
            if low < late and high >= early:
                return False
        return low >= _FIRST * self.per_second and high < _LAST * self.per_second

    def seconds(self, value: object) -> float:
        """The seconds since 1970 that a value stands for. Raises DataError."""
        given = value
        if isinstance(value, datetime):
            return self._of_datetime(value)
        if isinstance(value, str):
            return self._of_text(value)
        if not isinstance(value, int | float):
            value = _as_float(value)
        if value is None or isinstance(value, bool):
            raise DataError(
                f"{_shown(given)} is no time: return a datetime, a number of seconds (with "
                "unit='s'), or ISO 8601 text"
            )
        return self._of_number(value)

    def _of_datetime(self, value: datetime) -> float:
        if value.tzinfo is None:
            if self._zone is None:
                raise Mistyped(
                    f"{value.isoformat()} does not say in which zone: say zone='UTC', or what the "
                    "clock stood by that wrote it, such as zone='Europe/Vienna'"
                )
            value = value.replace(tzinfo=self._zone)
        try:
            return value.timestamp()
        except (OverflowError, ValueError) as error:
            raise DataError(f"{_shown(value)} is no time: {error}") from None

    def _of_text(self, text: str) -> float:
        stripped = text.strip()
        if stripped.isdigit():
            raise Mistyped(
                f"{_shown(text)} may be a date or a number: return a datetime, or int(…) with its "
                "unit"
            )
        try:
            parsed = datetime.fromisoformat(stripped)
        except ValueError:
            raise DataError(
                f"{_shown(text)} is no ISO 8601 time such as 2015-02-23T10:18:55Z: parse it to a "
                "datetime"
            ) from None
        return self._of_datetime(parsed)

    def _of_number(self, number: float) -> float:
        if self._unit is None:
            raise Mistyped(self._without_unit(number))
        try:
            seconds = number / self.per_second
        except OverflowError as error:
            raise DataError(f"{_shown(number)} is no time: {error}") from None
        if not math.isfinite(seconds):
            raise DataError(f"{_shown(number)} is no time")
        for other, early, late in self._suspicious:
            if early <= number < late:
                raise Mistyped(
                    f"{number} read as {self._unit} is {utc(seconds)}; as {other} it is "
                    f"{utc(number / UNITS[other])}: say unit={other!r}"
                )
        if not _FIRST <= seconds < _LAST:
            raise DataError(f"{_shown(number)} read as {self._unit} is {utc(seconds)}: no time")
        return seconds

    def _without_unit(self, number: float) -> str:
        for unit in _NAMES:
            if _EARLY * UNITS[unit] <= number < _LATE * UNITS[unit]:
                at = utc(number / UNITS[unit])
                return f"{number} does not say its unit; as {unit} it is {at}: say unit={unit!r}"
        return f"{_shown(number)} does not say its unit: say unit='s', 'ms', 'us' or 'ns'"


def _as_float(value: object) -> float | None:
    """A number of another kind, such as one of NumPy or a Decimal; None for what is none."""
    from decimal import Decimal  # Few times are of such a kind, and everybody imports this file.
    from numbers import Integral, Real

    try:
        if isinstance(value, Integral):
            return int(value)
        return float(value) if isinstance(value, Real | Decimal) else None
    except (OverflowError, ValueError):  # a signalling NaN, a number that is too large
        return None


def _shown(value: object) -> str:
    """A value in a message, however long it is."""
    try:
        text = repr(value)
    except Exception:  # a number of more digits than Python writes, or somebody's own repr
        text = f"a {type(value).__name__}"
    return text if len(text) <= 100 else text[:100] + "…"


def zone_named(name: str) -> tzinfo:
    """The time zone of this name. Raises ValueError, with names that are like it."""
    from zoneinfo import ZoneInfo  # As long to load as a tenth of the package, and for few.

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of the database
        import difflib
        from zoneinfo import available_timezones

        known = available_timezones()
        if not known:
            raise ValueError(
                f"zone {name!r}: this machine has no time zone database: pip install tzdata"
            ) from None
        like = difflib.get_close_matches(name, known, n=3)
        hint = f": did you mean {', '.join(map(repr, like))}?" if like else ""
        raise ValueError(f"there is no time zone {name!r}{hint}") from None


def utc(seconds: float) -> str:
    """A time in words, to the second: also one that no calendar goes to.

    >>> utc(1424686735.09)
    '2015-02-23T10:18:55Z'
    """
    try:
        at = datetime.fromtimestamp(math.floor(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return f"in the year {1970 + seconds // 31_556_952:.6g}"
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
