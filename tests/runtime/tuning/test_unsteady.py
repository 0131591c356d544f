"""The controller against a server that is now quicker and now slower, as real ones are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from thalweg.operators import Throughput
from thalweg.runtime.tuning.controller import Controller
from thalweg.runtime.tuning.dials import Dials
from thalweg.runtime.tuning.trial import Trial
from thalweg.testing import run_virtual

from .scene import Scene, rate_of
from .workers import Workers

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@dataclass
class Unsteady(Workers):
    """Up to three tenths slower, for stretches of up to three seconds."""

    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._random = Random(self.seed)
        self._until = 0.0
        self._slower = 1.0

    def takes(self, records: int) -> float:
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            self._slower = 1.0 + 0.3 * self._random.random()
            self._until = now + self._random.uniform(0.3, 3.0)
        return super().takes(records) * self._slower * (1.0 + 0.1 * self._random.random())


@pytest.mark.parametrize("seed", [0, 2])
def test_it_stays_near_the_best_setting_where_times_vary(seed: int) -> None:
    async def main() -> None:
        async with Scene(Unsteady(seed=seed)).job() as job:
            job.adjust("ask", max_in_flight=8, max_batch_size=512)
            await asyncio.sleep(2.0)
            by_hand = await rate_of(job, 30.0)
        goal = Throughput(p99=0.2, max_batch_size=2048)
        async with Scene(Unsteady(seed=seed), goal).job() as job:
            await asyncio.sleep(30.0)
            shares = [await rate_of(job, 20.0) / by_hand for _ in range(3)]
        assert min(shares) >= 0.94

    run_virtual(main)


class Server:
    """Answers the calls of a controller's setting in the time that a function says."""

    def __init__(self, goal: Throughput, dials: Dials, takes: Callable[[Dials], float]) -> None:
        self.now = 0.0
        self._takes = takes
        self.tried = [dials]
        self.controller = Controller(goal, dials, self.tried.append, lambda: self.now)

    def run(self, seconds: float) -> None:
        """Let so many seconds pass, with all calls under way all the time."""
        until = self.now + seconds
        while self.now < until:
            dials = self.controller.dials
            took = self._takes(dials)
            self.now += took
            for _ in range(dials.max_in_flight):
                self.controller.answered(dials.max_batch_size or 1, took)
            self.controller.look()


def test_a_step_back_that_helped_nothing_is_followed_by_one_of_the_other_kind() -> None:
    # By the sizes that it has seen, a call is all base; and then only the records take time.
    server = Server(
        Throughput(p99=0.1, max_in_flight=8),
        Dials(8, 256, 0.05),
        lambda dials: 0.15 * (dials.max_batch_size or 0) / 256,
    )
    server.controller.fit.note(128, 0.15)
    server.controller.fit.note(512, 0.15)
    server.run(20.0)
    first, second = server.tried[1:3]
    assert (first.max_in_flight < 8, first.max_batch_size) == (True, 256)
    assert (second.max_in_flight, second.max_batch_size) == (8, 153)
    assert server.controller.dials.max_in_flight == 8


def test_what_was_cut_larger_before_says_nothing_of_a_setting() -> None:
    trial = Trial(Dials(2, 100, None), 0.0, bound=0.1)
    trial.answered(100, 0.05, 0.01)
    for _ in range(3):
        trial.answered(200, 0.3, 0.02)
    assert trial.done(0.1) is None
    for number in range(30):
        trial.answered(100, 0.05, 0.05 + 0.025 * number)
    measured = trial.done(0.8)
    assert measured is not None
    assert (measured.p99, measured.full) == (0.05, 1.0)
