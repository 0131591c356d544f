"""The works of `records.py` in this process: graphs, and pipelines of `asyncio.Queue`s."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice

import uvloop
from peers.readings import Count, Reading, convert, judge, keep

from thalweg import Graph
from thalweg.operators import sinks, sources

__all__ = [
    "Work",
    "one_by_one_through_queues",
    "one_by_one_through_thalweg",
    "through_queues",
    "through_thalweg",
    "through_two_queues",
]

BY = 64
SIZE = 16

Work = Callable[[list[Reading]], int]


def through_thalweg(readings: list[Reading]) -> int:
    """The graph as anyone would write it, with default settings."""
    counted = Count()
    graph = Graph("readings")
    stream = graph.read("readings", sources.records(readings))
    stream.map(convert).filter(keep).map(judge).to("count", sinks.each(counted.add))
    _run(graph)
    return counted.count


def through_queues(readings: list[Reading]) -> int:
    """The usual pipeline on asyncio: lists of 64, a task for each step, queues between."""
    counted = Count()
    _on_uvloop(lambda: _pipeline_by_list(readings, counted))
    return counted.count


def through_two_queues(readings: list[Reading]) -> int:
    """The same, its steps put together by hand: one task does what the bare loop does."""
    counted = Count()
    _on_uvloop(lambda: _fused_pipeline(readings, counted))
    return counted.count


async def _pipeline_by_list(readings: list[Reading], counted: Count) -> None:
    first, second, third, fourth = [_queue() for _ in range(4)]
    add = counted.add

    async def read() -> None:
        rest = iter(readings)
        while batch := list(islice(rest, BY)):
            await first.put(batch)
        await first.put(None)

    async def step(
        before: asyncio.Queue[list[Reading] | None],
        work: Callable[[list[Reading]], list[Reading]],
        after: asyncio.Queue[list[Reading] | None],
    ) -> None:
        while (batch := await before.get()) is not None:
            await after.put(work(batch))
        await after.put(None)

    async def write() -> None:
        while (batch := await fourth.get()) is not None:
            for reading in batch:
                add(reading)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        tasks.create_task(step(first, lambda batch: [convert(one) for one in batch], second))
        tasks.create_task(step(second, lambda batch: [one for one in batch if keep(one)], third))
        tasks.create_task(step(third, lambda batch: [judge(one) for one in batch], fourth))
        tasks.create_task(write())


async def _fused_pipeline(readings: list[Reading], counted: Count) -> None:
    first, second = _queue(), _queue()
    add = counted.add

    async def read() -> None:
        rest = iter(readings)
        while batch := list(islice(rest, BY)):
            await first.put(batch)
        await first.put(None)

    async def work() -> None:
        while (batch := await first.get()) is not None:
            judged: list[Reading] = []
            for reading in batch:
                converted = convert(reading)
                if keep(converted):
                    judged.append(judge(converted))
            await second.put(judged)
        await second.put(None)

    async def write() -> None:
        while (batch := await second.get()) is not None:
            for reading in batch:
                add(reading)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        tasks.create_task(work())
        tasks.create_task(write())


def _queue() -> asyncio.Queue[list[Reading] | None]:
    return asyncio.Queue(SIZE)


def one_by_one_through_thalweg(readings: list[Reading]) -> int:
    """One record a batch, an actor for each function."""
    counted = Count()
    graph = Graph("readings", max_batch_size=1, fuse=False)
    stream = graph.read("readings", sources.records(readings))
    stream.map(convert).filter(keep).map(judge).to("count", sinks.each(counted.add))
    _run(graph)
    return counted.count


def one_by_one_through_queues(readings: list[Reading]) -> int:
    """One record at a time, a task for each function, `asyncio.Queue(16)` between."""
    counted = Count()
    add = counted.add

    async def main() -> None:
        queues: list[asyncio.Queue[Reading | None]] = [asyncio.Queue(SIZE) for _ in range(4)]
        first, second, third, fourth = queues

        async def read() -> None:
            for reading in readings:
                await first.put(reading)
            await first.put(None)

        async def apply(
            before: asyncio.Queue[Reading | None],
            function: Callable[[Reading], Reading],
            after: asyncio.Queue[Reading | None],
        ) -> None:
            while (reading := await before.get()) is not None:
                await after.put(function(reading))
            await after.put(None)

        async def sift() -> None:
            while (reading := await second.get()) is not None:
                if keep(reading):
                    await third.put(reading)
            await third.put(None)

        async def write() -> None:
            while (reading := await fourth.get()) is not None:
                add(reading)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            tasks.create_task(apply(first, convert, second))
            tasks.create_task(sift())
            tasks.create_task(apply(third, judge, fourth))
            tasks.create_task(write())

    _on_uvloop(main)
    return counted.count


def _run(graph: Graph) -> None:
    async def main() -> None:
        async with graph.start() as job:
            await job.wait()

    _on_uvloop(main)


def _on_uvloop(main: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(body())
