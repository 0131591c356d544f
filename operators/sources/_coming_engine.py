"""An engine that is loaded while the job that will ask for it is still being made."""

from __future__ import annotations

import os
import weakref
from concurrent.futures import Future, wait
from contextlib import suppress
from threading import Thread

from ._engine import Engine, driver

__all__ = ["ComingEngine"]

_under_way: set[Future[Engine]] = set()
"""What is being loaded by any thread of this process."""


def _wait_for_all() -> None:
    wait(_under_way.copy())


# A process that is forked off while a library is half loaded could never load one.
os.register_at_fork(before=_wait_for_all)


class ComingEngine:
    """Loads an engine in a thread, at most one, and hands it to who takes it first.

    A source and its copies share it: each job takes an engine of its own. One that nobody takes is
    let go with them.
    """

    def __init__(self) -> None:
        self._loading: dict[int, Future[Engine]] = {}
        """By the process that loads it: in a fork of that, nobody does."""
        weakref.finalize(self, _let_go, self._loading).atexit = False

    def __reduce__(self) -> tuple[type[ComingEngine], tuple[()]]:
        """A source that is pickled, or copied with all that is in it, takes none along."""
        return ComingEngine, ()

    def begin(self) -> None:
        """Load one, unless one is there that nobody has taken. What goes wrong, `take` raises."""
        with suppress(Exception):
            # Here, and not in the thread: that needs no interpreter then, which others would hold.
            driver()
            coming: Future[Engine] = Future()
            if self._loading.setdefault(os.getpid(), coming) is not coming:
                return
            _under_way.add(coming)
            try:
                # No daemon: Python would end while the engine is half loaded.
                Thread(target=_load, args=(coming,), name="thalweg-engine").start()
            except RuntimeError:  # There are no more threads, and somebody may wait for it already.
                _load(coming)

    def take(self) -> Engine:
        """The engine that is coming, or else a new one. Raises as `Engine` does."""
        coming = self._loading.pop(os.getpid(), None)
        return Engine() if coming is None else coming.result()


def _load(coming: Future[Engine]) -> None:
    try:
        coming.set_result(Engine())
    except BaseException as error:  # Raised where it is taken.
        coming.set_exception(error)
    _under_way.discard(coming)


def _let_go(loading: dict[int, Future[Engine]]) -> None:
    coming = loading.pop(os.getpid(), None)
    if coming is not None:
        coming.add_done_callback(_close)


def _close(coming: Future[Engine]) -> None:
    if coming.exception() is None:
        coming.result().close()
