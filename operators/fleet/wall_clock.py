"""What the machine thinks the time is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["wall_clock"]


def wall_clock() -> Callable[[], float]:
    """The time of the machine in Unix seconds, which may jump; on a loop of its own time, that."""
    loop = asyncio.get_running_loop()
    if not getattr(loop, "virtual", False):
        return time.time
    wall: Callable[[], float] | None = getattr(loop, "wall", None)
    if wall is not None:
        return wall
    ahead = time.time() - loop.time()
    return lambda: ahead + loop.time()
