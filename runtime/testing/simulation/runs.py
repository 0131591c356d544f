"""The runs of one graph: its parts replaced by simulated ones, started until it has ended."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import cast

from ...contracts import Sink, Source
from ...graph import Graph
from ...memory import remembers
from ...nodes import Node, is_count, nearest
from ...plan import Plan
from ...roles import SinkRole, sink_role, source_role
from .broker import BrokerSource, broker
from .compared import differing
from .loop import OutOfReach
from .paths import below, by_clock, in_order, mixing, sinks_of
from .process import Process
from .sinks import (
    CommittingSink,
    FunctionSink,
    KeyedSink,
    PlainSink,
    sink_like,
)
from .sources import Ends, Sample, ends_of, paced
from .world import World

__all__ = ["Runs"]

_SINKS: dict[SinkRole, type[CommittingSink | PlainSink]] = {
    "commits": CommittingSink,
    "keyed": KeyedSink,
    "repeats": PlainSink,
}
_MOST_STARTS = 100
_BATCH_SIZES = (1, 2, 7, 64, 1024)
_CHANNELS = ((1, 64), (2, 64), (64, 8192))
"""Bounds of a channel, in batches and records."""


class Runs:
    """A graph that is started as often as it takes, in one world after the other."""

    def __init__(
        self,
        make_graph: Callable[[], Graph],
        records: int,
        samples: Mapping[str, Sequence[object]],
    ) -> None:
        if not is_count(records):
            raise ValueError(f"records is 1 or more, not {records!r}")
        self._make_graph = make_graph
        self._records = records
        self._samples = samples
        self._ends: dict[str, Ends] = {}
        self._plan = plan = Plan.of(make_graph())
        self._ordered = in_order(plan)
        twice = [node.name for node in plan.graph.nodes if _delivers_twice(node)]
        self._repeated = frozenset(self._sinks_below(twice))
        memories = [n.name for n in below(plan, twice) if remembers(n.work)]
        self._miscounted = self._sinks_below(memories)
        sources = [node.name for node in plan.graph.nodes if isinstance(node.work, Source)]
        for name in samples:
            if name not in sources:
                raise ValueError(
                    f"samples are for sources, which are {', '.join(sources)}, and not for "
                    f"{name!r}.{nearest(name, sources)}"
                )

    def until_ended(self, world: World) -> World:
        """Start the graph in this world, and again, until it has come to its end."""
        processes: list[Process] = []
        try:
            while self._start(world, processes):
                pass
            if world.faulty and not world.wrong:
                self._start_after_the_end(world, processes)
        finally:
            for process in processes:
                process.bury()
        return world

    def differing(self, calm: World, other: World) -> dict[str, str]:
        """The sinks that do not hold the same in both worlds, with the first difference; what was
        done that must not be stands under `*`.
        """
        found = differing(calm, other, ordered=self._ordered, repeated=self._repeated)
        wrong = calm.wrong or other.wrong
        return found | {"*": wrong[0]} if wrong else found

    def not_compared(self, calm: World, faulty: World) -> dict[str, str]:
        """The sinks that hold what cannot be compared, with the reason."""
        lanes = {name: len(ends) for name, ends in self._ends.items()}
        lanes |= {name: len(source.acked) for name, source in calm.brokers.items()}
        by_the_clock = {*by_clock(self._plan), *calm.by_the_clock, *faulty.by_the_clock}
        reasons = {
            "a record may be delivered twice (name its identity), and one above it remembers":
                self._miscounted,
            "windows of several lanes: what is late depends on how they are mixed":
                self._sinks_below(mixing(self._plan, lanes)),
            "it depends on the clock: what an operator above it makes of processing time":
                self._sinks_below(by_the_clock),
        }  # fmt: skip
        return {name: reason for reason, names in reasons.items() for name in names}

    def _sinks_below(self, nodes: Collection[str]) -> list[str]:
        """The sinks that what these nodes emit may come to."""
        return sinks_of(below(self._plan, nodes))

    def _start(self, world: World, processes: list[Process]) -> bool:
        """Start once; whether another start must follow."""
        process = Process(world)
        processes.append(process)
        ending = process.run(self._staged(process))
        if ending == "ended":
            return False
        error = process.error
        if error is not None and not process.excused(error):
            if not world.faulty:
                raise error
            world.complain(f"it failed, and nothing that was done to it explains that: {error}")
            return False
        if world.starts >= _MOST_STARTS:
            world.complain(f"it has not come to its end after {world.starts} starts: {error}")
            return False
        return True

    def _start_after_the_end(self, world: World, processes: list[Process]) -> None:
        """A graph that had ended is started once more: it has nothing left to do."""
        world.damage_next = False
        before = {name: len(target.held) for name, target in world.targets.items()}
        was = world.starts, world.now, list(world.happened)
        process = Process(world)
        processes.append(process)
        process.run(self._staged(process))
        world.starts, world.now, world.happened = was
        for name, target in world.targets.items():
            if len(target.held) != before.get(name, 0):
                world.complain(f"{name}: a start after the end has changed what it holds")

    def _staged(self, process: Process) -> Graph:
        """The graph anew, with simulated sinks, and sources that are read in pieces."""
        graph, chance = self._make_graph(), process.world.chance
        work: dict[str, object] = {}
        for node in graph.nodes:
            if isinstance(node.work, Source):
                source = cast("Source[object]", node.work)
                work[node.name] = self._source(node, source, process)
            elif isinstance(node.work, Sink):
                sink = cast("Sink[object]", node.work)
                kind = _SINKS[sink_role(sink)]
                if sink.function is not None and chance.random() < 0.3:
                    kind = FunctionSink
                work[node.name] = sink_like(
                    sink,
                    kind,
                    process,
                    node.name,
                    gentle=node.options.on_failure == "isolate",
                    quick=chance.random() < 0.5,
                )
        staged = graph.with_work(work)
        staged.max_batch_size = min(staged.max_batch_size, chance.choice(_BATCH_SIZES))
        staged.channel_batches, staged.channel_records = chance.choice(_CHANNELS)
        staged.fuse = chance.random() < 0.7
        return staged

    def _source(self, node: Node, source: Source[object], process: Process) -> Source[object]:
        if node.name in self._samples:
            sample = self._samples[node.name]
            source = broker(sample[: self._records]) if source.redelivers else Sample(sample)
        if isinstance(source, BrokerSource):
            return self._broker(node.name, source, process)
        if source_role(source) != "seeks":
            raise OutOfReach(
                f"the source {node.name!r} ({type(source).__name__}) cannot be read again, so a "
                "simulation needs some records of it: samples"
            )
        if node.name not in self._ends:
            self._ends[node.name] = ends_of(source, node.name, self._records)
        world = process.world
        chance = random.Random(world.chance.getrandbits(32))
        return paced(source, self._ends[node.name], chance, partial(world.may_ack, node.name))

    def _broker(self, name: str, source: BrokerSource[object], process: Process) -> Source[object]:
        brokers = process.world.brokers
        made = brokers[name] = source.simulated(brokers.get(name), process, name)
        process.on_lost_connection.append(made.lose_connection)
        return made


def _delivers_twice(node: Node) -> bool:
    source = node.work
    if not isinstance(source, Source) or node.options.identity is not None:
        return False
    return cast("Source[object]", source).redelivers
