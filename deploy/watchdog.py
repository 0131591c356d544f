"""Notices when user code blocks the event loop, and says which operator and which line."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from types import FrameType

from ..runtime.dataclass import dataclass

__all__ = ["Blocked", "Watchdog"]

_SLICES = 4
_OURS = ("thalweg.runtime", "thalweg.deploy", "asyncio", "uvloop", "anyio")


@dataclass(frozen=True, slots=True)
class Blocked:
    """What blocks the loop: the operator (None outside any), the line, and for how long."""

    operator: str | None
    where: str | None
    seconds: float

    def __str__(self) -> str:
        who = f"operator {self.operator!r}" if self.operator else "a callback"
        at = f" at {self.where}" if self.where else ""
        return f"{who} has blocked the event loop for {self.seconds:.1f} s{at}"


class Watchdog:
    """A thread that asks the loop for a sign of life once a second.

    Parameters: `loop`, the engine's, which runs in the thread that creates this; `report` is
    called with one line when the loop has been blocked for `limit` seconds (2), and again when it
    is free; `interval`, seconds between two beats (1). It is called in the watchdog's thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[str], None],
        *,
        interval: float = 1.0,
        limit: float = 2.0,
    ) -> None:
        self._loop = loop
        self._engine = threading.get_ident()
        self._report = report
        self._interval = interval
        self._limit = limit
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._asked = time.monotonic()
        self._overdue = False
        self._thread = threading.Thread(target=self._watch, name="thalweg-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; the thread has ended when this returns."""
        self._stopped.set()
        self._answered.set()
        self._thread.join(1.0)

    def blocked(self) -> Blocked | None:
        """What blocks the loop now, from any thread; None while the loop answers."""
        if not self._overdue or self._stopped.is_set():
            return None
        return self._look()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._answered.clear()
            if self._stopped.is_set():
                return
            self._asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:  # the loop is closed
                return
            # In slices: a process that was suspended must not look blocked when it wakes up.
            if any(self._answered.wait(self._limit / _SLICES) for _ in range(_SLICES)):
                self._stopped.wait(self._interval)
                continue
            self._overdue = True
            found = self._look()
            self._report(str(found))
            self._answered.wait()
            self._overdue = False
            if not self._stopped.is_set():
                who = f"operator {found.operator!r}" if found.operator else "a callback"
                seconds = time.monotonic() - self._asked
                self._report(f"the event loop runs again: {who} blocked it for {seconds:.1f} s")

    def _look(self) -> Blocked:
        return Blocked(self._operator(), self._line(), time.monotonic() - self._asked)

    def _operator(self) -> str | None:
        """The actor whose task runs: tasks of actors are called `thalweg:<graph>/<actor>`."""
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            return None
        if task is None:
            return None
        name = task.get_name()
        return name.partition("/")[2] if name.startswith("thalweg:") else name

    def _line(self) -> str | None:
        """The innermost line of the user's own, else the innermost that is not the engine's."""
        frame: FrameType | None = sys._current_frames().get(  # pyright: ignore[reportPrivateUsage]
            self._engine
        )
        foreign: str | None = None
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if not module.startswith(_OURS):
                code = frame.f_code
                place = f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
                if not os.path.realpath(code.co_filename).startswith(_libraries()):
                    return place
                foreign = foreign or place
            frame = frame.f_back
        return foreign


@cache
def _libraries() -> tuple[str, ...]:
    """The folders of what is installed."""
    import sysconfig  # Few loops are ever blocked.

    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({os.path.realpath(sysconfig.get_path(name)) + os.sep for name in names})
