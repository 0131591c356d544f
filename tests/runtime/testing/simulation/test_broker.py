"""The simulated broker, without a simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from thalweg import Graph
from thalweg.testing import (
    SOURCE_CHECKS,
    BrokerSource,
    CollectingSink,
    SourceCase,
    broker,
    context,
    run_virtual,
)


@pytest.mark.parametrize("check", SOURCE_CHECKS)
@pytest.mark.asyncio
async def test_it_keeps_to_the_rules(
    check: Callable[[SourceCase[Any]], Coroutine[Any, Any, None]],
) -> None:
    messages = {"a": list(range(30))}

    def make() -> BrokerSource[int]:
        return broker(messages, prefetch=1000)

    await check(SourceCase(make, expected=range(30), repeatable=False))


def test_what_was_not_acked_is_delivered_again_in_its_order() -> None:
    async def main() -> None:
        source = broker(["a", "b", "c", "d"], prefetch=3)
        await source.open(context())
        read = await source.read(10)
        assert read is not None
        assert (list(read.records), list(read.positions)) == (["a", "b", "c"], [0, 1, 2])
        await source.ack("", 0)
        source.lose_connection()
        read = await source.read(2)
        assert read is not None
        # At positions of their own: the source counts on.
        assert (list(read.records), list(read.positions)) == (["b", "c"], [3, 4])
        await source.ack("", 2)  # Of the connection that was lost.
        assert source.acked == {"": ["a"]}
        await source.ack("", 4)
        assert source.acked == {"": ["a", "b", "c"]}
        assert source.deliveries == 5

    run_virtual(main)


def test_no_more_is_delivered_than_the_prefetch_allows() -> None:
    async def main() -> None:
        source = broker({"x": [1, 2, 3], "y": [4]}, prefetch=1)
        await source.open(context())
        for _ in range(2):
            await source.read(10)
        waiting = asyncio.ensure_future(source.read(10))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        await source.ack("x", 0)
        read = await waiting
        assert read is not None
        assert (read.lane, list(read.records)) == ("x", [2])

    run_virtual(main)


def test_a_lost_connection_wakes_who_waits_for_an_ack() -> None:
    async def main() -> None:
        source = broker([1, 2], prefetch=1)
        await source.open(context())
        await source.read(1)
        waiting = asyncio.ensure_future(source.read(1))
        await asyncio.sleep(1.0)
        source.lose_connection()
        read = await waiting
        assert read is not None
        assert list(read.records) == [1]

    run_virtual(main)


def test_without_a_store_it_is_acked_what_has_arrived() -> None:
    source, out = broker({"x": [1, 2, 3], "y": [4]}, prefetch=1), CollectingSink[int]()
    graph = Graph("plain")
    graph.read("messages", source).to("out", out)

    async def main() -> None:
        async with graph.start() as job:
            await job.wait()

    run_virtual(main)
    assert sorted(out.records) == [1, 2, 3, 4]
    assert source.acked == {"x": [1, 2, 3], "y": [4]}


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="prefetch is 1 or more, not 0"):
        broker([1], prefetch=0)
    with pytest.raises(ValueError, match="pace is a number of seconds, 0 or more, not -1"):
        broker([1], pace=-1)
