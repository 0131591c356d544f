"""Progress may be read from any thread while the job runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator

import pytest

from thalweg import Graph
from thalweg.operators import sinks, sources


@pytest.fixture
def switching() -> Generator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.asyncio
@pytest.mark.usefixtures("switching")
async def test_reading_it_never_fails_and_never_runs_ahead() -> None:
    graph = Graph("flow", max_batch_size=1, channel_batches=512)
    numbers = graph.read("numbers", sources.records(range(20_000)))
    kept: list[int] = []
    numbers.map(lambda n: n + 1).filter(lambda n: n % 3).to("kept", sinks.collect(kept))
    ended = threading.Event()
    wrong: list[object] = []
    looks = 0
    job = graph.start()

    def look() -> None:
        nonlocal looks
        while not ended.is_set():
            looks += 1
            try:
                progress = job.progress()
            except Exception as error:
                wrong.append(error)
                return
            if not 0 <= progress.read <= 20_000:
                wrong.append(progress)

    looking = threading.Thread(target=look)
    async with job:
        looking.start()
        await job.wait()
    ended.set()
    looking.join()
    assert wrong == []
    assert looks > 10
    assert len(kept) == 13_334
