"""The keyed count of `checkpoints.py` on bytewax, without and with its recovery store."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import bytewax.operators as op  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.inputs import (  # type: ignore[import-not-found]
    FixedPartitionedSource,
    StatefulSourcePartition,
)
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]
from bytewax.recovery import RecoveryConfig, init_db_dir  # type: ignore[import-not-found]
from bytewax.testing import run_main  # type: ignore[import-not-found]

from peers.counting import BATCH, Event, Meter, key_of, make, measured
from peers.serving import serve

keys = int(sys.argv[1])
folder = sys.argv[2]
events = make(keys)


class Events(StatefulSourcePartition):  # type: ignore[misc]
    def __init__(self, meter: Meter, at: int) -> None:
        self.meter = meter
        self.at = at

    def next_batch(self) -> list[Event]:
        if self.meter.over():
            raise StopIteration
        start = self.at % len(events)
        batch = events[start : start + BATCH]
        self.at += len(batch)
        return batch

    def snapshot(self) -> int:
        return self.at


class Source(FixedPartitionedSource):  # type: ignore[misc]
    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def list_parts(self) -> list[str]:
        return ["events"]

    def build_part(self, step_id: str, for_part: str, resume: int | None) -> Events:
        return Events(self.meter, resume or 0)


class Counting(StatelessSinkPartition):  # type: ignore[misc]
    def __init__(self, meter: Meter, counts: dict[str, int]) -> None:
        self.meter = meter
        self.counts = counts

    def write_batch(self, items: list[tuple[str, int]]) -> None:
        self.counts.update(items)
        add = self.meter.add
        for item in items:
            add(item)


class Sink(DynamicSink):  # type: ignore[misc]
    def __init__(self, meter: Meter, counts: dict[str, int]) -> None:
        self.meter = meter
        self.counts = counts

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Counting:
        return Counting(self.meter, self.counts)


class Logic(op.StatefulBatchLogic):  # type: ignore[misc]
    def __init__(self, count: int | None) -> None:
        self.count = count or 0

    def on_batch(self, values: list[Event]) -> tuple[Iterable[int], bool]:
        before, self.count = self.count, self.count + len(values)
        return range(before + 1, self.count + 1), False

    def snapshot(self) -> int:
        return self.count


def one_more(count: int | None, event: Event) -> tuple[int, int]:
    count = (count or 0) + 1
    return count, count


def run(seconds: float, warm: float, interval: float, *, batched: bool, kept: bool) -> object:
    meter, counts = Meter(seconds, warm), dict[str, int]()
    flow = Dataflow("counting")
    keyed = op.key_on("user", op.input("in", flow, Source(meter)), key_of)
    if batched:
        counted = op.stateful_batch("count", keyed, Logic)
    else:
        counted = op.stateful_map("count", keyed, one_more)
    op.output("out", counted, Sink(meter, counts))
    with TemporaryDirectory(dir=folder) as parts:
        if kept:
            # What `python -m bytewax.recovery FOLDER 1` does.
            init_db_dir(Path(parts), 1)

        def work() -> dict[str, int]:
            if kept:
                run_main(
                    flow,
                    epoch_interval=timedelta(seconds=interval),
                    recovery_config=RecoveryConfig(parts),
                )
            else:
                run_main(flow)
            return counts

        return measured(meter, work, keys) | {"epochs": epochs(parts) if kept else 0}


def epochs(parts: str) -> int:
    """The number of the last epoch that the recovery store has resumed from or would."""
    last = 0
    for part in Path(parts).glob("*.sqlite3"):
        with sqlite3.connect(part) as database:
            (found,) = database.execute("select max(worker_frontier) from fronts").fetchone()
            last = max(last, found or 0)
    return last


def contender(batched: bool, kept: bool) -> object:
    return lambda seconds, warm, interval: run(seconds, warm, interval, batched=batched, kept=kept)


serve(
    {
        "bytewax": contender(False, False),
        "bytewax, recovery store": contender(False, True),
        "bytewax by batch": contender(True, False),
        "bytewax by batch, recovery store": contender(True, True),
    }  # type: ignore[arg-type]
)
