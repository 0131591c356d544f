"""Chains of plain functions: errors one by one, any number of results, and turns for the others."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from thalweg import DeadLetter, Graph, JobFailed, Sink, Stream
from thalweg.operators import sinks
from thalweg.runtime.actors import Actor
from thalweg.runtime.progress import Progress
from thalweg.testing import CollectingSink, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def _run(graph: Graph) -> Progress:
    async def main() -> Progress:
        async with graph.start() as job:
            await job.wait()
        return job.progress()

    return run_virtual(main)


def _numbers(count: int, **options: Any) -> tuple[Graph, Stream[int]]:
    graph = Graph("chain", **options)
    return graph, graph.read("numbers", scripted(*range(count)))


# Errors


def _stop_at_3(number: int) -> int:
    if number == 3:
        raise StopIteration(number)
    return number


def _wire(kind: str, numbers: Stream[int]) -> Stream[Any]:
    match kind:
        case "map":
            return numbers.map(_stop_at_3, name="node")
        case "filter":
            return numbers.filter(lambda n: _stop_at_3(n) >= 0, name="node")
        case "flat_map":
            return numbers.flat_map(lambda n: [_stop_at_3(n)], name="node")
        case "lazy":
            return numbers.flat_map(lambda n: (_stop_at_3(one) for one in [n]), name="node")
        case _:
            return numbers.split(lambda n: _stop_at_3(n) >= 0, name="node").matching


@pytest.mark.parametrize("max_batch_size", [1, 2, 4, 7, 100])
@pytest.mark.parametrize("kind", ["map", "filter", "flat_map", "lazy"])
def test_stop_iteration_of_a_function_is_an_error_of_its_record_alone(
    kind: str, max_batch_size: int
) -> None:
    graph, numbers = _numbers(8, max_batch_size=max_batch_size)
    out, failed = CollectingSink[int](), CollectingSink[DeadLetter]()
    _wire(kind, numbers).to("out", out)
    graph.failed.to("failed", failed)
    _run(graph)
    assert out.records == [0, 1, 2, 4, 5, 6, 7]
    assert [(one.record, one.origin and one.origin.position) for one in failed.records] == [(3, 3)]
    assert failed.records[0].error.type in ("RuntimeError", "StopIteration")


def test_stop_iteration_of_a_split_is_an_error_of_its_record_alone() -> None:
    graph, numbers = _numbers(8)
    out, failed = CollectingSink[int](), CollectingSink[DeadLetter]()
    matching, rest = numbers.split(lambda n: _stop_at_3(n) % 2)
    matching.union(rest).to("out", out)
    graph.failed.to("failed", failed)
    _run(graph)
    assert sorted(out.records) == [0, 1, 2, 4, 5, 6, 7]
    assert [one.record for one in failed.records] == [3]


@pytest.mark.parametrize("max_batch_size", [1, 3, 50])
@pytest.mark.parametrize("fuse", [True, False])
def test_each_stage_of_a_chain_fails_for_itself_with_the_record_it_got(
    max_batch_size: int, fuse: bool
) -> None:
    def refuse(which: int, number: int) -> int:
        if number % 10 == which:
            raise ValueError(f"{which}")
        return number

    graph, numbers = _numbers(50, max_batch_size=max_batch_size, fuse=fuse)
    out, failed = CollectingSink[int](), CollectingSink[DeadLetter]()
    stream = (
        numbers.map(lambda n: refuse(1, n) + 100, name="first")
        .filter(lambda n: refuse(2, n) % 10 != 5, name="second")
        .flat_map(lambda n: [refuse(3, n), n + 1000], name="third")
        .map(lambda n: refuse(4, n), name="fourth")
    )
    stream.to("out", out)
    graph.failed.to("failed", failed)
    _run(graph)
    found = {
        (one.node, one.record, one.origin.position)
        for one in failed.records
        if one.origin is not None
    }
    expected: set[tuple[str, object, int | None]] = set()
    for ten in range(0, 50, 10):
        expected |= {
            ("first", ten + 1, ten + 1),
            ("second", ten + 102, ten + 2),
            ("third", ten + 103, ten + 3),
            ("fourth", ten + 104, ten + 4),
            ("fourth", ten + 1104, ten + 4),
        }
    assert found == expected
    assert len(failed.records) == 25
    assert out.records == [
        one for n in range(50) if n % 10 not in (1, 2, 3, 4, 5) for one in (n + 100, n + 1100)
    ]


def test_below_a_batch_function_a_dead_letter_tells_a_stretch_that_is_true() -> None:
    graph, numbers = _numbers(40, max_batch_size=8)
    failed = CollectingSink[DeadLetter]()

    def picky(number: int) -> int:
        if number == 21:
            raise ValueError("poison")
        return number

    stream = numbers.map_batch(lambda batch: sorted(batch, reverse=True)[:5], name="five")
    stream.map(picky, name="picky").to("out", CollectingSink())
    graph.failed.to("failed", failed)
    _run(graph)
    (letter,) = failed.records
    assert letter.origin is not None
    assert (letter.origin.position, letter.origin.through) == (16, 23)
    assert str(letter.origin) == "numbers, between records 16 and 23"


def test_a_failing_batch_function_makes_each_record_of_the_batch_a_dead_letter() -> None:
    graph, numbers = _numbers(12, max_batch_size=4)
    out, failed = CollectingSink[int](), CollectingSink[DeadLetter]()

    def whole(batch: list[int]) -> list[int]:
        if 5 in batch:
            raise ValueError("poison")
        return [sum(batch)]

    numbers.map_batch(whole, name="whole").to("out", out)
    graph.failed.to("failed", failed)
    _run(graph)
    assert out.records == [6, 38]
    assert [(one.record, one.origin and one.origin.position) for one in failed.records] == [
        (n, n) for n in (4, 5, 6, 7)
    ]


@pytest.mark.parametrize("kind", ["map", "filter", "flat_map", "map_batch", "split"])
@pytest.mark.parametrize("wired", [True, False])
def test_a_plain_function_that_returns_a_coroutine_fails_the_job_and_says_why(
    kind: str, wired: bool
) -> None:
    async def later(record: object) -> list[int]:
        return [1]

    graph, numbers = _numbers(5)
    function: Callable[[Any], Any] = lambda record: later(record)  # noqa: E731
    stream: Stream[Any]
    match kind:
        case "map":
            stream = numbers.map(function, name="node")
        case "filter":
            stream = numbers.filter(function, name="node")
        case "flat_map":
            stream = numbers.flat_map(function, name="node")
        case "map_batch":
            stream = numbers.map_batch(function, name="node")
        case _:
            split = numbers.split(function, name="node")
            stream = split.matching.union(split.rest)
    stream.to("out", CollectingSink())
    if wired:
        graph.failed.to("failed", CollectingSink())
    with pytest.raises(JobFailed, match=r"'node'.* returned a coroutine that nobody awaits"):
        _run(graph)


# Any number of results


class Sizes(Sink[int]):
    """How large the batches were, and the sum of the records."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.sums: list[int] = []

    async def write(self, records: Sequence[int]) -> None:
        self.sizes.append(len(records))
        self.sums.append(sum(records))


