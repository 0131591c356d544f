"""A union reads several channels as one and passes on each signal once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from thalweg import Graph, Operator, State
from thalweg.runtime.batch import Batch
from thalweg.runtime.channel import Channel
from thalweg.runtime.checkpoints.head import Head
from thalweg.runtime.merge import Merge
from thalweg.runtime.receipt import Receipt
from thalweg.runtime.signals import Barrier, End, Signal, Watermark
from thalweg.runtime.stores import Checkpoint
from thalweg.testing import PAUSE, CollectingSink, MemoryStore, run_virtual, scripted

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


async def _an_idle_input_holds_no_watermark_back() -> None:
    inputs = Inputs(3)
    await inputs.put(0, Watermark(5))
    await inputs.put(1, Watermark(1))
    await inputs.put(2, Watermark(3))
    assert inputs.out() == [Watermark(1)]
    await inputs.put(1, Watermark(1, idle=True))
    assert inputs.out() == [Watermark(3)]
    # It returns, and is waited for again; what has been told is not taken back.
    await inputs.put(1, Watermark(1), "b")
    await inputs.put(2, Watermark(9))
    assert inputs.out() == ["b"]
    await inputs.put(1, Watermark(4))
    assert inputs.out() == [Watermark(4)]


async def _inputs_that_are_all_idle_are_idle_together() -> None:
    inputs = Inputs(3)
    await inputs.put(0, Watermark(5))
    await inputs.put(1, Watermark(float("-inf"), idle=True))
    assert inputs.out() == []
    await inputs.put(2, End())
    assert inputs.out() == [Watermark(5)]
    await inputs.put(0, Watermark(5, idle=True))
    assert inputs.out() == [Watermark(5, idle=True)]
    await inputs.put(1, Watermark(float("-inf")), "b")
    assert inputs.out() == [Watermark(5), "b"]
    await inputs.put(1, Watermark(7))
    assert inputs.out() == [Watermark(7)]
    await inputs.put(1, End())
    assert inputs.out() == [Watermark(7, idle=True)]


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


async def _what_a_barrier_holds_back_is_not_there_yet() -> None:
    # Else an actor that asks before it waits would ask for ever, and nobody else had a turn.
    inputs = Inputs(2)
    await inputs.put(0, Barrier(1), Watermark(3), "a")
    assert inputs.merge.ready()
    assert inputs.out() == []
    assert not inputs.merge.ready()
    await inputs.put(1, Barrier(1))
    assert inputs.merge.ready()
    assert inputs.out() == [Barrier(1), "a"]
    await inputs.put(1, Watermark(4), End())
    assert inputs.out() == [Watermark(3)]
    assert not inputs.merge.ready()


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
        _an_idle_input_holds_no_watermark_back,
        _inputs_that_are_all_idle_are_idle_together,
        _a_barrier_holds_its_input_back,
        _what_a_barrier_holds_back_is_not_there_yet,
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
    taken: list[Counter[str]] = []

    def script(name: str) -> list[str | PAUSE]:
        values: list[str | PAUSE] = []
        for _ in range(chance.randrange(30)):
            values += [name, PAUSE(chance.choice((0, 0.01, 0.1)))]
        return values

    class Seen(Operator[str, str]):
        async def open(self, context: object) -> None:
            self.seen: Counter[str] = Counter()

        def process(self, record: str) -> list[str]:
            self.seen[record] += 1
            return [record]

        def snapshot(self) -> bytes:
            taken.append(self.seen.copy())
            return b""

    class Looking(MemoryStore):
        """Looks at what is saved: positions and memory must tell of the same records."""

        async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
            head = Head.decode(checkpoint.head)
            positions = {name: lanes[""].last + 1 for name, lanes in head.bookmarks.items()}
            # One that has ended is not asked for a snapshot: it has nothing more to remember.
            assert "seen" in head.ended or +taken[-1] == +Counter(positions)
            await asyncio.sleep(chance.choice((0, 0.03)))
            await super().save(checkpoint, keep=keep)

    graph, out = Graph("aligned"), CollectingSink[str]()
    scripts = {name: script(name) for name in ("first", "second", "third")}
    first, *others = (
        graph.read(name, scripted(*values, one_by_one=True)) for name, values in scripts.items()
    )
    first.union(*others).via("seen", Seen()).to("out", out)

    async def main() -> int:
        async with graph.start(state=State(Looking(), interval=0.05)) as job:
            await job.wait()
        epochs = job.progress().epochs
        assert epochs is not None
        return epochs.taken

    epochs = run_virtual(main, seed=seed)
    assert epochs - 2 <= len(taken) <= epochs
