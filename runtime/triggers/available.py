"""Waiting until what the sources of a job had to hand over has arrived."""

from __future__ import annotations

import asyncio
import math

from ..actors import SourceActor
from ..clock import Clock
from ..course import Course

__all__ = ["until_all_arrived"]

_SHORTEST, _LONGEST = 0.001, 0.05
"""Seconds between two looks: who waits looks, so that nothing is told where nobody does."""


async def until_all_arrived(course: Course, clock: Clock, quiet: float) -> None:
    """Return when no source has had anything for `quiet` seconds and all has arrived, or all ended.

    A source that looks for news at intervals has looked once more by then. Raises ValueError for a
    negative number.
    """
    called = asyncio.get_running_loop().time()
    if not quiet >= 0:
        raise ValueError(f"quiet is a number of seconds from 0 on, not {quiet!r}")
    pause, began = _SHORTEST, clock.monotonic()
    while not course.finished.done():
        now = clock.monotonic()
        if (
            now - began >= quiet
            and course.state != "starting"
            and _looked(course, called)
            and _arrived(course, now - quiet)
        ):
            return
        await asyncio.wait({course.finished}, timeout=pause)
        pause = min(2 * pause, _LONGEST)


def _looked(course: Course, called: float) -> bool:
    """Whether those that look at intervals have found nothing since."""
    for actor in course.actors:
        if isinstance(actor, SourceActor) and actor.quiet_since != -math.inf:
            looked = actor.source.looked
            if looked is not None and looked < called:
                return False
    return True


def _arrived(course: Course, since: float) -> bool:
    for actor in course.actors:
        if isinstance(actor, SourceActor):
            quiet = actor.quiet_since
            if quiet is None or quiet > since or actor.settled_records < actor.read_records:
                return False
        elif actor.counts.state == "running" and actor.counts.input.since is None:
            return False  # It works: what memory makes of records comes after they have arrived.
    return True
