"""One search from end to end: records, the graph that is measured, and what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ...runtime.errors import JobCancelled, JobFailed
from ...runtime.graph import Graph
from ...runtime.nodes import Node
from ...runtime.tuning.objective import Throughput
from .findings import Findings
from .load import load_on
from .sample import gather
from .search import Search
from .watching import Load

__all__ = ["tune"]


async def tune(
    graph: Graph,
    node: Node,
    goal: Throughput,
    *,
    seconds: float,
    most: int,
    given: Mapping[str, Sequence[object]],
    say: Callable[[Load], None],
    stop: asyncio.Event,
) -> Findings:
    """Search the settings of a node for so many seconds at most, or until `stop`.

    First up to `most` records are taken from the graph's sources, or from `given` in their place;
    then they are sent to the operator again and again. Nothing is written and nothing is acked.
    What fails the job while settings are searched is told in the findings. Raises Untunable where
    no record comes, and JobFailed where none can be read.
    """
    sample = await gather(graph, node, most=most, given=given, stop=stop)
    found = Findings(graph.name, node, goal, sample)
    if not sample.records:
        return found  # It was stopped before the first one.
    loaded, rejecting = load_on(graph, node, sample, goal)
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        with suppress(JobCancelled):
            async with loaded.start() as job:
                search = Search(job, node.name, goal, rejecting=rejecting, say=say)
                found.search = search
                await search.run(seconds, stop)
                await job.cancel()
    except JobFailed as error:
        found.error = str(error)
    if found.error is None and not sample.records:
        found.error = f"every record was given up: {rejecting.errors[-1]}"
    found.rejected = rejecting.errors
    found.seconds = clock() - began
    return found
