"""What the launcher says on standard error, from a thread of its own.

A terminal that is stopped, or a pipe that is full, holds up this thread and never the engine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Literal, TextIO, cast

from ..runtime.progress import Progress
from .reporting import Rate, fitted, plain_line

__all__ = ["Form", "Reporter", "ReportingHandler", "form_for"]

Form = Literal["line", "plain", "none"]

_REDRAW = 0.2
_PLAIN = 5.0
_CLEAR = "\r\x1b[K"


def form_for(stream: TextIO, wanted: str) -> Form:
    """The form of progress that was asked for; `auto` is a live line where there is a terminal."""
    if wanted == "auto":
        return "line" if stream.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    return cast(Form, wanted)


class Reporter:
    """Prints lines, and the progress of a job between them.

    Parameters: `stream`, where to; `form`, a live `line` redrawn five times a second, a `plain`
    line every 5 seconds, or `none`; `progress`, what to ask; `bad`, the sinks of dead letters.
    """

    def __init__(
        self,
        stream: TextIO,
        form: Form,
        progress: Callable[[], Progress],
        bad: frozenset[str],
        *,
        plain_every: float = _PLAIN,
    ) -> None:
        self._stream = stream
        self._form = form
        self._progress = progress
        self._bad = bad
        self._plain_every = plain_every
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ
        self._rate = Rate()
        self._drawn = False
        # A SimpleQueue may be put to from a signal handler, whatever it interrupted.
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="thalweg-reporter", daemon=True)

    def start(self) -> None:
        """Begin to print."""
        self._thread.start()

    def say(self, text: str) -> None:
        """Print some lines, from any thread or signal handler."""
        self._lines.put(text)

    def stop(self) -> None:
        """Print what was said, take the live line away and end; wait for it 2 seconds at most."""
        self._lines.put(None)
        self._thread.join(2.0)

    def _run(self) -> None:
        next_plain = time.monotonic() + self._plain_every
        while True:
            with contextlib.suppress(queue.Empty):
                text = self._lines.get(timeout=None if self._form == "none" else _REDRAW)
                if text is None:
                    self._write("")
                    return
                self._write(text + "\n")
                continue
            now = time.monotonic()
            progress = self._progress()
            rate = self._rate.observe(now, progress.read)
            if self._form == "line":
                self._draw(progress, rate)
            elif now >= next_plain:
                next_plain = now + self._plain_every
                self._write(plain_line(progress, rate, self._bad) + "\n")

    def _draw(self, progress: Progress, rate: float) -> None:
        line = fitted(progress, rate, self._bad, width=self._width(), colour=self._colour)
        self._write(line)
        self._drawn = True

    def _write(self, text: str) -> None:
        clear = _CLEAR if self._drawn else ""
        self._drawn = False
        # Whoever read standard error may have gone: the job goes on without being reported.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(clear + text)
            self._stream.flush()

    def _width(self) -> int:
        """The columns that a line may fill: the last one stays free, so that nothing wraps."""
        columns = 0
        with contextlib.suppress(OSError, ValueError):
            columns = os.get_terminal_size(self._stream.fileno()).columns
        return max((columns or 80) - 1, 10)


class ReportingHandler(logging.Handler):
    """Hands log records to a reporter, so that they do not tear its live line."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Say the record."""
        self._reporter.say(self.format(record))
