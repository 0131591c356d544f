"""The keyed count of `checkpoints.py` on Thalweg: without a store, with each, and its pauses."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import uvloop
from services import forget

from peers.counting import Event, Meter, key_of, make, measured
from peers.serving import serve
from thalweg import Graph, State
from thalweg.operators import fold, sinks
from thalweg.runtime.contracts import Bookmark, Context, Source
from thalweg.runtime.job import Job

keys = int(sys.argv[1])
folder = sys.argv[2]
postgres = sys.argv[3]
events = make(keys)


class Events(Source[Event]):
    """Reads the same list over and over, until the time is over."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def open(self, context: Context) -> None:
        self._at = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        self._at = bookmarks[""].last + 1

    async def read(self, limit: int) -> list[Event] | None:
        if self._meter.over():
            return None
        start = self._at % len(events)
        batch = events[start : start + limit]
        self._at += len(batch)
        return batch


def one_more(count: int, event: Event) -> int:
    """The count with one event more."""
    return count + 1


@dataclass(slots=True)
class Ticker:
    """Ticks each millisecond on the loop of a job, and notes when it was kept waiting.

    A wait is on the wall, beside the CPU time that this process had meanwhile: on a machine that
    does other work too, the difference is what others took.
    """

    job: Job
    waits: list[tuple[float, float, float]] = field(default_factory=list)
    epochs: list[tuple[float, float]] = field(default_factory=list)
    _last: tuple[float, float] = (0.0, 0.0)
    _taken: int = 0
    _timer: asyncio.TimerHandle | None = None

    def tick(self) -> None:
        """Note how long it took since the last tick, and the epoch that was committed."""
        now, cpu = time.monotonic(), time.process_time()
        before, cpu_before = self._last
        if before:
            self.waits.append((before, now, cpu - cpu_before))
        done = self.job.progress().epochs
        if done is not None and done.taken != self._taken and done.age is not None:
            self._taken = done.taken
            self.epochs.append((now - done.age - done.seconds, now - done.age))
        self._last = time.monotonic(), time.process_time()
        self._timer = asyncio.get_running_loop().call_later(0.001, self.tick)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()

    def longest(self, *, within: bool) -> dict[str, float]:
        """The longest wait in milliseconds, within epochs that were being taken or outside."""
        found = [
            (end - start, cpu)
            for start, end, cpu in self.waits
            if within == any(start < until + 0.001 and end > since for since, until in self.epochs)
        ]
        wall, cpu = max(found, default=(0.0, 0.0))
        return {
            "wall": 1e3 * wall,
            "its cpu": 1e3 * cpu,
            "over 20 ms": sum(one > 0.02 for one, _ in found),
            "cpu over 20 ms": sum(one > 0.02 for _, one in found),
        }


@contextlib.contextmanager
def place(store: str) -> Iterator[str | None]:
    """Where the state is kept: nowhere, in a fresh folder, in PostgreSQL."""
    if store == "local":
        with TemporaryDirectory(dir=folder) as fresh:
            yield fresh
    else:
        yield postgres if store == "postgresql" else None


def run(
    store: str, seconds: float, warm: float, interval: float, *, ticking: bool = False
) -> dict[str, object]:
    """Count until the time is over."""
    meter, counts = Meter(seconds, warm), dict[str, int]()
    said: dict[str, object] = {}

    def add(item: tuple[str, int]) -> None:
        key, count = item
        counts[key] = count
        meter.add(item)

    # A name of its own: each run begins anew, also in a database that is kept.
    graph = Graph(f"counting-{uuid.uuid4().hex[:12]}")
    users = graph.read("events", Events(meter)).key_by(key_of)
    counted = users.via("count", fold(int, one_more), volatile=store == "none")
    counted.to("out", sinks.each(add))

    async def main(at: str | None) -> None:
        state = None if at is None else State(at, interval=interval)
        async with graph.start(state=state) as job:
            ticker = Ticker(job)
            if ticking:
                ticker.tick()
            await job.wait()
            ticker.stop()
        done = job.progress().epochs
        said["epochs"] = 0 if done is None else done.taken
        said["epoch ms"] = 0.0 if not ticker.epochs else 1e3 * max(b - a for a, b in ticker.epochs)
        if ticking:
            said["within"] = ticker.longest(within=True)
            said["outside"] = ticker.longest(within=False)

    def work() -> dict[str, int]:
        with place(store) as at, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(at))
        return counts

    try:
        return measured(meter, work, keys) | said
    finally:
        if store == "postgresql":
            forget(postgres, graph.name)


def of(store: str, *, ticking: bool = False) -> object:
    """A contender, as `serve` takes it."""
    return lambda seconds, warm, interval: run(store, seconds, warm, interval, ticking=ticking)


serve(
    {
        "no store": of("none"),
        "local store": of("local"),
        "PostgreSQL": of("postgresql"),
        "pauses": of("local", ticking=True),
        "pauses without a store": of("none", ticking=True),
        "pauses with PostgreSQL": of("postgresql", ticking=True),
    }  # type: ignore[arg-type]
)
