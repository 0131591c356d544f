"""Threads for code that may never return: one for each call, and none that ends is waited for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Thread
from typing import ParamSpec, TypeVar

__all__ = ["ThreadPerCall"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPerCall(Executor):
    """Starts a thread for each call, which the process does not wait for when it ends.

    >>> ThreadPerCall("parse").submit(divmod, 7, 2).result()
    (3, 1)

    A pool would be joined at the end of the process, which a call that hangs would hold up for
    ever; and it would run dry. How many run at once is up to those who call.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call it in a thread of its own."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # From here on it cannot be cancelled.

        def call() -> None:
            try:
                found = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(found)

        Thread(target=call, name=f"thalweg-{self._name}", daemon=True).start()
        return future
