"""A graph that scores several hundred records, with small channels so that a wait shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from thalweg import DeadLetter, Graph, Retry, Source
from thalweg.operators import score, sources
from thalweg.operators.endpoints import Endpoint
from thalweg.runtime.job import Job
from thalweg.runtime.progress import Progress
from thalweg.testing import CollectingSink

from .scripted_server import FIELDS

__all__ = ["CHANNEL", "QUICK", "Record", "Scoring", "expected", "record", "until", "within_bounds"]

Record = dict[str, object]

QUICK = Retry(first=0.01, longest=0.05)
CHANNEL = 64
"""The records that a channel holds at most."""


def record(n: int) -> Record:
    """The record `n`: all of its values are its own, and exact in 32 bits."""
    return {"n": n, "x": n / 8, "y": -n, "note": f"record {n}"}


def expected(numbers: Iterable[int], version: str | None = None) -> list[Record]:
    """These records, each with its own score."""
    said: Record = {} if version is None else {"model_version": version}
    return [{**record(n), "same": [n, n / 8, -n], **said} for n in numbers]


@dataclass(eq=False)
class Scoring:
    """Source, batches, `score` and two sinks: what is scored, and what failed."""

    endpoint: str | Endpoint
    records: Sequence[Record] = ()
    batch: int = 16
    max_in_flight: int = 4
    timeout: float = 5.0
    retry: Retry = QUICK
    pushed: bool = False
    limit: float = 20.0
    fields: Mapping[str, str] = field(default_factory=lambda: FIELDS)
    scored: CollectingSink[Record] = field(default_factory=lambda: CollectingSink[Record]())
    failed: CollectingSink[DeadLetter] = field(default_factory=lambda: CollectingSink[DeadLetter]())

    @asynccontextmanager
    async def job(self) -> AsyncGenerator[Job, None]:
        """The running job, given up after a time in which it must have ended."""
        graph = Graph("scoring", max_batch_size=self.batch, channel_records=CHANNEL)
        source: Source[Record] = sources.push() if self.pushed else sources.records(self.records)
        operator = score(
            self.endpoint,
            fields=self.fields,
            max_in_flight=self.max_in_flight,
            timeout=self.timeout,
            retry=self.retry,
        )
        stream = graph.read("records", source).batch(self.batch, linger=0.01)
        stream.via("score", operator).to("scored", self.scored)
        graph.failed.to("failed", self.failed)
        async with asyncio.timeout(self.limit), graph.start() as job:
            yield job

    async def run(self) -> Progress:
        """Run to the end, and tell how it stood then."""
        async with self.job() as job:
            await job.wait()
        return job.progress()

    @property
    def numbers(self) -> list[object]:
        """The `n` of what was scored, in order."""
        return [scored["n"] for scored in self.scored.records]

    @property
    def failures(self) -> list[object]:
        """The `n` of what failed, in order."""
        return [cast(Record, letter.record).get("n") for letter in self.failed.records]


def within_bounds(progress: Progress) -> bool:
    """Whether no inbox holds more than it may."""
    inboxes = [node.inbox for node in progress.nodes if node.inbox is not None]
    assert len(inboxes) >= 4
    return all(i.batches <= i.max_batches and i.records <= i.max_records for i in inboxes)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when the condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - no event tells what a job's numbers are
            await asyncio.sleep(0.002)
