"""Records for the search: taken once from the graph's own sources, then handed round in memory."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...runtime.context import Context
from ...runtime.contracts import Barrier, Read, Sink, Source, Trigger, Watermark
from ...runtime.errors import JobCancelled
from ...runtime.graph import GRAPH, Graph
from ...runtime.nodes import FAILED, LATE, Node, NodeOptions, Port, Regroup, overrides
from ...runtime.roles import as_source
from .candidates import Untunable

if TYPE_CHECKING:
    from ...runtime.job import Job

__all__ = ["Counting", "Sample", "feed_of", "gather", "unused"]

_LONGEST = 10.0
"""Seconds after which the search goes on with the records that have come."""

_ENOUGH, _SHORTEST = 5, 0.5
"""So many batches, and so many seconds of them, say something of the rate."""


class Sample:
    """The records that enter the operator, as many as were taken.

    `ended` says that the sources had no more, `arrives` how many came in a second (None where that
    was not to be told), `failed` how many were given up before they came so far.
    """

    def __init__(self, records: Sequence[object] = ()) -> None:
        self.records = list(records)
        self.ended = False
        self.arrives: float | None = None
        self.failed = 0
        # They are kept, so that nothing else can be at their address.
        self._dropped: list[object] = []

    def drop(self, records: Sequence[object]) -> int:
        """Do not send these again: their failure would be measured again and again.

        Returns how many of them are news; the others were under way already.
        """
        gone = {id(one) for one in records}
        found = [one for one in self.records if id(one) in gone]
        if found:
            self._dropped += found
            self.records = [one for one in self.records if id(one) not in gone]
        return len(found)


class Counting(Sink[object]):
    """Takes records and keeps nothing but their number, which all copies share."""

    def __init__(self) -> None:
        self.seen = [0]

    async def write(self, records: Sequence[object]) -> None:
        """Count them."""
        self.seen[0] += len(records)


class _Taking(Sink[object]):
    """Fills a sample, and says when it is full."""

    def __init__(self, sample: Sample, most: int) -> None:
        self._sample = sample
        self._most = most
        self.full = asyncio.Event()
        self.times: list[tuple[float, int]] = []
        """When records came, and how many were held then. All copies share it."""

    async def write(self, records: Sequence[object]) -> None:
        """Take what is still needed."""
        held = self._sample.records
        if len(held) >= self._most:
            return
        held.extend(records[: self._most - len(held)])
        self.times.append((asyncio.get_running_loop().time(), len(held)))
        if len(held) >= self._most:
            self.full.set()


class _Borrowed(Source[object]):
    """A source that is read but never told that anything has arrived: it may give it again."""

    def __init__(self, source: Source[Any]) -> None:
        self._given = source
        self.gives_columns = source.gives_columns
        self._nacks = bool(overrides(source, Source, "nack"))

    async def open(self, context: Context) -> None:
        """Open a copy, as a job would."""
        self._first: dict[str, int] = {}
        self._source = copy.copy(self._given)
        await self._source.open(context)

    async def read(
        self, limit: int
    ) -> Sequence[object] | Read[object] | Watermark | Trigger | Barrier | None:
        """What the source reads."""
        result = await self._source.read(limit)
        if isinstance(result, Read) and result.positions:
            self._first.setdefault(result.lane, result.positions[0])
        elif isinstance(result, Sequence):
            self._first.setdefault("", 0)
        return result

    async def close(self) -> None:
        """Give everything back, and close it."""
        try:
            if self._nacks:
                for lane, position in self._first.items():
                    await self._source.nack(lane, position)
        finally:
            await self._source.close()


def feed_of(graph: Graph, node: Node) -> tuple[tuple[Port, ...], Regroup | None]:
    """What the operator reads, a `batch` right before it left out, and how that one cuts."""
    nodes = {one.name: one for one in graph.nodes}
    if len(node.inputs) == 1:
        above = nodes.get(node.inputs[0].node)
        if above is not None and isinstance(above.work, Regroup):
            return above.inputs, above.work
    return node.inputs, None


async def gather(
    graph: Graph,
    node: Node,
    *,
    most: int,
    given: Mapping[str, Sequence[object]],
    stop: asyncio.Event,
) -> Sample:
    """Run what stands above the operator until `most` records have come so far.

    `given` holds records in the place of what sources of these names read. Nothing is acked, and
    nothing below the operator runs. Raises Untunable where no record comes, JobFailed as a job
    does.
    """
    feed, _ = feed_of(graph, node)
    above = _above(graph, feed)
    sample = Sample()
    taking = _Taking(sample, most)
    failed, aside = Counting(), Counting()
    nodes = [_borrowed(one, given) for one in above]
    taken = {one.name for one in nodes}
    nodes.append(_sink(unused("sample", taken), taking, feed))
    nodes.append(_sink(unused("failed", taken), failed, (Port(GRAPH, FAILED),)))
    loose = _loose(nodes)
    if loose:
        nodes.append(_sink(unused("aside", taken), aside, loose))
    with suppress(JobCancelled):
        async with graph.of_nodes(nodes).start() as job:
            await _run(job, sample, taking.full, stop)
    sample.failed = failed.seen[0]
    if not sample.records and not stop.is_set():
        raise Untunable(_nothing(node, sample, above))
    sample.arrives = _rate(above, given, taking)
    return sample


async def _run(job: Job, sample: Sample, full: asyncio.Event, stop: asyncio.Event) -> None:
    """Until there is enough, or no more, or it has taken too long; then the job is cancelled."""
    ending = asyncio.ensure_future(job.wait())
    waits: list[asyncio.Future[Any]] = [ending]
    waits += [asyncio.ensure_future(event.wait()) for event in (full, stop)]
    try:
        await asyncio.wait(waits, timeout=_LONGEST, return_when=asyncio.FIRST_COMPLETED)
        sample.ended = ending.done()
        if sample.ended:
            await ending  # Raises what went wrong.
    finally:
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    if not sample.ended:
        await job.cancel()


def _nothing(node: Node, sample: Sample, above: Sequence[Node]) -> str:
    sources = [one.name for one in above if one.kind == "source"]
    why = "its sources have ended" if sample.ended else f"none has come within {_LONGEST:g} s"
    lost = f", and {sample.failed:,} have failed before it" if sample.failed else ""
    name = sources[0] if sources else "NAME"
    return (
        f"there is no record for {node.name!r} to be tuned with: {why}{lost}. Give some: "
        f"--source {name}=FILE, with a JSON object in each line"
    )


def _rate(
    above: Sequence[Node],
    given: Mapping[str, Sequence[object]],
    taking: _Taking,
) -> float | None:
    """How many records a second the graph reads: as its sources are told to, or as they came."""
    rates = [source.rate for node in above if (source := as_source(node.work)) is not None]
    told = [rate for rate in rates if rate is not None]
    if told and len(told) == len(rates):
        return sum(told)
    if given or len(taking.times) < _ENOUGH:
        return None
    (began, before), (ended, held) = taking.times[0], taking.times[-1]
    # What came first was made before.
    return (held - before) / (ended - began) if ended - began >= _SHORTEST else None


def _above(graph: Graph, feed: Sequence[Port]) -> list[Node]:
    """The nodes that these ports come from, and all above them, in the graph's order."""
    nodes = {node.name: node for node in graph.nodes}
    found: set[str] = set()
    left = [port.node for port in feed]
    while left:
        name = left.pop()
        if name not in nodes:
            raise Untunable(
                "it reads graph.failed, the dead letters of all others: tune it in a graph of its "
                "own"
            )
        if name not in found:
            found.add(name)
            left.extend(port.node for port in nodes[name].inputs)
    return [node for node in graph.nodes if node.name in found]


def _borrowed(node: Node, given: Mapping[str, Sequence[object]]) -> Node:
    """The node as it may stand in a run that leaves nothing behind."""
    # What is remembered is for this run alone, and no id is kept of what is delivered again.
    options = replace(node.options, volatile=node.kind == "operator", identity=None)
    source = as_source(node.work)
    if source is None:
        return replace(node, options=options)
    if node.name in given:
        from ...operators.sources import records

        return replace(node, work=records(list(given[node.name])), options=options)
    return replace(node, work=_Borrowed(source), options=options)


def _loose(nodes: Sequence[Node]) -> tuple[Port, ...]:
    """The outputs that nobody reads, now that only a part of the graph is there."""
    read = {port for node in nodes for port in node.inputs}
    ports = (Port(node.name, name) for node in nodes for name in node.ports if name != LATE)
    return tuple(port for port in ports if port not in read)


def _sink(name: str, sink: Sink[Any], inputs: tuple[Port, ...]) -> Node:
    return Node(name, "sink", sink, inputs, (), NodeOptions())


def unused(name: str, taken: set[str]) -> str:
    """A name that no node has yet, which is taken then."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name