def test_a_million_records_from_one_take_no_more_memory_than_a_few_batches() -> None:
    count = 1_000_000
    peak = 0

    class Slow(Sizes):
        async def write(self, records: Sequence[int]) -> None:
            nonlocal peak
            if len(self.sizes) == 2000:
                peak = tracemalloc.get_traced_memory()[0]
            await super().write(records)
            await asyncio.sleep(0)

    graph, out = Graph("many", max_batch_size=256, channel_batches=16, channel_records=4096), Slow()
    numbers = graph.read("numbers", scripted(count))
    numbers.flat_map(lambda n: iter(range(n))).map(lambda n: n).to("out", out)
    graph.failed.to("failed", CollectingSink())
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        _run(graph)
    finally:
        tracemalloc.stop()
    assert sum(out.sizes) == count
    assert sum(out.sums) == count * (count - 1) // 2
    assert max(out.sizes) <= 256
    assert 0 < peak - before < 4_000_000


def test_a_flat_map_that_breaks_in_the_middle_keeps_what_came_before() -> None:
    def some(number: int) -> Iterator[tuple[int, int]]:
        for index in range(10):
            if number == 1 and index == 7:
                raise ValueError("enough")
            yield number, index

    for limit in (1, 3, 7, 8, 100):
        graph, numbers = _numbers(3, max_batch_size=limit)
        out, failed = CollectingSink[tuple[int, int]](), CollectingSink[DeadLetter]()
        numbers.flat_map(some).to("out", out)
        graph.failed.to("failed", failed)
        progress = _run(graph)
        assert out.records == [(n, i) for n in range(3) for i in range(10) if n != 1 or i < 7]
        assert [one.record for one in failed.records] == [1]
        assert progress.read == progress.settled == 3


