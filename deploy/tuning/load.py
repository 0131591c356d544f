"""The graph that is measured: a sample handed round without end, the operator, and no real sink."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from ...runtime.context import Context
from ...runtime.contracts import BatchFunction, DeadLetter, Sink, Source, Throughput
from ...runtime.graph import GRAPH, Graph
from ...runtime.nodes import FAILED, Node, NodeOptions, Port, Regroup
from .sample import Counting, Sample, feed_of, unused

__all__ = ["Rejecting", "load_on"]

_SIZE = 64
"""Records in a batch to begin with, where the graph has no `batch` before the operator."""

_TILED = 4096
"""A shorter sample is repeated until it is so long, so that reading it costs little."""


class Round(Source[object]):
    """Reads a sample round and round, as fast as it is asked."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    async def open(self, context: Context) -> None:
        """Begin with the first record."""
        self._records: list[object] = []
        self._tiled: list[object] = []
        self._next = 0

    async def read(self, limit: int) -> Sequence[object] | None:
        """The next records; None once every one of the sample has been dropped."""
        records = self._sample.records
        if records is not self._records:
            self._records, self._next = records, 0
            self._tiled = records * -(-_TILED // len(records)) if records else []
        if not records:
            return None
        cut = self._tiled[self._next : self._next + limit]
        self._next += len(cut)
        if self._next >= len(self._tiled):
            self._next = 0
        return cut


class Rejecting(Sink[DeadLetter]):
    """Notes each record that the operator gave up, for all copies, and has it sent no more."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self.errors: list[str] = []
        """One for each record, as text."""

    async def write(self, records: Sequence[DeadLetter]) -> None:
        """Take them out of the sample."""
        news = self._sample.drop([letter.record for letter in records])
        self.errors.extend([str(records[-1].error)] * news)


def load_on(graph: Graph, node: Node, sample: Sample, goal: Throughput) -> tuple[Graph, Rejecting]:
    """A graph of the operator alone, with the bounds of its own, that a sample is sent through.

    What the operator makes is counted and thrown away, and so is what it gives up.
    """
    _, cut = feed_of(graph, node)
    size = (cut.max_batch_size if cut is not None else None) or _SIZE
    rule = Regroup(
        min(size, goal.max_batch_size),
        None if cut is None else cut.max_batch_bytes,
        0.05 if cut is None else cut.linger,
    )
    work = copy.copy(cast("BatchFunction[Any, Any]", node.work))
    # So that it opens for as many calls as may be tried; the search turns the dials by hand.
    work.tune = goal
    calls = min(node.options.max_in_flight, goal.max_in_flight)
    rejecting = Rejecting(sample)
    taken = {node.name}
    source, batch, answers, failed = (
        unused(name, taken) for name in ("sample", "batch", "answers", "failed")
    )
    nodes = [
        Node(source, "source", Round(sample)),
        Node(batch, "batch", rule, (Port(source),)),
        replace(
            node,
            work=work,
            inputs=(Port(batch),),
            options=replace(node.options, max_in_flight=calls),
        ),
        Node(answers, "sink", Counting(), (Port(node.name),), (), NodeOptions()),
        Node(failed, "sink", rejecting, (Port(GRAPH, FAILED),), (), NodeOptions()),
    ]
    return graph.of_nodes(nodes), rejecting
