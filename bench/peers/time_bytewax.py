"""The works of `analytics_time.py` on bytewax, set up as well as it can be."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.inputs import DynamicSource, StatelessSourcePartition  # type: ignore[import-not-found]
from bytewax.operators import StatefulBatchLogic, windowing  # type: ignore[import-not-found]
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]
from bytewax.testing import run_main  # type: ignore[import-not-found]

from peers.serving import serve, timed
from peers.timed_events import BATCH, BOUND, LATENESS, LENGTH, START, Event, events, sides

count, side_count = int(sys.argv[1]), int(sys.argv[2])


class Batches(StatelessSourcePartition):  # type: ignore[misc]
    def __init__(self, given: list[Any]) -> None:
        self.given = given
        self.at = 0

    def next_batch(self) -> list[Any]:
        batch = self.given[self.at : self.at + BATCH]
        if not batch:
            raise StopIteration
        self.at += len(batch)
        return batch


class Source(DynamicSource):  # type: ignore[misc]
    def __init__(self, given: list[Any]) -> None:
        self.given = given

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Batches:
        return Batches(self.given)


class Taking(StatelessSinkPartition):  # type: ignore[misc]
    def __init__(self, take: Callable[[list[Any]], None]) -> None:
        self.take = take

    def write_batch(self, items: list[Any]) -> None:
        self.take(items)


class Sink(DynamicSink):  # type: ignore[misc]
    def __init__(self, take: Callable[[list[Any]], None]) -> None:
        self.take = take

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Taking:
        return Taking(self.take)


def windows(given: list[Event]) -> list[int]:
    """Tumbling windows: how many, the events and values in them, and those that were late."""
    told: list[Any] = []
    late: list[Any] = []
    flow = Dataflow("windows")
    keyed = op.key_on("key", op.input("in", flow, Source(given)), lambda event: event["key"])
    found = windowing.fold_window(
        "windows",
        keyed,
        windowing.EventClock(lambda event: event["at"], timedelta(seconds=LATENESS)),
        windowing.TumblingWindower(timedelta(seconds=LENGTH), datetime.fromtimestamp(START, UTC)),
        lambda: (0, 0),
        lambda before, event: (before[0] + 1, before[1] + event["value"]),
        lambda one, other: (one[0] + other[0], one[1] + other[1]),
        ordered=False,
    )
    op.output("out", found.down, Sink(told.extend))
    op.output("late", found.late, Sink(late.extend))
    run_main(flow)
    values = [value for _, (_, value) in told]
    return [len(told), sum(n for n, _ in values), sum(v for _, v in values), len(late)]


Side = tuple[list[float], list[Event]]
"""The events of one side that may still be matched, and their times."""


class Matching(StatefulBatchLogic):  # type: ignore[misc]
    """Bytewax joins within windows, not within a bound: this does it with state of its own.

    For all the events of a key in a batch at once: `stateful_flat_map`, which is asked for each
    event, takes 1.7 times as long.
    """

    def __init__(self, kept: tuple[Side, Side] | None) -> None:
        self.kept: tuple[Side, Side] = kept or (([], []), ([], []))

    def on_batch(self, values: list[tuple[int, Event]]) -> tuple[list[Any], bool]:
        told: list[Any] = []
        for side, event in values:
            (own_times, own), (times, others) = self.kept[side], self.kept[1 - side]
            at = event["at"]
            own_times.append(at)
            own.append(event)
            if not times:
                continue
            first, last = bisect_left(times, at - BOUND), bisect_right(times, at + BOUND)
            found = others[first:last]
            told += (
                [(event, one) for one in found] if side == 0 else [(one, event) for one in found]
            )
            if first:
                # Each side comes in order: what is so old that this side has passed it matches
                # nothing more.
                del times[:first], others[:first]
        return told, False

    def snapshot(self) -> tuple[Side, Side]:
        return self.kept


def join(given: tuple[list[Event], list[Event]]) -> list[int]:
    """Pairs within the bound: how many, and the sum of their numbers."""
    told: list[Any] = []
    flow = Dataflow("join")
    streams = [
        op.flat_map_batch(f"side-{side}", op.input(f"in-{side}", flow, Source(rows)), tagged(side))
        for side, rows in enumerate(given)
    ]
    joined = op.stateful_batch("join", op.merge("both", *streams), Matching)
    op.output("out", joined, Sink(told.extend))
    run_main(flow)
    return [len(told), sum(left["n"] + right["m"] for _, (left, right) in told)]


def tagged(side: int) -> Callable[[list[Event]], list[tuple[str, tuple[int, Event]]]]:
    return lambda batch: [(event["key"], (side, event)) for event in batch]


given_events = events(count, dated=True)
given_sides = sides(side_count)
serve(
    {
        "windows": lambda: timed(lambda: windows(given_events)),
        "join": lambda: timed(lambda: join(given_sides)),
    }
)
