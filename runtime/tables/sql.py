"""Asking the tables of a job from its loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..handover import Handover
from .asking import Asking

if TYPE_CHECKING:
    from .answer import Answer
    from .tables import Tables

__all__ = ["ask"]


async def ask(tables: Tables, query: str, *, timeout: float, rows: int, size: int) -> Answer:
    """The answer to a query, found in a thread; a query that nobody awaits any more is stopped."""
    asking = Asking(query, seconds=timeout, rows=rows, size=size)
    loop = asyncio.get_running_loop()
    try:
        # Not in the threads of the job: those are gone when it has ended.
        with Handover(loop):
            return await loop.run_in_executor(None, tables.answer, asking)
    finally:
        asking.stop()
