"""A loop leaves moments to its threads while it awaits them, and never else."""

from __future__ import annotations

import asyncio
import time

import pytest

from thalweg.runtime.handover import Handover
from thalweg.testing import run_virtual


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The virtual times at which a loop that is always busy left a moment."""
    left: list[float] = []

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 1e-4
        left.append(asyncio.get_running_loop().time())

    monkeypatch.setattr("thalweg.runtime.handover.time.sleep", sleep)
    monkeypatch.setattr("thalweg.runtime.handover.time.thread_time", time.perf_counter)
    return left


def test_moments_are_left_often_at_first_and_then_seldom(moments: list[float]) -> None:
    async def main() -> None:
        with Handover(asyncio.get_running_loop()):
            await asyncio.sleep(0.0995)
            assert len(moments) == 99
            await asyncio.sleep(1.0)
            assert len(moments) == pytest.approx(100 + 50, abs=1)

    run_virtual(main)


def test_a_loop_that_waits_is_left_alone(
    moments: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.runtime.handover.time.thread_time", lambda: 0.0)

    async def main() -> None:
        with Handover(asyncio.get_running_loop()):
            await asyncio.sleep(0.1)
            assert moments == []
            monkeypatch.setattr("thalweg.runtime.handover.time.thread_time", time.perf_counter)
            await asyncio.sleep(0.1)
            assert len(moments) > 90

    run_virtual(main)


def test_a_call_that_begins_is_given_them_often_again(moments: list[float]) -> None:
    async def main() -> None:
        hands = Handover(asyncio.get_running_loop())
        with hands:
            await asyncio.sleep(0.515)
            before = len(moments)
            with hands:
                await asyncio.sleep(0.0105)
            assert len(moments) - before == 10
            await asyncio.sleep(0.01)
            assert len(moments) - before == 20

    run_virtual(main)


def test_nothing_is_left_behind_when_the_last_call_is_over(moments: list[float]) -> None:
    async def main() -> float:
        hands = Handover(asyncio.get_running_loop())
        for _ in range(2):
            with hands, hands:
                await asyncio.sleep(0.005)
            here = len(moments)
            await asyncio.sleep(1.0)
            assert len(moments) == here
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == pytest.approx(2.01)
    assert moments


def test_a_thread_gets_on_beside_a_loop_that_is_always_busy() -> None:
    """Without it 100 calls of the system took 0.3 to 3 s here; with it 0.1 s."""

    async def busy() -> None:
        while True:
            until = time.perf_counter() + 0.001
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    def work() -> str:
        for _ in range(100):
            time.sleep(0.0002)
        return "done"

    async def main() -> str:
        loop = asyncio.get_running_loop()
        others = asyncio.create_task(busy())
        with Handover(loop):
            async with asyncio.timeout(20):
                done = await loop.run_in_executor(None, work)
        others.cancel()
        return done

    assert asyncio.run(main()) == "done"
