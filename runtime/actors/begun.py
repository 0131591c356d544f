"""Coroutines that are begun in one task and, should they have to wait, finished in another."""

from __future__ import annotations

import asyncio

# For code that runs what belongs to a task itself, as asyncio's documentation says.
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage]
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Generic, TypeVar

__all__ = ["Begun", "begin"]

T = TypeVar("T")


class Begun(Generic[T]):
    """What has become of a coroutine: `await` it in its own task for the rest of it.

    `waits` tells whether there is a rest; else it returned or raised, and so does the await.
    """

    __slots__ = ("_coroutine", "_error", "_result", "_yielded", "waits")

    def __init__(
        self,
        coroutine: Coroutine[object, object, T | None],
        *,
        yielded: object = None,
        result: T | None = None,
        error: BaseException | None = None,
        waits: bool = False,
    ) -> None:
        self._coroutine = coroutine
        self._yielded = yielded
        self._result = result
        self._error = error
        self.waits = waits

    def close(self) -> None:
        """Nobody will finish it."""
        self._coroutine.close()

    def __await__(self) -> Generator[object, object, T | None]:
        if self._error is not None:
            raise self._error
        if not self.waits:
            return self._result
        coroutine, yielded = self._coroutine, self._yielded
        while True:
            thrown: BaseException | None = None
            sent: object = None
            try:
                sent = yield yielded
            except BaseException as error:
                thrown = error
            try:
                yielded = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
            except StopIteration as stop:
                result: T | None = stop.value
                return result


def begin(
    coroutine: Coroutine[object, object, T | None],
    task: asyncio.Task[None],
    context: Context,
    loop: asyncio.AbstractEventLoop,
) -> Begun[T] | None:
    """Run a coroutine up to where it first waits; None when it returned None without a wait.

    It runs as if in `task`, which is suspended, with its context: so what asks for the current
    task, as timeouts do, finds the one in which the coroutine goes on.
    """
    current = asyncio.current_task(loop)
    if current is not None:
        _leave_task(loop, current)
    _enter_task(loop, task)
    try:
        yielded = context.run(coroutine.send, None)
    except StopIteration as stop:
        return None if stop.value is None else Begun(coroutine, result=stop.value)
    except (Exception, asyncio.CancelledError) as error:
        return Begun(coroutine, error=error)
    finally:
        _leave_task(loop, task)
        if current is not None:
            _enter_task(loop, current)
    return Begun(coroutine, yielded=yielded, waits=True)
