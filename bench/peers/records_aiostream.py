"""The work of `records.py` on aiostream, a list of records at a time."""

from __future__ import annotations

import asyncio
import sys

from aiostream import pipe, stream  # type: ignore[import-not-found]

from peers.readings import BATCH, Count, Reading, bare, convert, judge, keep, make
from peers.serving import cpu_seconds, serve

readings = make(int(sys.argv[1]))
expected = bare(readings)


async def batched() -> int:
    counted = Count()
    add = counted.add

    def count(batch: list[Reading]) -> None:
        for reading in batch:
            add(reading)

    batches = (readings[start : start + BATCH] for start in range(0, len(readings), BATCH))
    await (
        stream.iterate(batches)
        | pipe.map(lambda batch: [convert(reading) for reading in batch])
        | pipe.map(lambda batch: [reading for reading in batch if keep(reading)])
        | pipe.map(lambda batch: [judge(reading) for reading in batch])
        | pipe.map(count)
    )
    return counted.count


serve(
    {
        "bare loop": lambda: cpu_seconds(lambda: bare(readings), expected),
        "aiostream, batched": lambda: cpu_seconds(lambda: asyncio.run(batched()), expected),
    }
)
