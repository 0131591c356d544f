"""A Python callable as a model, in processes of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ...runtime.contracts import Context
from .endpoint import Answer, Endpoint
from .reference import refer
from .worker_process import WorkerProcess

__all__ = ["ProcessFunction"]


class ProcessFunction(Endpoint):
    """See `function`, with `where="process"`."""

    def __init__(self, call: Callable[..., Any], *, name: str, workers: int) -> None:
        self._reference = refer(call, name)
        self._count = workers

    def __repr__(self) -> str:
        return f"function({self._reference.name}, where='process', workers={self._count})"

    async def open(self, context: Context) -> None:
        self._context = context
        self._workers = [WorkerProcess(self._reference) for _ in range(self._count)]
        # The last one that was used is the first to be used again: its caches are warm.
        self._free: asyncio.LifoQueue[WorkerProcess] = asyncio.LifoQueue()
        for worker in self._workers:
            self._free.put_nowait(worker)
        await asyncio.gather(*(context.in_thread(worker.start) for worker in self._workers))

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        worker = await self._free.get()
        try:
            if not worker.started:
                await self._context.in_thread(worker.start)
            return await self._context.in_thread(worker.call, fields, rows)
        except asyncio.CancelledError:
            worker.kill()  # it is late, or the job stops: nothing else ends what it does
            raise
        finally:
            if worker.killed:
                # One that is still on its way out is waited for by `close`.
                self._workers = [each for each in self._workers if not each.gone]
                worker = WorkerProcess(self._reference)
                self._workers.append(worker)
            self._free.put_nowait(worker)

    async def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*(self._context.in_thread(worker.end) for worker in self._workers))
