"""A union reads several channels as one and passes on each signal once."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from thalweg import Graph, Operator
from thalweg.runtime.batch import Batch
from thalweg.runtime.channel import Channel
from thalweg.runtime.job import Job
from thalweg.runtime.merge import Merge
from thalweg.runtime.receipt import Receipt
from thalweg.runtime.signals import Barrier, End, Signal, Watermark
from thalweg.testing import PAUSE, CollectingSink, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

Mark = tuple[int, str, int]
"""The epoch, the source and a number."""


class Inputs:
    """Some channels, and what comes out of their union, as words."""

    def __init__(self, count: int) -> None:
        self.channels = [
            Channel(f"c{n}", max_batches=100, max_records=1000, max_bytes=10**6)
            for n in range(count)
        ]
        self.merge = Merge(self.channels)

    async def put(self, index: int, *things: str | Signal) -> None:
        for thing in things:
            if isinstance(thing, str):
                await self.channels[index].put(Batch([thing], Receipt(), None, 0.0))
            else:
                await self.channels[index].signal(thing)

    def out(self) -> list[object]:
        items: list[object] = []
        while (item := self.merge.take()) is not None:
            items.append(item.records[0] if isinstance(item, Batch) else item)
        return items


async def _the_low_watermark() -> None:
    inputs = Inputs(2)
    await inputs.put(0, Watermark(5), "a", Watermark(9))
    assert inputs.out() == ["a"]
    await inputs.put(1, Watermark(3), Watermark(3), "b", Watermark(7))
    assert inputs.out() == [Watermark(3), "b", Watermark(7)]
    await inputs.put(1, Watermark(20))
    assert inputs.out() == [Watermark(9)]


async def _an_ended_input_holds_no_watermark_back() -> None:
    inputs = Inputs(2)
    await inputs.put(0, Watermark(5))
    await inputs.put(1, Watermark(1), End())
    assert inputs.out() == [Watermark(1), Watermark(5)]
    await inputs.put(0, End())
    assert inputs.out() == [End()]


async def _a_barrier_holds_its_input_back() -> None:
    inputs = Inputs(3)
    await inputs.put(0, "a1", Barrier(1), "a2")
    await inputs.put(1, Barrier(1), "b2", Barrier(2))
    assert inputs.out() == ["a1"]
    await inputs.put(2, "c1", "c1", Barrier(1), "c2")
    assert inputs.out() == ["c1", "c1", Barrier(1), "a2", "b2", "c2"]
    await inputs.put(0, Barrier(2))
    await inputs.put(2, Barrier(2))
    assert inputs.out() == [Barrier(2)]


async def _an_ended_input_counts_as_aligned() -> None:
    inputs = Inputs(2)
    await inputs.put(0, End())
    assert inputs.out() == []
    await inputs.put(1, "b", Barrier(1), "c")
    assert inputs.out() == ["b", Barrier(1), "c"]


async def _the_end_aligns_a_barrier_and_frees_a_watermark() -> None:
    inputs = Inputs(2)
    await inputs.put(0, Watermark(1))
    await inputs.put(1, Watermark(8), Barrier(1), "b")
    assert inputs.out() == [Watermark(1)]
    await inputs.put(0, End())
    # The watermark came before the barrier on the input that goes on.
    assert inputs.out() == [Watermark(8), Barrier(1), "b"]


async def _inputs_take_turns() -> None:
    inputs = Inputs(3)
    for index in range(3):
        await inputs.put(index, *(f"{index}{n}" for n in range(4)))
    assert [str(item)[0] for item in inputs.out()] == list("012" * 4)


@pytest.mark.parametrize(
    "scenario",
    [
        _the_low_watermark,
        _an_ended_input_holds_no_watermark_back,
        _a_barrier_holds_its_input_back,
        _an_ended_input_counts_as_aligned,
        _the_end_aligns_a_barrier_and_frees_a_watermark,
        _inputs_take_turns,
    ],
    ids=lambda scenario: scenario.__name__.strip("_"),
)
def test_in_a_union(scenario: Callable[[], Awaitable[None]]) -> None:
    run_virtual(scenario)


@pytest.mark.parametrize("seed", range(10))
def test_a_barrier_separates_what_came_before_on_every_input_from_what_came_after(
    seed: int,
) -> None:
    chance = random.Random(seed)

    def script(name: str) -> list[Mark | PAUSE | Signal]:
        values: list[Mark | PAUSE | Signal] = []
        for epoch in range(4):
            for number in range(chance.randrange(5)):
                values += [(epoch, name, number), PAUSE(chance.choice((0, 0.01, 0.1)))]
            values += [Watermark(float(epoch)), Barrier(epoch)]
        return values

    class Epochs(Operator[object, object]):
        """Says where the barriers stand, by what it has seen at each."""

        async def open(self, context: object) -> None:
            self.seen: list[object] = []

        def process(self, record: object) -> list[object]:
            self.seen.append(record)
            return [record]

        def snapshot(self) -> bytes:
            return repr(self.seen).encode()

    graph, out = Graph("aligned"), CollectingSink[object]()
    scripts = {name: script(name) for name in ("first", "second", "third")}
    first, *others = (graph.read(name, scripted(*values)) for name, values in scripts.items())
    first.union(*others).via("epochs", Epochs(), volatile=True).to("out", out)
    snapshots: dict[int, str] = {}

    async def main() -> None:
        job = Job(
            graph.plan(),
            on_snapshot=lambda epoch, node, memory: snapshots.update(
                {epoch: memory["operator"].decode()}
            ),
        )
        async with job:
            await job.wait()

    run_virtual(main, seed=seed)
    assert list(snapshots) == [0, 1, 2, 3]
    everything = [value for values in scripts.values() for value in values]
    for epoch, seen in snapshots.items():
        before = [value for value in everything if isinstance(value, tuple) and value[0] <= epoch]
        assert sorted(map(repr, before)) == sorted(map(repr, eval(seen)))
