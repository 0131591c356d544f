"""What a look may take: memory, time; and a line that says how far it is."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from ...runtime.dataclass import dataclass
from ...runtime.errors import ThalwegError

__all__ = ["Limits", "Watched"]

_QUIET = 1.0
"""Seconds before anything is said."""

_BETWEEN = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """What a look may take.

    `memory` is what DuckDB may hold, as text such as `1GB`; what is more goes to a temporary
    folder. `seconds` is the time of the whole look, `max_ratio` how many times as large a
    compressed file may become.
    """

    memory: str = "1GB"
    seconds: float = 600.0
    max_ratio: float = 100.0


class Watched:
    """Ends a look that takes too long, and shows on a terminal what it does.

    Parameters: `seconds` that it may take; `stop`, what interrupts the work, called from a thread;
    `out`, where to show it (standard error).
    """

    def __init__(self, seconds: float, stop: Callable[[], None], out: TextIO | None = None) -> None:
        self._seconds = seconds
        self._stop = stop
        shown = sys.stderr if out is None else out
        self._out = shown if shown.isatty() else None
        self._began = time.monotonic()
        self.what = ""
        """What is done at the moment, in words."""
        self._over = threading.Event()
        self._shown = False
        self.expired = False
        """Whether its time was over."""

    def step(self, what: str) -> None:
        """What is done from now on."""
        self.what = what

    def check(self) -> None:
        """Raise ThalwegError when the time is over: for work that `stop` does not interrupt."""
        if time.monotonic() - self._began > self._seconds:
            self.expired = True
            raise ThalwegError(self.message)

    @property
    def message(self) -> str:
        """What to say when the time is over."""
        return (
            f"the look took more than {self._seconds:g} s and was stopped while {self.what}: "
            "look at fewer files, or say --timeout"
        )

    @contextmanager
    def running(self) -> Generator[None]:
        """The time runs inside."""
        thread = threading.Thread(target=self._watch, name="thalweg-look", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            if self._shown and self._out is not None:
                self._out.write("\r\x1b[K")
                self._out.flush()

    def _watch(self) -> None:
        while not self._over.wait(min(_BETWEEN, self._seconds)):
            passed = time.monotonic() - self._began
            if passed > self._seconds:
                self.expired = True
                self._stop()
            elif passed > _QUIET and self._out is not None:
                self._shown = True
                self._out.write(f"\r\x1b[K{self.what} … {passed:.0f} s")
                self._out.flush()
