"""Time: the wall clock may jump, and nothing of a job moves with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from thalweg import Context, Graph, Operator
from thalweg.runtime.actors import SinkActor
from thalweg.runtime.clock import Clock
from thalweg.runtime.job import Job
from thalweg.testing import PAUSE, CollectingSink, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Waking(Operator[int, float]):
    """Asks to be woken ten seconds after each record."""

    def __init__(self, now: list[Callable[[], float]]) -> None:
        self.now = now

    async def open(self, context: Context) -> None:
        self.due: list[float] = []

    def process(self, record: int) -> list[float]:
        self.due.append(self.now[0]() + 10)
        return []

    def wake_at(self) -> float | None:
        return self.due[0] if self.due else None

    def on_wake(self, now: float) -> list[float]:
        return [round(now - self.due.pop(0), 3)]

    def snapshot(self) -> bytes:
        return b""


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_wall_clock_that_jumps_moves_no_timer_and_no_latency(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    now: list[Callable[[], float]] = []
    at: list[float] = []

    class Times(CollectingSink[float]):
        async def write(self, records: object) -> None:
            at.append(asyncio.get_running_loop().time())

    async def main() -> None:
        graph, lingered = Graph("jumping"), Times()
        numbers = graph.read("numbers", scripted(1, PAUSE(3), 2, PAUSE(60), 3))
        numbers.via("waking", Waking(now), volatile=True).to("woken", woken)
        numbers.batch(100, linger=5.0).to("lingered", lingered)
        async with graph.start() as job:
            clock = job._clock  # pyright: ignore[reportPrivateUsage]
            assert clock is not None
            now.append(clock.now)
            await asyncio.sleep(1)
            monkeypatch.setattr(time, "time", lambda: real() + jump)
            await job.wait()
            assert job.progress().seconds == pytest.approx(63)
            _check_latencies(job)

    woken = CollectingSink[float]()
    run_virtual(main)
    # Woken when asked for; the third timer is not due when the stream ends.
    assert woken.records == [0.0, 0.0]
    assert at == [5.0, 63.0]


def _check_latencies(job: Job) -> None:
    (sink,) = (
        actor for actor in job.actors if isinstance(actor, SinkActor) and actor.name == "lingered"
    )
    assert sink.latency is not None
    assert sum(sink.latency.buckets) == 3
    # 1 lingered five seconds with 2, measured from the first of a batch; 3 went at the end.
    assert sink.latency.sum == pytest.approx(10.0)


def test_a_clock_begins_at_the_wall_clock_and_goes_on_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        clock = Clock(asyncio.get_running_loop(), wall=1_000_000_000.0)
        await asyncio.sleep(90)
        monkeypatch.setattr(time, "time", lambda: 0.0)
        assert clock.now() == 1_000_000_090.0
        assert clock.started == 1_000_000_000.0

    run_virtual(main)


def test_on_a_real_loop_a_clock_is_monotonic(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        clock = Clock(asyncio.get_running_loop())
        before, began = clock.now(), time.monotonic()
        assert abs(before - time.time()) < 1
        monkeypatch.setattr(time, "time", lambda: 0.0)
        await asyncio.sleep(0.01)
        assert 0.005 < clock.now() - before <= time.monotonic() - began + 0.001

    asyncio.run(main())
