"""Changing a running job's settings from another thread, as the pages do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from ..runtime.errors import ThalwegError

if TYPE_CHECKING:
    from ..runtime.job import Job

__all__ = ["adjuster"]

_PATIENCE = 5.0
"""Seconds to wait for the loop of the job, which user code may hold up."""


def adjuster(
    job: Job, loop: asyncio.AbstractEventLoop
) -> Callable[[str, Mapping[str, object]], Mapping[str, object]]:
    """What sets the settings of a node of this job, on its loop, and returns those in force.

    Raises as `Job.adjust` does, and ThalwegError where the loop does not answer.
    """

    def adjust(node: str, wanted: Mapping[str, object]) -> Mapping[str, object]:
        done: Future[Mapping[str, object]] = Future()

        def work() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                # Values from outside: what they are is looked at there.
                done.set_result(asdict(job.adjust(node, **cast("dict[str, Any]", dict(wanted)))))
            except Exception as error:
                done.set_exception(error)

        loop.call_soon_threadsafe(work)
        try:
            return done.result(_PATIENCE)
        except TimeoutError:
            done.cancel()
            raise ThalwegError("the job's loop is held up, and nothing was set") from None

    return adjust
