"""Where the time of the actors went, also while they wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from thalweg import BatchFunction, Graph
from thalweg.operators import sources
from thalweg.runtime.progress import Progress
from thalweg.testing import PAUSE, CollectingSink, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def _times(progress: Progress, node: str) -> tuple[int, int, int]:
    """Busy, waiting for input, waiting for output; in whole seconds."""
    one = progress.node(node)
    return (
        round(one.seconds_busy),
        round(one.seconds_waiting_for_input),
        round(one.seconds_waiting_for_output),
    )


def test_a_wait_counts_while_it_goes_on() -> None:
    class Slow(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            await asyncio.sleep(50.0)

    seen: list[Progress] = []

    async def main() -> None:
        graph = Graph("slow", max_batch_size=1, channel_batches=2)
        graph.read("numbers", scripted(*range(40), PAUSE(100_000))).to("out", Slow())
        async with graph.start() as job:
            for seconds in (40.0, 10_000.0):
                await asyncio.sleep(seconds)
                seen.append(job.progress())

    run_virtual(main)
    held_up, idle = seen
    assert _times(held_up, "numbers") == (0, 0, 40)
    assert _times(held_up, "out") == (40, 0, 0)
    assert held_up.bottleneck == "out"
    assert _times(idle, "out") == (2000, 8040, 0)


def test_what_a_sink_writes_in_the_turns_of_its_sender_is_the_sinks_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    class Working(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            nonlocal now
            now += 0.0001  # By the clock of the job; nothing else takes any time.

    class Answering(BatchFunction[int, int]):
        async def call(self, records: Sequence[int]) -> Sequence[int]:
            await asyncio.sleep(0)
            return records

    async def main() -> Progress:
        graph = Graph("working", max_batch_size=1)
        numbers = graph.read("numbers", sources.records(list(range(1000))))
        numbers.via("call", Answering()).to("out", Working())
        async with graph.start() as job:
            await job.wait()
        return job.progress()

    clocks = SimpleNamespace(monotonic=lambda: now, time=time.time)
    monkeypatch.setattr("thalweg.runtime.clock.time", clocks)
    progress = asyncio.run(main())
    assert progress.bottleneck == "out"
    assert progress.node("out").seconds_busy == pytest.approx(0.1)
    assert progress.node("call").seconds_busy == pytest.approx(0.0)
