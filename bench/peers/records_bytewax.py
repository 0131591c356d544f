"""The work of `records.py` on bytewax, whose source and operators hand on lists."""

from __future__ import annotations

import sys
from collections.abc import Callable

import bytewax.operators as op  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.inputs import DynamicSource, StatelessSourcePartition  # type: ignore[import-not-found]
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]
from bytewax.testing import run_main  # type: ignore[import-not-found]

from peers.readings import BATCH, Count, Reading, bare, convert, judge, keep, make
from peers.serving import cpu_seconds, serve

readings = make(int(sys.argv[1]))
expected = bare(readings)


class Batches(StatelessSourcePartition):  # type: ignore[misc]
    def __init__(self) -> None:
        self.at = 0

    def next_batch(self) -> list[Reading]:
        batch = readings[self.at : self.at + BATCH]
        if not batch:
            raise StopIteration
        self.at += len(batch)
        return batch


class Source(DynamicSource):  # type: ignore[misc]
    def build(self, step_id: str, worker_index: int, worker_count: int) -> Batches:
        return Batches()


class Counting(StatelessSinkPartition):  # type: ignore[misc]
    def __init__(self, counted: Count) -> None:
        self.add = counted.add

    def write_batch(self, items: list[Reading]) -> None:
        for reading in items:
            self.add(reading)


class Sink(DynamicSink):  # type: ignore[misc]
    def __init__(self, counted: Count) -> None:
        self.counted = counted

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Counting:
        return Counting(self.counted)


def by_record() -> int:
    counted = Count()
    flow = Dataflow("readings")
    converted = op.map("convert", op.input("in", flow, Source()), convert)
    kept = op.filter("keep", converted, keep)
    op.output("out", op.map("judge", kept, judge), Sink(counted))
    run_main(flow)
    return counted.count


def batched() -> int:
    counted = Count()
    flow = Dataflow("readings")
    steps: list[tuple[str, Callable[[list[Reading]], list[Reading]]]] = [
        ("convert", lambda batch: [convert(reading) for reading in batch]),
        ("keep", lambda batch: [reading for reading in batch if keep(reading)]),
        ("judge", lambda batch: [judge(reading) for reading in batch]),
    ]
    stream = op.input("in", flow, Source())
    for name, step in steps:
        stream = op.flat_map_batch(name, stream, step)
    op.output("out", stream, Sink(counted))
    run_main(flow)
    return counted.count


serve(
    {
        "bare loop": lambda: cpu_seconds(lambda: bare(readings), expected),
        "bytewax": lambda: cpu_seconds(by_record, expected),
        "bytewax, batched": lambda: cpu_seconds(batched, expected),
    }
)
