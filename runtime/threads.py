"""The threads of one job, for what blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .handover import Handover

__all__ = ["Threads"]

T = TypeVar("T")

_MOST = 64


class Threads:
    """Runs functions in threads of its own, which are started when they are first needed."""

    def __init__(self, job: str, loop: asyncio.AbstractEventLoop) -> None:
        self._job = job
        self._loop = loop
        self._handover = Handover(loop)
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[[], T]) -> T:
        """What the function returns or raises, from a thread."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(
                max_workers=_MOST, thread_name_prefix=f"thalweg-{self._job}"
            )
        with self._handover:
            return await self._loop.run_in_executor(self._executor, function)

    def close(self) -> None:
        """Start nothing more; what runs is not waited for."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
