"""A graph that asks simulated workers, with a controller or without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from thalweg import Graph, JobCancelled
from thalweg.operators import Throughput, sinks, sources
from thalweg.runtime.job import Job

from .workers import Asking, Workers

__all__ = ["Scene", "rate_of"]


@dataclass
class Scene:
    """A graph that asks workers for endless records, in batches of 64, 8 at once."""

    workers: Workers
    tune: Throughput | None = None
    rate: float | None = None

    @asynccontextmanager
    async def job(self) -> AsyncGenerator[Job, None]:
        """The running job, which would never end."""
        with suppress(JobCancelled):
            async with self.graph().start() as job:
                yield job
                await job.cancel()

    def graph(self) -> Graph:
        def forever() -> Iterator[int]:
            return iter(range(10**9))

        graph = Graph("tuned", max_batch_size=4096)
        stream = graph.read("numbers", sources.records(forever, rate=self.rate))
        asked = stream.batch(64, linger=0.05).via("ask", Asking(self.workers, self.tune, 8))
        asked.to("out", sinks.each(lambda _: None))
        return graph


async def rate_of(job: Job, seconds: float) -> float:
    """Records a second that the node answers, over so many virtual seconds."""
    before = job.progress().node("ask").records_out
    await asyncio.sleep(seconds)
    return (job.progress().node("ask").records_out - before) / seconds
