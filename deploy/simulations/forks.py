"""Runs each seed in a fresh process, some of them side by side."""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field

from ...runtime.dataclass import dataclass

__all__ = ["Result", "Work", "fork_each"]

Result = dict[str, object]
"""What a process says of its seed, as plain data; `seed` is always there."""

Work = Callable[[int], Result]
"""What is done with a seed, in a process of its own."""


@dataclass(slots=True)
class _Child:
    seed: int
    pid: int
    until: float
    said: bytearray = field(default_factory=bytearray)


def fork_each(
    seeds: Iterable[int], work: Work, *, jobs: int, timeout: float, quiet: bool = True
) -> Iterator[Result]:
    """The result of each seed, in the order in which they come; `jobs` processes at once.

    A process is a copy of this one, made by `fork`, which takes a few milliseconds where a new
    interpreter takes some hundred: so everything that a seed needs is best imported before, and no
    other thread may run here. One that ends without a result, or has none after `timeout` seconds,
    is reported as `{"seed": …, "died": why}`. With `quiet` nothing that it prints is shown.
    """
    waiting = iter(seeds)
    gc.collect()
    gc.freeze()  # What is there already need not be looked at, nor copied, in each process.
    with selectors.DefaultSelector() as selector:
        running = 0
        more = True
        try:
            while more or running:
                while more and running < jobs:
                    seed = next(waiting, None)
                    if seed is None:
                        more = False
                        break
                    reader, child = _start(seed, work, timeout, quiet)
                    selector.register(reader, selectors.EVENT_READ, child)
                    running += 1
                for reader, child in _heard_or_late(selector):
                    selector.unregister(reader)
                    os.close(reader)
                    running -= 1
                    yield _result(child)
        finally:
            for key in list(selector.get_map().values()):
                _end(key.data)
                os.close(key.fd)
            gc.unfreeze()


def _start(seed: int, work: Work, timeout: float, quiet: bool) -> tuple[int, _Child]:
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return reader, _Child(seed, pid, time.monotonic() + timeout)
    status = 1
    try:
        os.close(reader)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # What the user's code prints must not mix with what is said to whoever started this.
        os.dup2(os.open(os.devnull, os.O_WRONLY) if quiet else 2, 1)
        if quiet:
            os.dup2(1, 2)
        said = json.dumps(work(seed)).encode()
        while said:
            said = said[os.write(writer, said) :]
        status = 0
    finally:
        # Nothing is torn down: what would be is the parent's.
        os._exit(status)


def _heard_or_late(selector: selectors.BaseSelector) -> list[tuple[int, _Child]]:
    """The children that have said all, or have had their time."""
    done: list[tuple[int, _Child]] = []
    for key, _ in selector.select(0.5):
        child: _Child = key.data
        part = os.read(key.fd, 65_536)
        child.said += part
        if not part:
            done.append((key.fd, child))
    now = time.monotonic()
    for key in list(selector.get_map().values()):
        child = key.data
        if now > child.until and all(child is not other for _, other in done):
            done.append((key.fd, child))
    return done


def _result(child: _Child) -> Result:
    late = time.monotonic() > child.until
    status = _end(child) if late else os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    if child.said and not late:
        try:
            found: Result = json.loads(child.said)
        except ValueError:
            pass  # It died while it said it.
        else:
            return found
    why = "it did not end in time" if late else f"its process ended with status {status}"
    if status < 0 and not late:
        why = f"its process was ended by {signal.Signals(-status).name}"
    return {"seed": child.seed, "died": why}


def _end(child: _Child) -> int:
    os.kill(child.pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
