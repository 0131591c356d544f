"""Graphs: what a user declares. Pure data; nothing runs, nothing is opened."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

from .contracts import DeadLetter, Source
from .dataclass import replace
from .errors import GraphError, ThalwegError
from .nodes import FAILED, Kind, Node, NodeOptions, Port, declared_at, is_a, is_count
from .roles import as_source
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike

    from prometheus_client import CollectorRegistry

    from .checkpoints.options import State
    from .job import Job
    from .plan import Plan
    from .progress import Progress

__all__ = ["GRAPH", "Graph"]

R = TypeVar("R")

GRAPH = "*"
"""Stands for the whole graph in the port of `graph.failed`."""


class Graph:
    """A blueprint of operators joined by streams.

    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources
    >>> graph, out = Graph("evens"), []
    >>> numbers = graph.read("numbers", sources.records(range(6)))
    >>> numbers.filter(lambda n: n % 2 == 0).to("out", sinks.collect(out)) and None
    >>> graph.run() and out
    [0, 2, 4]

    Parameters: `max_batch_size`, the records that a source is asked for at a time and the limit
    of every batch that is not cut by `batch` (1024); `channel_batches` (64), `channel_records`
    (8,192) and `channel_bytes` (64 MiB, estimated), the bounds of each channel; `fuse=False` gives
    each function an actor of its own, to see what each one costs.
    """

    def __init__(
        self,
        name: str,
        *,
        max_batch_size: int = 1024,
        channel_batches: int = 64,
        channel_records: int = 8192,
        channel_bytes: int = 64 * 1024 * 1024,
        fuse: bool = True,
    ) -> None:
        self.where = declared_at()
        for option, value in (
            ("max_batch_size", max_batch_size),
            ("channel_batches", channel_batches),
            ("channel_records", channel_records),
            ("channel_bytes", channel_bytes),
        ):
            if not is_count(value):
                raise GraphError(f"{option} is 1 or more, not {value!r}", where=self.where)
        Node(name, "map", None, where=self.where)  # a graph's name follows the rules of a node's
        self.name = name
        self.max_batch_size = max_batch_size
        self.channel_batches = channel_batches
        self.channel_records = channel_records
        self.channel_bytes = channel_bytes
        self.fuse = fuse
        self._nodes: dict[str, Node] = {}

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {', '.join(self._nodes)}>"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What has been declared so far, in order."""
        return tuple(self._nodes.values())

    @property
    def failed(self) -> Stream[DeadLetter]:
        """The dead letters of every node whose failed port goes nowhere else.

        While this goes nowhere either, the first error fails the job: nothing is lost in silence.
        """
        return Stream(self, (Port(GRAPH, FAILED),))

    def read(
        self,
        name: str,
        source: Source[R],
        *,
        lossy: bool = False,
        identity: Callable[[R], object] | None = None,
    ) -> Stream[R]:
        """The records of a source, under a name of its own.

        These say what a restart may mean for a job that has a store. `lossy=True` accepts that
        what is under way is lost with the process, where the source cannot go on. `identity` names
        the id of a record (text, bytes, a number, or a tuple of these; None for one without), for
        a source whose records are delivered again until they are acked: then one that is part of
        an epoch already is passed over when it comes again, up to five minutes after its ack, or
        an hour after a restart. One of which no id can be told is a dead letter of the source.
        """
        if not is_a(source, Source):
            raise GraphError(
                f"read({name!r}, …) takes a Source, not {type(source).__name__}: "
                "for an iterable use sources.records(…)",
                where=declared_at(),
            )
        if identity is not None and not source.redelivers:
            raise GraphError(
                f"identity is for sources that deliver again what was not acked: {name!r} "
                f"({type(source).__name__}) does not",
                where=declared_at(),
            )
        self.add("source", name, source, (), NodeOptions(lossy=lossy, identity=identity))
        return Stream(self, (Port(name),))

    def add(
        self,
        kind: Kind,
        name: str | None,
        work: object,
        inputs: tuple[Port, ...],
        options: NodeOptions,
        *,
        ports: tuple[str, ...] = ("out",),
    ) -> str:
        """Add a node and return its name; streams do this, users need not.

        Raises GraphError, with file and line, when the name is taken.
        """
        where = declared_at()
        if name is None:
            number = 1 + sum(node.kind == kind for node in self._nodes.values())
            while f"{kind}_{number}" in self._nodes:
                number += 1
            name = f"{kind}_{number}"
        taken = self._nodes.get(name)
        if taken is not None:
            raise GraphError(
                f"the name {name!r} is taken by the {taken.kind} declared at {taken.where}: "
                "give each node its own, and unite streams with .union before one sink",
                where=where,
            )
        self._nodes[name] = Node(name, kind, work, inputs, ports, options, where)
        return name

    def own(self, stream: Stream[R]) -> None:
        """Raise GraphError if the stream belongs to another graph."""
        if stream.graph is not self:
            raise GraphError(
                f"{stream!r} belongs to another graph than {self.name!r}", where=declared_at()
            )

    def with_work(self, work: Mapping[str, object]) -> Graph:
        """The same graph with other sources, operators or sinks at the nodes of these names."""
        return self.of_nodes(
            replace(node, work=work[node.name]) if node.name in work else node
            for node in self.nodes
        )

    def of_nodes(self, nodes: Iterable[Node]) -> Graph:
        """A graph of the same name and bounds, with these nodes and no others."""
        other = copy.copy(self)
        other._nodes = {node.name: node for node in nodes}
        return other

    def plan(self) -> Plan:
        """The graph checked, fused and ready to start. Raises GraphError with file and line."""
        from .plan import Plan

        return Plan.of(self)

    def start(
        self,
        *,
        state: State | str | PathLike[str] | None = None,
        metrics: CollectorRegistry | None = None,
    ) -> Job:
        """A job of this graph: `async with graph.start() as job:` opens everything and runs it.

        Leaving the block drains the job, or cancels it after an exception. `metrics` is the
        Prometheus registry that exports it while it runs. `state` is where it keeps its epochs: a
        folder, a PostgreSQL URL, or a `State` with options. A job that is started again on the
        same state goes on by itself, and leaving its block suspends it: it takes a last epoch, and
        nothing is closed that is still open.
        """
        for node in self._nodes.values():
            source = as_source(node.work)
            if source is not None:
                source.load_ahead()
        from .job import Job  # Only now: what it imports takes as long as what is loaded meanwhile.

        return Job(self.plan(), state=state, metrics=metrics)

    def run(self, *, state: State | str | PathLike[str] | None = None) -> Progress:
        """Run to the end on a loop of its own and return the last progress; `state` as in `start`.

        For scripts. Inside a running loop, as in a notebook or a service, it raises ThalwegError:
        use `start` there.
        """
        import asyncio
        import contextlib

        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise ThalwegError(
                "an event loop runs here already, as in a notebook or a service: say "
                "`async with graph.start() as job: await job.wait()` instead of graph.run()"
            )
        try:
            import uvloop
        except ImportError:  # It is not made for every platform; the standard loop does as well.
            new_loop = asyncio.new_event_loop
        else:
            new_loop = uvloop.new_event_loop

        async def main() -> Progress:
            async with self.start(state=state) as job:
                await job.wait()
            return job.progress()

        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main())
