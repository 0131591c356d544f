"""The runs of one graph: its parts replaced by simulated ones, started until it has ended."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import cast

from ...contracts import Sink, Source
from ...graph import Graph
from ...nodes import Node, is_count, nearest
from ...plan import Plan
from ...roles import sink_role, source_role
from .broker import BrokerSource, broker
from .loop import OutOfReach
from .order import in_order
from .process import Process
from .sinks import (
    CommittingSink,
    FunctionSink,
    KeyedSink,
    PlainSink,
    SimulatedSink,
    sink_like,
)
from .sources import Extent, Sample, paced
from .world import World

__all__ = ["Runs"]

_SINKS = {"commits": CommittingSink, "keyed": KeyedSink, "repeats": PlainSink}
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
        self._extents: dict[str, Extent] = {}
        self._plan = plan = Plan.of(make_graph())
        self.ordered = in_order(plan)
        """The sinks in which the order of each lane is determined."""
        twice = [node.name for node in plan.graph.nodes if _delivers_twice(node)]
        self.repeated = frozenset(self.below(twice))
        """The sinks of which a source may deliver a record twice, and names no identity."""
        memories = [node.name for node in plan.graph.nodes if remembers(node.work)]
        self.miscounted = frozenset(self.below(self.below(twice, memories)))
        """Those of them for which an operator remembers what came twice."""
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
        finally:
            for process in processes:
                process.bury()
        for extent in self._extents.values():
            extent.found = True
        return world

    def below(self, nodes: Collection[str]) -> list[str]:
        """The sinks that what these nodes emit may come to."""
        plan = self._plan
        names = {actor.name: actor for actor in plan.actors}
        reached = {actor.name for actor in plan.actors if {n.name for n in actor.nodes} & {*nodes}}
        for actor in plan.actors:
            inside = {node.name for node in actor.nodes}
            if actor.name in reached:
                for port, readers in plan.readers.items():
                    if port.node in inside:
                        reached.update(readers)
        last = [names[name].nodes[-1] for name in names if name in reached]
        return [node.name for node in last if isinstance(node.work, Sink)]

    def _start(self, world: World, processes: list[Process]) -> bool:
        """Start once; whether another start must follow."""
        process = Process(world)
        processes.append(process)
        ending = process.run(self._cast(process), exact=True)
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

    def _cast(self, process: Process) -> Graph:
        """The graph anew, with simulated sinks, and sources that are read in pieces."""
        graph, chance = self._make_graph(), process.world.chance
        work: dict[str, object] = {}
        for node in graph.nodes:
            if isinstance(node.work, Source):
                work[node.name] = self._source(node, node.work, process)
            elif isinstance(node.work, Sink):
                kind: type[SimulatedSink] = _SINKS[sink_role(node.work)]
                if node.work.function is not None and chance.random() < 0.3:
                    kind = FunctionSink
                work[node.name] = sink_like(
                    node.work,
                    kind,
                    process,
                    node.name,
                    gentle=node.options.on_failure == "isolate",
                    quick=chance.random() < 0.5,
                )
        cast = graph.with_work(work)
        cast.max_batch_size = min(cast.max_batch_size, chance.choice(_BATCH_SIZES))
        cast.channel_batches, cast.channel_records = chance.choice(_CHANNELS)
        cast.fuse = chance.random() < 0.7
        return cast

    def _source(self, node: Node, source: Source[object], process: Process) -> Source[object]:
        if node.name in self._samples:
            sample = self._samples[node.name]
            source = broker(sample) if source.redelivers else Sample(sample)
        if isinstance(source, BrokerSource):
            return self._broker(node.name, cast("BrokerSource[object]", source), process)
        if source_role(source) != "seeks":
            raise OutOfReach(
                f"the source {node.name!r} ({type(source).__name__}) cannot be read again, so a "
                "simulation needs some records of it: samples"
            )
        extent = self._extents.setdefault(node.name, Extent(self._records))
        world = process.world
        chance = random.Random(world.chance.getrandbits(32))
        return paced(source, extent, chance, partial(world.may_ack, node.name))

    def _broker(
        self, name: str, source: BrokerSource[object], process: Process
    ) -> Source[object]:
        brokers = process.world.brokers
        made = brokers[name] = source.simulated(brokers.get(name), process, name)
        process.on_lost_connection.append(made.lose_connection)
        return made
