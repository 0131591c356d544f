"""The works of `scoring.py` in this process: a graph, and the bare loop that all stand beside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import aiohttp
import uvloop
from peers.flowers import (
    BATCH,
    FIELDS,
    HEADERS,
    IN_FLIGHT,
    Delivery,
    Flower,
    batches,
    decode,
    encode,
)

from thalweg import Graph, Sink
from thalweg.operators import score, sources

__all__ = ["score_all", "through_a_loop", "through_a_loop_encoded_beforehand", "through_thalweg"]


class Delivering(Sink[Flower]):
    """Hands whole batches to a delivery."""

    def __init__(self, delivery: Delivery) -> None:
        self._take = delivery.take

    async def write(self, records: Sequence[Flower]) -> None:
        self._take(records)


async def score_all(endpoint: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    """The graph as anyone would write it."""
    graph = Graph("scoring")
    scored = (
        graph.read("flowers", sources.records(flowers))
        .batch(BATCH)
        .via("score", score(endpoint, fields=FIELDS, max_in_flight=IN_FLIGHT))
    )
    scored.to("delivered", Delivering(delivery))
    async with graph.start() as job:
        await job.wait()


def through_thalweg(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    """The same to a deployment of Watson's, on a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(score_all(f"wml+{url}", flowers, delivery))


def through_a_loop(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    """What all are measured against."""
    work = [(batch, None) for batch in batches(flowers)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_post_all(url, iter(work), delivery))


def through_a_loop_encoded_beforehand(
    url: str, flowers: Sequence[Flower], delivery: Delivery, bodies: Sequence[bytes]
) -> None:
    """The same, without the work of encoding."""
    work = zip(batches(flowers), bodies, strict=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_post_all(url, work, delivery))


async def _post_all(
    url: str, work: Iterator[tuple[Sequence[Flower], bytes | None]], delivery: Delivery
) -> None:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=IN_FLIGHT),
        headers=HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        trust_env=False,
    ) as session:

        async def post() -> None:
            for batch, encoded in work:
                data = encode(batch) if encoded is None else encoded
                async with session.post(url, data=data, allow_redirects=False) as response:
                    if response.status != 200:
                        raise RuntimeError(f"the server answered {response.status}")
                    answer = await response.read()
                delivery.take(decode(batch, answer))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(post())
