"""The work of `scoring.py` on streamz, with the same client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from streamz import Stream  # type: ignore[import-not-found]

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


async def mapped(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    ended = asyncio.Event()

    async def ask(batch: Sequence[Flower]) -> list[Flower]:
        async with session.post(url, data=encode(batch)) as response:
            response.raise_for_status()
            return decode(batch, await response.read())

    def write(scored: list[Flower]) -> None:
        delivery.take(scored)
        if delivery.count == len(flowers):
            ended.set()

    async with ClientSession(
        connector=TCPConnector(limit=IN_FLIGHT),
        headers=HEADERS,
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=None),
    ) as session:
        source = Stream(asynchronous=True)
        source.map_async(ask, parallelism=IN_FLIGHT).sink(write)
        for batch in batches(flowers):
            await source.emit(batch)
        await ended.wait()


def as_usual(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    asyncio.run(mapped(url, flowers, delivery))


def on_uvloop(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    uvloop.run(mapped(url, flowers, delivery))


flowers = make(int(sys.argv[1]))
serve({"streamz": timed(as_usual, flowers), "streamz, uvloop": timed(on_uvloop, flowers)})
