"""The clock of a virtual-time loop, the order of its turns, and what it leaves behind."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine

import anyio
import pytest

from thalweg.testing import DeadlockError, VirtualTimeLoop, run_virtual


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_an_hour_of_timers_takes_no_time() -> None:
    async def hour() -> float:
        for _ in range(3600):
            await asyncio.sleep(1)
        return _now()

    began = time.perf_counter()
    assert run_virtual(hour) == 3600.0
    assert time.perf_counter() - began < 2.0


def test_the_clock_begins_at_zero_and_stops_exactly_at_each_timer() -> None:
    async def main() -> list[float]:
        seen = [_now()]

        async def nap(until: float) -> None:
            loop = asyncio.get_running_loop()
            woken = loop.create_future()
            loop.call_at(until, woken.set_result, None)
            await woken
            seen.append(_now())

        await asyncio.gather(nap(0.3), nap(0.1), nap(7.7))
        return seen

    assert run_virtual(main) == [0.0, 0.1, 0.3, 7.7]


def test_the_clock_does_not_pass_a_timer_that_nobody_set() -> None:
    async def main() -> float:
        asyncio.get_running_loop().call_later(100.0, lambda: None)
        await asyncio.sleep(1.0)
        for _ in range(10):
            await asyncio.sleep(0)
        return _now()

    assert run_virtual(main) == 1.0


def test_a_cancelled_timer_does_not_move_the_clock() -> None:
    async def main() -> float:
        async with asyncio.timeout(50.0):
            await asyncio.sleep(1.0)
        await asyncio.sleep(2.0)
        return _now()

    assert run_virtual(main) == 3.0


def test_timers_of_one_moment_fire_in_the_order_of_asking() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        fired: list[int] = []
        for number in range(500):
            loop.call_at(5.0 if number % 2 else 4.0, fired.append, number)
        await asyncio.sleep(6.0)
        return fired

    assert run_virtual(main) == [*range(0, 500, 2), *range(1, 500, 2)]


def test_timers_work_when_the_clock_is_too_far_for_nanoseconds() -> None:
    async def main() -> float:
        await asyncio.sleep(40 * 365 * 86_400.0)
        for _ in range(10):
            await asyncio.sleep(0.25)
        return _now()

    assert run_virtual(main) == 40 * 365 * 86_400.0 + 2.5


def test_a_sleep_for_ever_is_no_timer() -> None:
    async def main() -> None:
        await asyncio.sleep(3.0)
        await anyio.sleep_forever()

    with pytest.raises(DeadlockError, match="sleep_forever"):
        run_virtual(main)


def test_a_sleep_for_ever_can_be_cancelled() -> None:
    async def main() -> str:
        with anyio.move_on_after(5.0):
            await asyncio.sleep(math.inf)
        return f"moved on at {_now()}"

    assert run_virtual(main) == "moved on at 5.0"


def _turns(seed: int | None, *, plain_tasks: bool = False) -> list[str]:
    """The order in which ten tasks take three turns, with a plain callback between each two."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        if plain_tasks:
            python_task = asyncio.tasks._PyTask  # type: ignore[attr-defined]

            def factory(
                loop: asyncio.AbstractEventLoop,
                coro: Coroutine[object, object, object],
                **options: object,
            ) -> asyncio.Future[object]:
                return python_task(coro, loop=loop, **options)  # type: ignore[no-any-return]

            loop.set_task_factory(factory)  # type: ignore[arg-type]
        seen: list[str] = []

        async def take_turns(number: int) -> None:
            for _ in range(3):
                seen.append(f"task {number}")
                await asyncio.sleep(0)

        tasks: list[asyncio.Task[None]] = []
        for number in range(10):
            tasks.append(loop.create_task(take_turns(number)))
            loop.call_soon(seen.append, f"callback {number}")
        await asyncio.gather(*tasks)
        return seen

    return run_virtual(main, seed=seed)


def test_without_a_seed_tasks_go_first_come_first_served() -> None:
    once = [word for number in range(10) for word in (f"task {number}", f"callback {number}")]
    assert _turns(None)[:20] == once


@pytest.mark.parametrize("plain_tasks", [False, True], ids=["C tasks", "Python tasks"])
def test_a_seed_permutes_tasks_and_gives_the_same_run_each_time(plain_tasks: bool) -> None:
    runs = [_turns(seed, plain_tasks=plain_tasks) for seed in range(5)]
    assert runs == [_turns(seed, plain_tasks=plain_tasks) for seed in range(5)]
    assert len({tuple(run) for run in runs}) == 5
    assert all(sorted(run) == sorted(_turns(None)) for run in runs)


def test_a_seed_leaves_plain_callbacks_in_order_and_in_their_places() -> None:
    first_turn = _turns(3)[:20]
    assert first_turn[1::2] == [f"callback {number}" for number in range(10)]
    assert first_turn[::2] != [f"task {number}" for number in range(10)]
    assert sorted(first_turn[::2]) == [f"task {number}" for number in range(10)]


def test_a_seed_permutes_wake_ups_too() -> None:
    async def main() -> list[int]:
        bell = asyncio.Event()
        seen: list[int] = []

        async def wait(number: int) -> None:
            await bell.wait()
            seen.append(number)

        async with asyncio.TaskGroup() as tasks:
            for number in range(10):
                tasks.create_task(wait(number))
            await asyncio.sleep(1.0)
            bell.set()
        return seen

    assert run_virtual(main) == list(range(10))
    woken = run_virtual(main, seed=1)
    assert woken != list(range(10))
    assert sorted(woken) == list(range(10))


def test_a_run_cleans_up_behind_itself() -> None:
    ends: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def left_behind() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("task")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ends.append("generator")

    abandoned = numbers()

    async def main() -> int:
        loops.append(asyncio.get_running_loop())
        loops[0].create_task(left_behind())
        await asyncio.to_thread(threading.current_thread)
        return await anext(abandoned)

    before = threading.active_count()
    assert run_virtual(main) == 1
    assert ends == ["task", "generator"]
    assert loops[0].is_closed()
    assert threading.active_count() == before


def test_what_the_coroutine_raises_comes_out() -> None:
    async def main() -> None:
        await asyncio.sleep(1.0)
        raise LookupError("as it is")

    with pytest.raises(LookupError, match="as it is"):
        run_virtual(main)


def test_a_virtual_loop_is_recognised_by_the_clock() -> None:
    async def main() -> bool:
        return bool(getattr(asyncio.get_running_loop(), "virtual", False))

    assert run_virtual(main)


def test_an_interrupt_ends_a_real_wait() -> None:
    release = threading.Event()
    ends: list[str] = []

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        release.wait(10.0)

    async def main() -> None:
        try:
            await asyncio.to_thread(interrupt)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        finally:
            release.set()

    # A process in the background is born with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_virtual(main)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ends == ["cancelled"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VirtualTimeLoop(patience=0), "patience is a number of seconds above 0, not 0"),
        (lambda: VirtualTimeLoop(patience=math.nan), "patience"),
        (lambda: VirtualTimeLoop(patience=1, idle_after=2), "idle_after is 0 or more"),
        (lambda: VirtualTimeLoop(idle_after=-1), "idle_after is 0 or more"),
    ],
)
def test_wrong_options_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
