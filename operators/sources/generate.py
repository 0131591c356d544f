"""`generate`: what an async generator yields."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from ...runtime.contracts import Context, MisconfiguredError, Source
from ._rate import checked_rate

__all__ = ["Generate", "generate"]

R = TypeVar("R")


class Generate(Source[R]):
    """The source that `generate` makes; see there.

    One task runs the generator from its first step to its `finally`, but goes on to the next
    record only while a read waits for it. What the generator yields without really waiting is all
    there when the reader's turn comes, and so makes one batch.
    """

    def __init__(
        self, function: Callable[[], AsyncIterator[R]], *, rate: float | None = None
    ) -> None:
        _check_function(function)
        self.rate = checked_rate(rate)
        self._function = function

    async def open(self, context: Context) -> None:
        """Get ready to start the generator with the first read."""
        self._taken: deque[R] = deque()
        self._wanted = 0
        self._error: Exception | None = None
        self._ended = self._closing = False
        self._arrived = asyncio.Event()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def read(self, limit: int) -> list[R] | None:
        """What the generator has yielded, as soon as it has to wait or `limit` is reached."""
        taken = self._taken
        if not taken and not self._ended:
            self._wanted = limit
            self._arrived.clear()
            self._asked.set()
            if self._task is None:
                self._task = asyncio.create_task(self._run(), name="thalweg-generate")
            try:
                # Cancelled here, nothing is lost: the next read finds what has come meanwhile.
                await self._arrived.wait()
            finally:
                self._wanted = 0
        if taken:
            return [taken.popleft() for _ in range(min(limit, len(taken)))]
        self._raise_error()
        return None

    async def close(self) -> None:
        """Stop the generator where it waits; its `finally` has run when this returns."""
        task = getattr(self, "_task", None)
        if task is not None:
            self._closing = True
            task.cancel()
            await asyncio.wait([task])
            self._raise_error()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def _run(self) -> None:
        try:
            iterator = self._function()
            if not isinstance(iterator, AsyncIterator):  # pyright: ignore[reportUnnecessaryIsInstance]
                if inspect.iscoroutine(iterator):
                    iterator.close()
                raise MisconfiguredError(
                    f"generate was given {_name(self._function)}, which returned"
                    f" {type(iterator).__name__}, not an async generator"
                )
            try:
                await self._pump(iterator)
            finally:
                aclose = getattr(iterator, "aclose", None)
                if aclose is not None:
                    await aclose()
        except asyncio.CancelledError:
            if not self._closing:
                self._error = RuntimeError(f"{_name(self._function)} was cancelled from within")
        except Exception as error:
            self._error = error
        self._ended = True
        self._arrived.set()

    async def _pump(self, iterator: AsyncIterator[R]) -> None:
        async for record in iterator:
            if self._closing:
                return
            self._taken.append(record)
            self._arrived.set()
            if len(self._taken) >= self._wanted:
                self._asked.clear()
                await self._asked.wait()


def generate(function: Callable[[], AsyncIterator[R]], *, rate: float | None = None) -> Generate[R]:
    """The records that an async generator yields.

    >>> async def ticks():
    ...     while True:
    ...         await asyncio.sleep(1)
    ...         yield {"tick": True}
    >>> source = generate(ticks)

    Parameters:

    - `function`: the async generator function, without arguments; it is called anew for each job.
      It runs in one task from first to last, and its `finally` has run when the job has ended.
    - `rate`: records a second at most (no limit); kept by the runtime.

    Raises TypeError for what is no such function, ValueError for a rate that is not above 0.

    - Emits when: the generator waits for something and has yielded a record, or a batch is full.
    - Waits when: the generator does.
    - Ends when: the generator does.
    - Order: that of the generator; positions count from 0 in each job.
    - State: none; it cannot go on from a position, and starts anew.
    - On error: an exception of the generator is a failure, after the records that came before it.
    """
    return Generate(function, rate=rate)


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _check_function(function: object) -> None:
    if isinstance(function, AsyncIterator):
        raise TypeError("generate takes the async generator function itself: ticks, not ticks()")
    if not callable(function):
        raise TypeError(f"generate takes an async generator function, not {function!r}")
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"generate was given {_name(function)}, which never yields a record")
    if inspect.isgeneratorfunction(function):
        raise TypeError(
            f"generate was given {_name(function)}, a plain generator: for that use records"
        )
