"""Asking the tables of a job from its loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar, cast

from ..errors import QueryTimeout
from ..handover import Handover
from .asking import Asking

if TYPE_CHECKING:
    from .answer import Answer
    from .tables import Tables

__all__ = ["ask", "in_time"]

T = TypeVar("T")

_GRACE = 1.0
"""Seconds that a query has to stop in when its time is over."""


async def ask(tables: Tables, query: str, *, timeout: float, rows: int, size: int) -> Answer:
    """The answer to a query, found in a thread; a query that nobody awaits any more is stopped.

    Raises TypeError for a query that is no text, ValueError for a timeout that is not above 0.
    """
    if not isinstance(cast("object", query), str):
        raise TypeError(f"a query is text, not {query!r}")
    if not timeout > 0:
        raise ValueError(f"timeout is more than 0 seconds, not {timeout!r}")
    asking = Asking(query, seconds=timeout, rows=rows, size=size)
    loop = asyncio.get_running_loop()
    try:
        # Not in the threads of the job: those are gone when it has ended.
        with Handover(loop):
            return await in_time(loop.run_in_executor(None, tables.answer, asking), timeout)
    finally:
        asking.stop()


async def in_time(answer: Awaitable[T], seconds: float) -> T:
    """The answer, found in a thread; QueryTimeout soon after the time that it may take.

    A query is stopped between two steps of the engine, and one step may take minutes: nobody waits
    for that, though its thread does.
    """
    answering = asyncio.ensure_future(answer)
    await asyncio.wait({answering}, timeout=seconds + _GRACE)
    if answering.done():
        return answering.result()
    # What it raises at last is no news.
    answering.add_done_callback(lambda one: one.cancelled() or one.exception())
    raise QueryTimeout(
        f"the query has not been answered within {seconds:g} s, and is in a step that cannot be "
        "stopped: it is left to end by itself"
    )
