"""A simulated server, and a function that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from thalweg import BatchFunction, BusyError, UnavailableError
from thalweg.operators import Throughput


@dataclass
class Workers:
    """So many workers, each busy for `base + each * records` seconds with a call."""

    base: float = 0.005
    each: float = 200e-6
    workers: int = 8
    most: int | None = None
    down: bool = False

    def __post_init__(self) -> None:
        self.free = asyncio.Semaphore(self.workers)
        self.running = 0
        self.worst = 0
        self.took: list[tuple[float, float]] = []

    async def work(self, records: int) -> None:
        if self.down:
            raise UnavailableError("connection refused")
        self.running += 1
        self.worst = max(self.worst, self.running)
        try:
            if self.most is not None and self.running > self.most:
                await asyncio.sleep(0.001)
                raise BusyError("too many at once", retry_after=0.05)
            async with self.free:
                await asyncio.sleep(self.takes(records))
        finally:
            self.running -= 1

    def takes(self, records: int) -> float:
        """The seconds that a worker is busy with so many."""
        return self.base + self.each * records


class Asking(BatchFunction[int, int]):
    """Asks the workers, and answers with the records."""

    repeatable = True

    def __init__(self, workers: Workers, tune: Throughput | None, max_in_flight: int) -> None:
        self._workers = workers
        self.tune = tune
        self.max_in_flight = max_in_flight

    async def call(self, records: Sequence[int]) -> Sequence[int]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._workers.work(len(records))
        self._workers.took.append((loop.time(), loop.time() - began))
        return list(records)
