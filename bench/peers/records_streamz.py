"""The work of `records.py` on streamz, a list of records at a time."""

from __future__ import annotations

import sys

from streamz import Stream  # type: ignore[import-not-found]

from peers.readings import BATCH, Count, Reading, bare, convert, judge, keep, make
from peers.serving import cpu_seconds, serve

readings = make(int(sys.argv[1]))
expected = bare(readings)


def batched() -> int:
    counted = Count()
    add = counted.add

    def count(batch: list[Reading]) -> None:
        for reading in batch:
            add(reading)

    source = Stream()
    converted = source.map(lambda batch: [convert(reading) for reading in batch])
    kept = converted.map(lambda batch: [reading for reading in batch if keep(reading)])
    kept.map(lambda batch: [judge(reading) for reading in batch]).sink(count)
    for start in range(0, len(readings), BATCH):
        source.emit(readings[start : start + BATCH])
    return counted.count


serve(
    {
        "bare loop": lambda: cpu_seconds(lambda: bare(readings), expected),
        "streamz, batched": lambda: cpu_seconds(batched, expected),
    }
)
