"""Workers that are simulated: who works when, to the microsecond."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush

__all__ = ["Workers", "until"]


class Workers:
    """A number of workers that take requests in turn, each for a time of its own.

    When a request is done is computed from when its worker was free, not from when a timer of ours
    went off: timers go off late, and if each delayed the next request, the workers would do less
    than they are said to. Without a number there is a worker for each request.

    >>> workers = Workers(1, now=0.0)
    >>> workers.done_at(10.0, 2.0), workers.done_at(11.0, 2.0), workers.done_at(20.0, 2.0)
    (12.0, 14.0, 22.0)
    """

    def __init__(self, count: int, *, now: float) -> None:
        self._free_at = [now] * count

    def done_at(self, arrived: float, seconds: float) -> float:
        """When a request is done that arrived then and takes so long; this gives it a worker."""
        if not self._free_at:
            return arrived + seconds
        done = max(arrived, heappop(self._free_at)) + seconds
        heappush(self._free_at, done)
        return done

    def resize(self, count: int, *, now: float) -> None:
        """Change the number. Those who go are the ones that would be free last."""
        self._free_at = sorted(self._free_at)[:count]
        self._free_at += [now] * (count - len(self._free_at))
        heapify(self._free_at)


async def until(moment: float, clock: Callable[[], float]) -> None:
    """Wait until the clock has reached the moment: never less, and at most a little more."""
    while True:
        left = moment - clock()
        if left <= 0:
            return
        # Loops count in milliseconds; one that rounds down would make us go round and round.
        await asyncio.sleep(math.ceil(left * 1000.0) / 1000.0)
