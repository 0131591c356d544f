"""The work of `scoring.py` on bytewax: it knows no other way to wait than for 16 at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import bytewax.operators as op  # type: ignore[import-not-found]
import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.inputs import DynamicSource, StatelessSourcePartition  # type: ignore[import-not-found]
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]
from bytewax.testing import run_main  # type: ignore[import-not-found]

from peers.flowers import (
    BATCH,
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

WAVE = BATCH * IN_FLIGHT


class Waves(StatelessSourcePartition):  # type: ignore[misc]
    def __init__(self, flowers: Sequence[Flower]) -> None:
        self.flowers = flowers
        self.at = 0

    def next_batch(self) -> Sequence[Flower]:
        wave = self.flowers[self.at : self.at + WAVE]
        if not wave:
            raise StopIteration
        self.at += len(wave)
        return wave


class Source(DynamicSource):  # type: ignore[misc]
    def __init__(self, flowers: Sequence[Flower]) -> None:
        self.flowers = flowers

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Waves:
        return Waves(self.flowers)


class Delivering(StatelessSinkPartition):  # type: ignore[misc]
    def __init__(self, delivery: Delivery) -> None:
        self.take = delivery.take

    def write_batch(self, items: list[Flower]) -> None:
        self.take(items)


class Sink(DynamicSink):  # type: ignore[misc]
    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Delivering:
        return Delivering(self.delivery)


def in_waves(
    loop: asyncio.AbstractEventLoop, url: str, flowers: Sequence[Flower], delivery: Delivery
) -> None:

    async def connect() -> ClientSession:
        return ClientSession(
            connector=TCPConnector(limit=IN_FLIGHT),
            headers=HEADERS,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None),
        )

    session = loop.run_until_complete(connect())

    async def ask(batch: Sequence[Flower]) -> list[Flower]:
        async with session.post(url, data=encode(batch)) as response:
            response.raise_for_status()
            return decode(batch, await response.read())

    async def ask_all(several: Sequence[Sequence[Flower]]) -> list[list[Flower]]:
        return await asyncio.gather(*[ask(batch) for batch in several])

    def score(wave: list[Flower]) -> list[Flower]:
        scored = loop.run_until_complete(ask_all(batches(wave)))
        return [flower for batch in scored for flower in batch]

    flow = Dataflow("flowers")
    scored = op.flat_map_batch("score", op.input("in", flow, Source(flowers)), score)
    op.output("out", scored, Sink(delivery))
    run_main(flow)
    loop.run_until_complete(session.close())
    loop.close()


def as_usual(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    in_waves(asyncio.new_event_loop(), url, flowers, delivery)


def on_uvloop(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    in_waves(uvloop.new_event_loop(), url, flowers, delivery)


flowers = make(int(sys.argv[1]))
serve({"bytewax": timed(as_usual, flowers), "bytewax, uvloop": timed(on_uvloop, flowers)})
