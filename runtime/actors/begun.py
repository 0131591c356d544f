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

    `waits` tells whether there is a rest; else it returned `result`, or raised, and so does the
    await. `thrown` is what reached its task before the await did, and was meant for it.
    """

    __slots__ = ("_coroutine", "_error", "_yielded", "result", "thrown", "waits")

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
        self.result = result
        self._error = error
        self.waits = waits
        self.thrown: BaseException | None = None

    def close(self) -> None:
        """Nobody will finish it."""
        self._coroutine.close()

    def __await__(self) -> Generator[object, object, T | None]:
        if self._error is not None:
            raise self._error
        if not self.waits:
            return self.result
        coroutine, yielded = self._coroutine, self._yielded
        thrown, self.thrown = self.thrown, None
        sent: object = None
        _mark(yielded, waited_for=thrown is None)
        while True:
            if thrown is None:
                try:
                    sent = yield yielded
                except BaseException as error:
                    thrown = error
            try:
                yielded = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
                thrown = None
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
    except BaseException as error:
        # Whatever it is: it is for the task that the coroutine belongs to, not for this one.
        return Begun(coroutine, error=error)
    finally:
        _leave_task(loop, task)
        if current is not None:
            _enter_task(loop, current)
    _mark(yielded, waited_for=False)
    return Begun(coroutine, yielded=yielded, waits=True)


def _mark(yielded: object, *, waited_for: bool) -> None:
    """Say whether the next task that gets this future is to wait for it.

    A future is marked when it is yielded, for the task at hand. Others may wait for it before this
    one's task does, and each marks it itself.
    """
    if asyncio.isfuture(yielded):
        future: asyncio.Future[object] = yielded
        future._asyncio_future_blocking = waited_for
