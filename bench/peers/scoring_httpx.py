"""The work of `scoring.py` with httpx: 16 tasks on uvloop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import httpx  # type: ignore[import-not-found]
import uvloop

from peers.flowers import (
    HEADERS,
    IN_FLIGHT,
    Delivery,
    Flower,
    batches,
    decode,
    encode,
    make,
    timed,
)
from peers.serving import serve


async def by_tasks(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    left = iter(batches(flowers))

    async def work() -> None:
        for batch in left:
            response = await client.post(url, content=encode(batch))
            response.raise_for_status()
            delivery.take(decode(batch, response.content))

    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with httpx.AsyncClient(
        headers=HEADERS, limits=limits, timeout=None, trust_env=False
    ) as client:
        await asyncio.gather(*[work() for _ in range(IN_FLIGHT)])


def on_uvloop(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    uvloop.run(by_tasks(url, flowers, delivery))


serve({"httpx": timed(on_uvloop, make(int(sys.argv[1])))})
