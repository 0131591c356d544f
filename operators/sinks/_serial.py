"""Work in threads, one piece after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ...runtime.contracts import Context

__all__ = ["Serial"]

P = ParamSpec("P")
T = TypeVar("T")


class Serial:
    """Runs functions in threads of the job, never two at once.

    A thread goes on when the one who awaits it is cancelled. What is run next waits for it, so
    that no file is closed, and no connection used, under the hands of another.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that blocks, when no other one runs any more."""

        def alone() -> T:
            with self._lock:
                return function(*args, **kwargs)

        return await self._context.in_thread(alone)

    @property
    def idle(self) -> bool:
        """Whether nothing runs, not even what nobody awaits any more."""
        return not self._lock.locked()
