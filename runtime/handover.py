"""The handing over of the interpreter from a loop that is always busy to the threads it waits for.

A loop lets go of the interpreter's lock in each of its turns, when it looks for events. One that
has work to do takes it back at once, before a thread that waits for the lock has woken up; and a
thread asks for the lock only when nobody has let go of it for a whole switch interval (5 ms). So
each call of the system that a thread made could take some 100 ms, and an epoch that takes 10 ms
was seen to take 7 s.
"""

from __future__ import annotations

import asyncio
import time

__all__ = ["Handover"]

_OFTEN, _SELDOM = 0.001, 0.02
"""Seconds between two moments for threads: of calls that have just begun, and of longer ones."""

_IDLE = 0.005
"""Seconds until a loop that has mostly waited is looked at again: it left the lock as it did."""

_AT_FIRST = 100
"""Moments after the last call began in which a thread is given them often."""

_MOMENT = 1e-6
"""Seconds that are asked for; what the system makes of it, some 60 µs, is enough to wake up."""


class Handover:
    """While calls in threads are awaited, the loop leaves moments to them, if it is busy.

    >>> async def main() -> str:
    ...     loop = asyncio.get_running_loop()
    ...     with Handover(loop):
    ...         return await loop.run_in_executor(None, str.upper, "done")
    >>> asyncio.run(main())
    'DONE'

    Enter it around each await of such a call; it may be entered several times at once.
    """

    __slots__ = ("_at", "_calls", "_loop", "_moments", "_timer", "_used")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls = 0
        self._moments = 0
        self._at = self._used = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._calls += 1
        if self._moments >= _AT_FIRST and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._moments = 0
        if self._timer is None:
            self._at, self._used = time.perf_counter(), time.thread_time()
            self._timer = self._loop.call_later(_OFTEN, self._leave_a_moment)

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        if not self._calls and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave_a_moment(self) -> None:
        at, used = time.perf_counter(), time.thread_time()
        busy = 2 * (used - self._used) > at - self._at
        self._at, self._used = at, used
        pause = _IDLE
        if busy:
            time.sleep(_MOMENT)
            self._moments += 1
            pause = _OFTEN if self._moments < _AT_FIRST else _SELDOM
        self._timer = self._loop.call_later(pause, self._leave_a_moment)
