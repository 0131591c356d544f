from __future__ import annotations
from dataclasses import dataclass
from typing import assert_type
from thalweg import Stream
from thalweg.operators import aggregate, aggregates, fold, window, windows
from thalweg.runtime.stream import Through

@dataclass(frozen=True)
class Reading:
    device: str
    at: float
    value: float

def f(readings: Stream[Reading]) -> None:
    timed = readings.event_time(lambda r: r.at, unit="s", lateness="5min")
    assert_type(timed, Through[Reading, Reading])
    assert_type(timed.late, Stream[Reading])
    keyed = timed.key_by(lambda r: r.device)
    assert_type(keyed, Stream[tuple[str, Reading]])
    counts = keyed.via("counts", window(windows.tumbling("1min"), aggregates.counting()))
    assert_type(counts.late, Stream[tuple[str, Reading]])
    assert_type(counts.map(lambda w: w.value), Stream[int])
    assert_type(counts.map(lambda w: w.key), Stream[str])
    sums = keyed.via("sums", window(windows.tumbling("1min"), aggregates.fold(float, lambda t, r: t + r.value)))
    assert_type(sums.map(lambda w: w.value), Stream[float])
    lists = keyed.via("lists", window(windows.session("1min"), aggregates.collect()))
    assert_type(lists.map(lambda w: w.value), Stream[list[Reading]])
    total = keyed.via("total", fold(float, lambda t, r: t + r.value))
    assert_type(total.map(lambda w: w[1]), Stream[float])
    n = keyed.via("n", aggregate(aggregates.counting()))
    assert_type(n.map(lambda w: w[1]), Stream[int])
