"""An endpoint as `score` has it: opened, and closed whatever comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from thalweg.operators.endpoints import Answer, Endpoint
from thalweg.runtime.context import Context

__all__ = ["ask", "opened"]


@asynccontextmanager
async def opened(endpoint: Endpoint, context: Context) -> AsyncGenerator[Endpoint, None]:
    """The endpoint between `open` and `close`."""
    await endpoint.open(context)
    try:
        yield endpoint
    finally:
        await endpoint.close()


async def ask(
    endpoint: Endpoint,
    context: Context,
    fields: tuple[str, ...] = ("length", "width"),
    rows: list[tuple[object, ...]] | None = None,
) -> Answer:
    """Open it, ask it once, and close it."""
    async with opened(endpoint, context):
        return await endpoint.predict(fields, rows or [(5.1, 3.5), (6.0, 3.0)])
