"""A loop on which an hour of timers takes no time.

Its clock stands still while anything runs, and jumps to the next timer when nothing does:

>>> async def nap() -> float:
...     await asyncio.sleep(3600)
...     return asyncio.get_running_loop().time()
>>> run_virtual(nap)
3600.0

Under pytest-asyncio, name the loop in `conftest.py` and choose it for a test:

    def pytest_asyncio_loop_factories(config, item):
        return {"real": asyncio.new_event_loop, "virtual": VirtualTimeLoop}

    @pytest.mark.asyncio(loop_factories=["virtual"])
    async def test_an_hour_of_timers(): ...

A test without `loop_factories` then runs on each of them. Options are given by
`functools.partial(VirtualTimeLoop, seed=7)`. Everywhere else, hypothesis included, call
`run_virtual` in a plain test.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Context
from typing import Final, TypeVar, TypeVarTuple

from .outstanding import describe_call, threads_awaited
from .still_selector import StillSelector

__all__ = ["VirtualTimeLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which begins at 0 and waits for nothing.

    The clock stands still while a thread is awaited (`run_in_executor`, `asyncio.to_thread`,
    `anyio.to_thread`) or a descriptor is registered for reading or writing, listening sockets
    aside: then the loop waits really. A thread whose result nobody awaits any more, and a thread
    that somebody started by hand, do not hold the clock.

    Parameters: `seed`, an integer that permutes the order in which tasks that are ready at once
    take their turns; the same seed gives the same run, as long as no thread and no real I/O takes
    part; without one they go first come, first served. `patience`, in real seconds (10): when
    nothing has happened for so long, `StalledError` is raised, which names what is waited for.
    `idle_after`, in real seconds (None): descriptors that say nothing for so long no longer hold
    the clock; for connections that are kept alive. Each jump of the clock then costs as much.

    Raises `DeadlockError` when nothing can ever happen again: no timer, nothing awaited outside.
    Both errors leave `run_until_complete`; what runs on the loop does not see them.

    >>> with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
    ...     runner.run(asyncio.sleep(3600))
    ...     runner.get_loop().time()
    3600.0
    """

    virtual: Final = True

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float

    def __init__(
        self,
        *,
        seed: int | None = None,
        patience: float = 10.0,
        idle_after: float | None = None,
    ) -> None:
        self._now = 0.0
        self._timers = 0
        self._calls: dict[object, str] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._chance = None if seed is None else random.Random(seed)
        selector = StillSelector(patience=patience, idle_after=idle_after)
        super().__init__(selector)
        self._still = selector
        selector.serve(self)
        if wrong := _wrong_options(patience, idle_after):
            self.close()  # A loop that is dropped without this complains.
            raise ValueError(wrong)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at a moment of virtual time; at the same moment in the order of asking."""
        if when == math.inf:
            # `sleep(inf)` is how others wait for ever; on the heap it would look like a timer.
            if self.is_closed():
                raise RuntimeError("Event loop is closed")
            return asyncio.TimerHandle(when, callback, args, self, context)
        self._timers += 1
        return super().call_at(_Moment(when, self._timers), callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function in a thread or a process; the clock stands still until it is done."""
        if executor is None and self._pool is None:
            self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        future = super().run_in_executor(executor, func, *args)
        self._await_thread(future, describe_call(func))
        return future

    def _await_thread(self, future: asyncio.Future[T], what: str) -> None:
        token = object()
        self._calls[token] = what
        future.add_done_callback(lambda _: self._calls.pop(token))

    def set_default_executor(self, executor: Executor) -> None:
        """Use this one for `run_in_executor(None, …)`; a `ThreadPoolExecutor`."""
        if not isinstance(executor, ThreadPoolExecutor):
            raise TypeError(f"executor must be a ThreadPoolExecutor, not {executor!r}")
        super().set_default_executor(executor)
        self._pool = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the default executor's threads, for as long as `patience` lasts."""
        pool = self._pool
        if pool is None:
            return
        if self._still.gave_up:
            pool.shutdown(wait=False, cancel_futures=True)
            return
        # asyncio's own joins a thread whatever happens, and would hang on one that never ends.
        done: asyncio.Future[None] = self.create_future()
        self._await_thread(done, "what is left in the default executor")
        thread = threading.Thread(target=self._drain, args=(pool, done), daemon=True)
        thread.start()
        await done
        thread.join()

    def _drain(self, pool: ThreadPoolExecutor, done: asyncio.Future[None]) -> None:
        pool.shutdown(wait=True)
        if not self.is_closed():
            self.call_soon_threadsafe(_settle, done)

    # What follows is for the selector, which sees each turn of the loop.

    def shuffle(self) -> None:
        """Permute the steps of tasks that are ready among their places; leave the rest alone.

        Stream protocols rely on the order of plain callbacks; tasks may not rely on any.
        """
        if self._chance is None:
            return
        # Other threads only append at the right end, so the handles seen here stay in front.
        handles = list(self._ready)
        places = [place for place, handle in enumerate(handles) if _is_step(handle)]
        if len(places) < 2:
            return
        steps = [handles[place] for place in places]
        self._chance.shuffle(steps)
        for place, step in zip(places, steps, strict=True):
            handles[place] = step
        for _ in handles:
            self._ready.popleft()
        self._ready.extendleft(reversed(handles))

    def jump(self) -> None:
        """Set the clock to the next timer."""
        self._now = max(self._now, float(self._scheduled[0].when()))
        # Timers within the clock's resolution are due; in far times floats are coarser than 1 ns.
        self._clock_resolution = max(1e-9, math.ulp(self._now))

    def threads(self) -> list[str]:
        """Descriptions of the threads that are awaited."""
        return [f"a thread: {call}" for call in self._calls.values()] + threads_awaited(self)


class _Moment(float):
    """A time of the clock that remembers when it was asked for: a heap alone is not stable."""

    __slots__ = ("number",)

    number: int

    def __new__(cls, when: float, number: int) -> _Moment:
        moment = super().__new__(cls, when)
        moment.number = number
        return moment

    def __lt__(self, other: float) -> bool:
        if isinstance(other, _Moment) and float(self) == float(other):
            return self.number < other.number
        return float(self) < float(other)


def _wrong_options(patience: float, idle_after: float | None) -> str | None:
    if not (patience > 0 and math.isfinite(patience)):
        return f"patience is a number of seconds above 0, not {patience}"
    if idle_after is not None and not 0 <= idle_after < patience:
        return (
            f"idle_after is 0 or more seconds and less than patience={patience}, or None, "
            f"not {idle_after}"
        )
    return None


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _is_step(handle: asyncio.Handle) -> bool:
    owner = getattr(getattr(handle, "_callback", None), "__self__", None)
    return asyncio.isfuture(owner) and hasattr(owner, "get_coro")


def run_virtual(
    main: Callable[[], Awaitable[T]],
    *,
    seed: int | None = None,
    patience: float = 10.0,
    idle_after: float | None = None,
) -> T:
    """Run a coroutine function on a fresh virtual-time loop, as `asyncio.run` would.

    >>> async def race() -> str:
    ...     async with asyncio.timeout(1.0):
    ...         await asyncio.sleep(0.5)
    ...     return "in time"
    >>> run_virtual(race)
    'in time'

    What is left at the end is cancelled, async generators and the executor are shut down.
    Parameters and what is raised: see `VirtualTimeLoop`. Raises RuntimeError inside a running
    loop.
    """

    async def body() -> T:
        return await main()

    def loop() -> VirtualTimeLoop:
        return VirtualTimeLoop(seed=seed, patience=patience, idle_after=idle_after)

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(body())
