"""A process that calls one callable, batch after batch, and can be killed while it does.

Pools of the standard library cannot do that: there a worker that hangs is beyond reach, one that
dies takes the others with it, and all outlive a coordinator that was killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from ...runtime.contracts import (
    BusyError,
    DataError,
    MisconfiguredError,
    MissingExtra,
    UnavailableError,
)
from .endpoint import Answer
from .function import answer_of
from .reference import Reference

__all__ = ["WorkerProcess"]

_TYPED: tuple[type[Exception], ...] = (
    BusyError,
    DataError,
    MisconfiguredError,
    MissingExtra,
    UnavailableError,
)
_TOLD = ("answered", "extra", "retry_after", "retry_at")


class WorkerProcess:
    """One worker. `start`, `call` and `end` block, and are for a thread; `kill` does not.

    It ends when its pipe closes, and when the process that started it ends in whatever way.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._lock = threading.Lock()
        self._used = threading.Lock()  # by whoever reads from the pipe, and puts it away
        self._process: Any = None
        self._pipe: Any = None
        self._killed = False

    @property
    def started(self) -> bool:
        """Whether it takes calls, or would if it had not died meanwhile."""
        return self._pipe is not None and not self._killed

    @property
    def killed(self) -> bool:
        """Whether it is beyond use."""
        return self._killed

    @property
    def gone(self) -> bool:
        """Whether it was killed, and nothing of it is left to put away."""
        return self._killed and self._process is None and not self._used.locked()

    def start(self) -> None:
        """Start the process, and have it import the callable.

        Raises MisconfiguredError where it cannot, UnavailableError where it was killed meanwhile.
        """
        with self._used:
            self._start()

    def _start(self) -> None:
        spawning = multiprocessing.get_context("spawn")
        ends: tuple[Any, Any] = spawning.Pipe()  # Of another type on each platform.
        ours, theirs = ends
        with theirs:
            process = spawning.Process(
                target=_work, args=(theirs, self._reference), name="thalweg-worker", daemon=True
            )
            process.start()
        with self._lock:
            self._process, self._pipe = process, ours
            if self._killed:
                process.kill()
        try:
            broken = pickle.loads(ours.recv_bytes())
        except (EOFError, OSError):
            was_killed = self._killed
            code = self._reap()
            if was_killed:
                raise UnavailableError("the process was ended while it started") from None
            raise MisconfiguredError(
                f"the process for {self._reference.name} ended with status {code} before it was "
                "ready: what it printed tells why. A script that starts a job has to do so below "
                "`if __name__ == '__main__':`, since each process imports it"
            ) from None
        if broken is not None:
            self._reap()
            raise MisconfiguredError(
                f"a process cannot import {self._reference.name}: {broken}"
            ) from None

    def call(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        """What the callable answers. Raises its errors, UnavailableError when the process dies."""
        with self._used:
            kind, told = self._asked(pickle.dumps((fields, rows), protocol=5))
        if kind is None:
            return Answer(*told)
        text, details = told
        error: Exception = _TYPED[kind](*((text, "") if _TYPED[kind] is MissingExtra else (text,)))
        error.args = (text,)
        vars(error).update(details)
        raise error

    def _asked(self, asked: bytes) -> tuple[int | None, Any]:
        code = None
        if self._pipe is not None:
            try:
                self._pipe.send_bytes(asked)
                return pickle.loads(self._pipe.recv_bytes())  # type: ignore[no-any-return]
            except (EOFError, OSError):
                code = self._reap()
        raise UnavailableError(
            f"the process of {self._reference.name} ended with status {code} during a call: "
            "another one takes its place",
            answered=True,  # a row may be why it died
        )

    def kill(self) -> None:
        """End it at once, whatever it does, and whoever waits for it. It can be called anywhere."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                with contextlib.suppress(ValueError):  # it has ended, and was put away
                    self._process.kill()

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self.kill()
        with self._used:
            self._reap()

    def _reap(self) -> int | None:
        """Put away what is left of the process; returns its exit status."""
        self.kill()
        with self._lock:
            process, self._process = self._process, None
            pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if process is None:
            return None
        process.join()
        code: int | None = process.exitcode
        process.close()
        return code


def _work(pipe: Connection, reference: Reference) -> None:
    """What the process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a ^C is for the job, which may want to drain
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    try:
        call = reference.resolve()
    except BaseException as error:
        pipe.send_bytes(pickle.dumps(f"{type(error).__name__}: {error}"))
        return
    pipe.send_bytes(pickle.dumps(None))
    while True:
        try:
            fields, rows = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        pipe.send_bytes(_answered(call, reference.name, fields, rows))


def _end_with(parent: int) -> None:
    wait([parent])
    os._exit(1)


def _answered(
    call: Callable[..., Any], name: str, fields: tuple[str, ...], rows: list[tuple[object, ...]]
) -> bytes:
    try:
        results = call([dict(zip(fields, row, strict=True)) for row in rows])
        answer = answer_of(results, len(rows), name)
        return pickle.dumps((None, (answer.fields, answer.rows, answer.model_version)), protocol=5)
    except _TYPED as error:
        kind = next(index for index, typed in enumerate(_TYPED) if isinstance(error, typed))
        details = {name: value for name, value in vars(error).items() if name in _TOLD}
        return pickle.dumps((kind, (str(error), details)))
    except Exception as error:
        text = f"{name} raised {type(error).__name__}: {error}{_line(error)}"
        return pickle.dumps((_TYPED.index(DataError), (text, {})))


def _line(error: Exception) -> str:
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