# Turns


class Ticker:
    """A timer on the same loop: how late it was at worst."""

    def __init__(self, every: float) -> None:
        self.every = every
        self.worst = 0.0
        self.ticks = 0

    async def run(self) -> None:
        while True:
            due = time.monotonic() + self.every
            await asyncio.sleep(self.every)
            self.worst = max(self.worst, time.monotonic() - due)
            self.ticks += 1


def _worst(graph: Graph) -> tuple[float, int]:
    async def main() -> tuple[float, int]:
        ticker = Ticker(0.005)
        task = asyncio.create_task(ticker.run())
        async with graph.start() as job:
            await job.wait()
        task.cancel()
        await asyncio.wait([task])
        return ticker.worst, ticker.ticks

    return asyncio.run(main())


@pytest.mark.parametrize("kind", ["map", "filter", "flat_map", "split", "operator", "records"])
def test_a_chain_that_never_awaits_lets_timers_fire(kind: str) -> None:
    # On real time, on a machine that may be busy with other things: a chain that holds the loop
    # does so every time, a neighbour's work only sometimes.
    worst, ticks = min(_worst(_slow_graph(kind)) for _ in range(3))
    assert worst < 0.2
    assert ticks >= 10


def _slow_graph(kind: str) -> Graph:
    """256 records of 2 ms and more, none of which awaits anything."""
    from thalweg import Operator

    def slow(number: int) -> int:
        time.sleep(0.002)
        return number

    class Slow(Operator[int, int]):
        def process(self, record: int) -> Iterator[int]:
            yield slow(record)

    def many(number: int) -> Iterator[int]:
        return iter(range(1_000_000))

    graph, numbers = _numbers(256)
    stream: Stream[int]
    match kind:
        case "map":
            stream = numbers.map(slow)
        case "filter":
            stream = numbers.filter(slow)
        case "flat_map":
            stream = numbers.flat_map(lambda n: [slow(n)])
        case "split":
            split = numbers.split(slow)
            stream = split.matching.union(split.rest)
        case "operator":
            stream = numbers.via("slow", Slow())
        case _:
            graph = Graph("many")
            stream = graph.read("numbers", scripted(1)).flat_map(many).map(lambda n: n)
    stream.to("out", Sizes())
    return graph


@pytest.mark.parametrize("kind", ["filter", "flat_map", "small", "bad"])
def test_the_latency_of_a_fused_sink_counts_what_reached_it(kind: str) -> None:
    seen: list[int] = []

    def reject(number: int) -> None:
        if kind == "bad" and number % 10 == 7:
            raise ValueError(number)
        seen.append(number)

    graph = Graph("fused", max_batch_size=1 if kind == "small" else 512)
    numbers = graph.read("numbers", scripted(*range(100)))
    kept = numbers.filter(lambda n: n % 3 == 0)
    if kind == "flat_map":
        kept = kept.flat_map(lambda n: [n, n])
    kept.to("out", sinks.each(reject))
    graph.failed.to("failed", CollectingSink())

    async def main() -> Actor:
        async with graph.start() as job:
            await job.wait()
        return next(actor for actor in job.actors if actor.nodes[-1].name == "out")

    actor = run_virtual(main)
    assert len(actor.nodes) > 1  # It is fused.
    assert actor.latency is not None
    assert sum(actor.latency.buckets) == len(seen)
