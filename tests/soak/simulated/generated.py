"""Graphs made by a seed, of all that a graph can be made of."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from thalweg import Graph, Sink, Stream
from thalweg.operators import aggregate, aggregates, fold, sinks, windows
from thalweg.runtime.roles import commits
from thalweg.testing import broker

from .nodes import (
    AckedLanes,
    Calls,
    Committing,
    Counting,
    Keyed,
    Lanes,
    Once,
    Passing,
    Record,
    Telling,
    checked,
    dice,
    kept,
    lane_of,
    mapped,
    pause,
    spread,
    when,
    window_as_record,
)

__all__ = ["generated"]


@dataclass(slots=True)
class _Strand:
    """A stream; whether the records of a lane come in an order that nothing else decides, whether
    a time can be told of them, and whether they are all of one lane.
    """

    stream: Stream[Record]
    ordered: bool
    timeable: bool
    single: bool
    used: bool = False


@dataclass
class _Making:
    chance: random.Random
    graph: Graph
    strands: list[_Strand] = field(default_factory=list[_Strand])
    count: int = 0

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def add(
        self,
        stream: Stream[Record],
        on: _Strand,
        *,
        ordered: bool = True,
        timeable: bool = True,
        single: bool = True,
    ) -> None:
        """A stream below another one, which may take from what that can."""
        self.strands.append(
            _Strand(stream, on.ordered and ordered, on.timeable and timeable, on.single and single)
        )

    def take(self) -> _Strand:
        """Mostly a strand that is used by nobody yet, so that there are not too many sinks."""
        fresh = [strand for strand in self.strands if not strand.used]
        strand = self.chance.choice(fresh if fresh and self.chance.random() < 0.7 else self.strands)
        strand.used = True
        return strand

    def source(self) -> None:
        name = self.name("source")
        counts = [self.chance.randint(0, 40) for _ in range(self.chance.randint(1, 3))]
        if self.chance.random() < 0.3:
            self.broker(name, counts)
            return
        kind = self.chance.choice((Lanes, AckedLanes))
        self.begin(self.graph.read(name, kind(name, counts, self.chance.getrandbits(16))), counts)

    def broker(self, name: str, counts: Sequence[int]) -> None:
        """A source that delivers again, now and then also what was published twice."""
        queues: dict[str, list[Record]] = {}
        for queue, count in enumerate(counts):
            messages = queues[f"queue{queue}"] = []
            for place in range(count):
                messages.append((name, f"queue{queue}", place))
                if self.chance.random() < 0.1:
                    messages.append(messages[-self.chance.randint(1, min(3, len(messages)))])
        source = broker(
            queues,
            prefetch=self.chance.choice((1, 3, 20)),
            pace=self.chance.choice((0.0, 0.01)),
            seed=self.chance.getrandbits(16),
        )
        self.begin(self.graph.read(name, source, identity=lambda record: record[:3]), counts)

    def begin(self, stream: Stream[Record], counts: Sequence[int]) -> None:
        self.strands.append(_Strand(stream, True, True, len(counts) == 1))

    def node(self) -> None:
        kind = self.chance.choice(
            ("map", "filter", "flat_map", "map_batch", "async_map", "async_flat_map", "operator",
             "calls", "counting", "telling", "once", "batch", "split", "union", "keyed",
             "timed", "timed", "totals")
        )  # fmt: skip
        getattr(self, f"_{kind}")(self.take())

    def _map(self, on: _Strand) -> None:
        name = self.name("map")
        self.add(on.stream.map(lambda r: mapped(name, r), name=name), on)

    def _filter(self, on: _Strand) -> None:
        name = self.name("filter")
        self.add(on.stream.filter(lambda r: kept(name, r), name=name), on)

    def _flat_map(self, on: _Strand) -> None:
        name = self.name("flat_map")
        self.add(on.stream.flat_map(lambda r: spread(name, r), name=name), on)

    def _map_batch(self, on: _Strand) -> None:
        name = self.name("map_batch")
        self.add(
            on.stream.map_batch(lambda rs: [r for r in rs if len(r) != 4], name=name),
            on,
            timeable=False,
        )

    def _async_map(self, on: _Strand) -> None:
        name, ordered = self.name("async_map"), self.chance.random() < 0.7

        async def later(record: Record) -> Record:
            if seconds := pause(name, record):
                await asyncio.sleep(seconds)
            return mapped(name, record)

        stream = on.stream.map(
            later, name=name, max_in_flight=self.chance.randint(1, 5), ordered=ordered
        )
        self.add(stream, on, ordered=ordered, timeable=ordered)

    def _async_flat_map(self, on: _Strand) -> None:
        name = self.name("async_flat_map")

        async def several(record: Record) -> list[Record]:
            if seconds := pause(name, record):
                await asyncio.sleep(seconds)
            checked(name, record)
            return [(*record, name, index) for index in range(dice(record) % 3)]

        stream = on.stream.flat_map(several, name=name, max_in_flight=self.chance.randint(1, 5))
        self.add(stream, on)

    def _operator(self, on: _Strand) -> None:
        name = self.name("operator")
        self.add(on.stream.via(name, Passing(name)), on)

    def _calls(self, on: _Strand) -> None:
        name = self.name("calls")
        function = Calls(name, self.chance.getrandbits(8))
        ordered = function.ordered
        self.add(on.stream.via(name, function), on, ordered=ordered, timeable=ordered)

    def _counting(self, on: _Strand) -> None:
        # What depends on the order of a lane may only stand where there is one.
        name = self.name("counting")
        work = Counting(name) if on.ordered else Once(name)
        self.add(on.stream.via(name, work), on, single=False)

    def _telling(self, on: _Strand) -> None:
        name = self.name("telling")
        work = Telling(name) if on.ordered else Once(name)
        self.add(on.stream.via(name, work), on, single=False)

    def _once(self, on: _Strand) -> None:
        name = self.name("once")
        self.add(on.stream.via(name, Once(name)), on, single=False)

    def _batch(self, on: _Strand) -> None:
        linger = self.chance.choice((0.0, 0.01, None))
        stream = on.stream.batch(self.chance.randint(1, 7), linger=linger, name=self.name("batch"))
        self.add(stream, on)

    def _split(self, on: _Strand) -> None:
        name = self.name("split")
        split = on.stream.split(lambda r: kept(name, r), name=name)
        self.add(split.matching, on)
        self.add(split.rest, on)

    def _union(self, on: _Strand) -> None:
        """Both are marked first, so that one can tell them apart below."""
        other = self.take()
        marked: list[Stream[Record]] = []
        for strand in (on, other):
            name = self.name("side")
            marked.append(strand.stream.map(partial(mapped, name), name=name))
        self.strands.append(_Strand(marked[0].union(marked[1]), False, False, False))

    def _keyed(self, on: _Strand) -> None:
        name = self.name("by")
        stream = on.stream.key_by(lambda r: dice(r) % 5, name=name)
        self.add(stream.map(lambda pair: (*pair[1], name, pair[0]), name=f"{name}.out"), on)

    def _timed(self, on: _Strand) -> None:
        """What is late goes by the lanes alone; windows are the same each time of one lane only."""
        if not (on.ordered and on.timeable):
            self._once(on)
            return
        name = self.name("timed")
        timed = on.stream.event_time(
            lambda r: when(name, r),
            unit="s",
            lateness=self.chance.choice((0, 12, 40)),
            idle_after=None,
            name=name,
        )
        self.add(timed.late, on, ordered=False, timeable=False)
        if not on.single or self.chance.random() < 0.3:
            self.add(timed, on)
            return
        windower = self.chance.choice(
            (
                windows.tumbling(50),
                windows.hopping(60, 20),
                windows.session(25),
            )
        )
        total = aggregates.fold(lambda: 0, lambda n, r: n + dice(r) % 1000, merge=int.__add__)
        made = windows.window(windower, total, emit=self.chance.choice(("close", "update")))
        closed = timed.key_by(lambda r: dice(r) % 3).via(f"{name}.windows", made)
        self.add(closed.map(window_as_record), on, timeable=False)
        self.add(closed.late.map(lambda pair: pair[1]), on, ordered=False, timeable=False)

    def _totals(self, on: _Strand) -> None:
        """What depends on the order of a lane is kept by lane, and only where there is one."""
        if not on.ordered:
            self._once(on)
            return
        name = self.name("totals")
        keyed = on.stream.key_by(lane_of, name=f"{name}.lanes")
        chance = self.chance.random()
        if chance < 0.4:
            sums = keyed.via(name, fold(int, lambda n, r: n + dice(r) % 1000))
        elif chance < 0.7:
            sums = keyed.via(name, aggregate(aggregates.counting(), emit="end"))
        else:
            counted = windows.window(windows.count(3), aggregates.collect())
            made = keyed.via(name, counted)
            self.add(made.map(window_as_record), on, timeable=False)
            return
        self.add(sums.map(lambda pair: (*pair[0], -4, pair[1], name)), on, timeable=False)

    def sink(self) -> Sink[object]:
        chance = self.chance.random()
        repeatable = self.chance.random() < 0.3
        if chance < 0.5:
            return Committing(repeatable=repeatable)
        if chance < 0.7:
            return Keyed(repeatable=repeatable)
        if chance < 0.85:
            return sinks.collect([])
        return sinks.each(id)


def generated(number: int) -> Graph:
    """The graph of this number."""
    chance = random.Random(f"graph {number}")
    making = _Making(chance, Graph("generated"))
    for _ in range(chance.randint(1, 3)):
        making.source()
    for _ in range(chance.randint(0, 9)):
        making.node()
    for strand in making.strands:
        if not strand.used or chance.random() < 0.2:
            sink = making.sink()
            alone = not commits(sink) and chance.random() < 0.2
            strand.stream.to(making.name("sink"), sink, on_failure="isolate" if alone else "stop")
    making.graph.failed.to("failed", making.sink())
    return making.graph
