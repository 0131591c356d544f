"""Stopping the tasks of a job: in the order of the plan, and again where one does not stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from .actors import Actor

__all__ = ["PATIENCE", "Stopping"]

PATIENCE = 10.0
"""Seconds an actor has to stop when it is cancelled, before it is given up."""

_AGAIN = 0.5
"""Seconds between two cancellations of a task that swallowed one."""


class Stopping:
    """Cancels the tasks of actors until none is left, or until its patience is over.

    Parameters: `tasks`, each with its actor, in the order of the plan; `given_up`, what is told
    the names of those that did not stop.
    """

    def __init__(
        self,
        tasks: Mapping[asyncio.Task[None], Actor],
        loop: asyncio.AbstractEventLoop,
        given_up: Callable[[Sequence[str]], None],
    ) -> None:
        self._tasks = tasks
        self._loop = loop
        self._given_up = given_up
        self._until = 0.0

    def begin(self) -> None:
        """Cancel them all, for the first time."""
        self._until = self._loop.time() + PATIENCE
        self._cancel()

    def _cancel(self) -> None:
        left = [task for task in self._tasks if not task.done()]
        if not left:
            return
        if self._loop.time() > self._until:
            self._given_up([self._tasks[task].name for task in left])
            return
        for task in left:
            # Only one that ignored the first cancellation is cancelled again: others close.
            if not self._tasks[task].stopping:
                task.cancel()
        self._loop.call_later(_AGAIN, self._cancel)
