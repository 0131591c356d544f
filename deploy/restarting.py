"""Runs a command again whenever it breaks: for `thalweg run --restart`."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

from .exit_status import ExitStatus

__all__ = ["Restarter", "die_with_parent", "restarted"]

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_LONG_ENOUGH = 60.0
"""Seconds: a run that lasted so long was no failed start, and the count begins anew."""

_PARENT = "THALWEG_RESTARTED_BY"
_PR_SET_PDEATHSIG = 1


class Restarter:
    """Runs `thalweg` with some words as a process of its own, and again when that breaks.

    A process of its own, so that a crash of the interpreter, or the kernel that ends it for its
    memory, is a reason to start again like any other. It is started again when the job failed or
    a signal ended it, after a pause that doubles from 1 s to 60 s, and at most `limit` times in a
    row (None: for ever); a run of a minute begins the count anew. Signals that ask to stop are
    handed on, and are obeyed: what they end is not started again.
    """

    def __init__(
        self, words: Sequence[str], *, limit: int | None, say: Callable[[str], None]
    ) -> None:
        self._command = [sys.executable, "-m", "thalweg.deploy.cli", *words]
        self._limit = limit
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_to_stop = False
        self._wake, self._awoken = os.pipe()

    def run(self) -> int:
        """Run until it ends well, is asked to stop, or has broken too often; its exit status."""
        before = {one: signal.signal(one, self._hand_on) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            return self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._wake)
            os.close(self._awoken)

    def _run(self) -> int:
        broken = 0
        while True:
            began = time.monotonic()
            status = self._once()
            if status in (ExitStatus.FINE, ExitStatus.USAGE, ExitStatus.CANCELLED):
                return status
            if self._asked_to_stop:
                return _as_exit_status(status)
            if time.monotonic() - began >= _LONG_ENOUGH:
                broken = 0
            broken += 1
            what = f"failed (status {status})" if status >= 0 else f"was ended by {_name(-status)}"
            if self._limit is not None and broken > self._limit:
                self._say(f"thalweg: it {what}, {broken} times in a row: not started again")
                return _as_exit_status(status)
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (broken - 1))
            limit = "" if self._limit is None else f" of {self._limit}"
            self._say(f"thalweg: it {what}; started again in {pause:g} s (restart {broken}{limit})")
            if not self._wait(pause):
                return _as_exit_status(status)

    def _once(self) -> int:
        # A group of its own: Ctrl-C reaches it through us only, once.
        self._child = subprocess.Popen(
            self._command, env={**os.environ, _PARENT: str(os.getpid())}, process_group=0
        )
        if self._asked_to_stop:
            self._child.terminate()
        return self._child.wait()

    def _wait(self, seconds: float) -> bool:
        """Wait before the next start; False when asked to stop meanwhile."""
        select.select([self._wake], [], [], seconds)
        return not self._asked_to_stop

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        if not self._asked_to_stop:
            self._asked_to_stop = True
            os.write(self._awoken, b"!")
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)


def restarted() -> bool:
    """Whether a restarter has started this process: then it is no restarter itself."""
    return _PARENT in os.environ


def die_with_parent() -> None:
    """Stop, as if asked to, when the restarter that started this process is gone (on Linux)."""
    parent = os.environ.pop(_PARENT, None)
    if parent is None or sys.platform != "linux":
        return
    import ctypes  # Only for who was started so.

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)  # It went before this could be asked for.


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # One of those that have no name.
        return f"signal {number}"


def _as_exit_status(status: int) -> int:
    return 128 - status if status < 0 else status
