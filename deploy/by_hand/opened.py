"""An endpoint that is open without a graph around it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from ...operators.endpoints import Endpoint
from ...runtime.context import Context
from ...runtime.counters import Counters
from ...runtime.errors import UnavailableError

__all__ = ["limited", "opened"]

T = TypeVar("T")


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.to_thread(function)


@asynccontextmanager
async def opened(endpoint: Endpoint) -> AsyncGenerator[Endpoint, None]:
    """A copy of the endpoint, open inside the block."""
    endpoint = copy.copy(endpoint)
    try:
        await endpoint.open(Context("by_hand", "endpoint", thread=_in_thread, counters=Counters()))
        yield endpoint
    finally:
        await endpoint.close()


@asynccontextmanager
async def limited(timeout: float) -> AsyncGenerator[None, None]:
    """UnavailableError where the block takes longer than `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise UnavailableError(str(error) or f"no answer within {timeout:g} s") from None
