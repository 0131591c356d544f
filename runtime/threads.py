"""The threads of one job, for what blocks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .handover import Handover

__all__ = ["Threads"]

T = TypeVar("T")

_MOST = 64

_PROCESSORS = os.cpu_count() or 1


class Threads:
    """Runs functions in threads of its own, which are started when they are first needed."""

    def __init__(self, job: str, loop: asyncio.AbstractEventLoop) -> None:
        self._job = job
        self._loop = loop
        self._handover = Handover(loop)
        self._executor: ThreadPoolExecutor | None = None
        self._computing: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[[], T]) -> T:
        """What the function returns or raises, from a thread."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(
                max_workers=_MOST, thread_name_prefix=f"thalweg-{self._job}"
            )
        with self._handover:
            return await self._loop.run_in_executor(self._executor, function)

    async def compute(self, function: Callable[[], T]) -> T:
        """As `run`, for what computes: no more of it at once than there are processors.

        More would not be quicker, and each thread keeps memory for what it has worked on.
        """
        if self._computing is None:
            self._computing = ThreadPoolExecutor(
                max_workers=_PROCESSORS, thread_name_prefix=f"thalweg-{self._job}-computing"
            )
        with self._handover:
            return await self._loop.run_in_executor(self._computing, function)

    def close(self) -> None:
        """Start nothing more; what runs is not waited for."""
        for executor in (self._executor, self._computing):
            if executor is not None:
                executor.shutdown(wait=False, cancel_futures=True)
