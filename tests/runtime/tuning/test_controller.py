"""The controller against a simulated server: workers that take so long by the number of records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from thalweg import ThalwegError
from thalweg.operators import Throughput
from thalweg.runtime.tuning.controller import Controller
from thalweg.runtime.tuning.decisions import Decisions
from thalweg.runtime.tuning.dials import Dials
from thalweg.runtime.tuning.fit import Fit
from thalweg.runtime.tuning.meter import quantile
from thalweg.testing import run_virtual

from .scene import Scene, rate_of
from .workers import Workers

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


async def _best(workers: Callable[[], Workers], p99: float) -> float:
    """The best rate of a grid of settings whose p99 is within the bound."""
    best = 0.0
    for size in (64, 256, 512, 768, 1024):
        for calls in (4, 8, 12):
            async with Scene(workers()).job() as job:
                job.adjust("ask", max_in_flight=calls, max_batch_size=size)
                await asyncio.sleep(1.0)
                rate = await rate_of(job, 2.0)
                calls_seen = job.progress().node("ask").calls
                assert calls_seen is not None
                if calls_seen.p99 <= p99:
                    best = max(best, rate)
    return best


def _run(main: Callable[[], Awaitable[None]]) -> None:
    run_virtual(main)


@pytest.mark.parametrize("slower", [False, True])
def test_it_finds_the_best_setting_within_thirty_seconds_and_again_after_a_change(
    slower: bool,
) -> None:
    def now() -> Workers:
        return Workers()

    def later() -> Workers:
        return Workers(base=0.010, each=400e-6)

    async def main() -> None:
        goal = Throughput(p99=0.2, max_batch_size=2048)
        best = await _best(later if slower else now, goal.p99)
        scene = Scene(now(), goal)
        async with scene.job() as job:
            if slower:
                await asyncio.sleep(20.0)
                scene.workers.base, scene.workers.each = later().base, later().each
            await asyncio.sleep(30.0)
            since = asyncio.get_running_loop().time()
            rate = await rate_of(job, 10.0)
            assert rate >= 0.95 * best
            await asyncio.sleep(50.0)
            node = job.progress().node("ask")
            assert node.calls is not None
            # What is tried meanwhile included.
            took = sorted(seconds for at, seconds in scene.workers.took if at >= since)
            assert quantile(took, 0.99) <= goal.p99
            assert node.calls.tuning
            assert node.calls.max_batch_size != 64

    _run(main)


def test_it_never_stays_above_what_is_refused() -> None:
    async def main() -> None:
        scene = Scene(Workers(workers=16, most=10), Throughput(p99=0.5, max_batch_size=512))
        async with scene.job() as job:
            await asyncio.sleep(30.0)
            node = job.progress().node("ask")
            assert node.calls is not None
            assert node.calls.max_in_flight <= 10
            refused = node.calls.refused
            await asyncio.sleep(10.0)
            again = job.progress().node("ask").calls
            assert again is not None
            assert again.refused - refused <= 40

    _run(main)


def test_where_little_comes_the_linger_follows_and_nothing_else_is_judged() -> None:
    async def main() -> None:
        scene = Scene(Workers(), Throughput(p99=0.2), rate=500.0)
        async with scene.job() as job:
            await asyncio.sleep(20.0)
            calls = job.progress().node("ask").calls
            assert calls is not None
            assert calls.max_in_flight == 8
            assert calls.linger is not None
            assert calls.linger <= 0.05
            assert calls.limited_by is not None
            assert calls.limited_by.startswith(("linger", "input"))
            assert calls.tuning is not None
            assert "arrive" in calls.tuning

    _run(main)


def test_while_calls_come_to_nothing_nothing_is_learned_and_they_are_counted() -> None:
    async def main() -> None:
        scene = Scene(Workers(), Throughput(p99=0.2))
        async with scene.job() as job:
            await asyncio.sleep(20.0)
            before = job.progress().node("ask").calls
            scene.workers.down = True
            await asyncio.sleep(60.0)
            calls = job.progress().node("ask").calls
            assert before is not None
            assert calls is not None
            assert before.failed == 0
            assert calls.failed >= 8
            assert (calls.max_in_flight, calls.limited_by) == (
                before.max_in_flight,
                "server: connection refused",
            )

    _run(main)


def test_settings_are_changed_by_hand_while_the_job_runs() -> None:
    async def main() -> None:
        workers = Workers(workers=64)
        async with Scene(workers, Throughput()).job() as job:
            set_to = job.adjust("ask", max_in_flight=3, max_batch_size=10, linger=0.2)
            assert (set_to.max_in_flight, set_to.max_batch_size, set_to.linger) == (3, 10, 0.2)
            await asyncio.sleep(1.0)
            workers.worst = 0
            await asyncio.sleep(5.0)
            node = job.progress().node("ask")
            assert workers.worst == 3
            assert node.calls is not None
            assert node.calls.max_in_flight == 3  # What is set by hand, no controller turns.
            assert node.calls.limited_by is not None
            assert node.calls.limited_by.startswith("server: 3 calls are under way")
            job.adjust("ask", max_in_flight=20)
            await asyncio.sleep(1.0)
            assert workers.worst == 20
            with pytest.raises(ThalwegError, match="nothing to set"):
                job.adjust("out", max_in_flight=2)
            with pytest.raises(ThalwegError, match="Did you mean 'ask'"):
                job.adjust("aks", max_in_flight=2)
            with pytest.raises(ValueError, match="max_in_flight is 1 to"):
                job.adjust("ask", max_in_flight=0)

    _run(main)


def test_a_batch_tells_why_it_went() -> None:
    async def main() -> None:
        async with Scene(Workers(), rate=100.0).job() as job:
            await asyncio.sleep(10.0)
            cuts = next(one for one in job.progress().nodes if one.kind == "batch").cuts
            assert cuts.get("full", 0) < cuts["linger"] + cuts.get("starved", 0)

    _run(main)


@pytest.mark.parametrize("fed", [False, True])
def test_fewer_calls_than_there_may_be_are_a_lack_of_input_unless_there_is_always_more(
    fed: bool,
) -> None:
    now = 0.0
    set_to: list[Dials] = []
    decisions = Decisions()
    controller = Controller(
        Throughput(), Dials(8, 64, 0.05), set_to.append, lambda: now, decisions, fed=fed
    )
    for _ in range(60):  # One call at a time, of the eight that there may be.
        now += 0.01
        controller.answered(64, 0.01)
    controller.look()
    assert dict(decisions.trials) == ({"confirmed": 1} if fed else {"starved": 1})
    assert [dials.max_batch_size for dials in set_to] == ([128] if fed else [64])
    assert ("arrive" in controller.why) is not fed


def test_the_line_through_the_times_is_found() -> None:
    fit = Fit()
    for records in (64, 256, 1024):
        fit.note(records, 0.005 + 20e-6 * records)
    assert fit.base == pytest.approx(0.005)
    assert fit.each == pytest.approx(20e-6)
