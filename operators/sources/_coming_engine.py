"""An engine that is loaded while the job that will ask for it is still being made."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future
from threading import Thread

from ...runtime.contracts import MissingExtra
from ._engine import Engine, driver

__all__ = ["ComingEngine"]


class ComingEngine:
    """Loads an engine in a thread, at most one, and hands it to who takes it first.

    A source and its copies share it: each job takes an engine of its own.
    """

    def __init__(self) -> None:
        self._loading: list[Future[Engine]] = []

    def begin(self) -> None:
        """Load one, unless one is there that nobody has taken."""
        if self._loading:
            return
        # Here, and not in the thread: that needs no interpreter then, which others would hold.
        with contextlib.suppress(MissingExtra):  # Raised where the engine is taken.
            driver()
        coming: Future[Engine] = Future()
        self._loading.append(coming)
        # No daemon: Python would end while the engine is half loaded.
        Thread(target=_load, args=(coming,), name="thalweg-engine").start()

    def take(self) -> Engine:
        """The engine that is coming, or else a new one. Raises as `Engine` does."""
        try:
            coming = self._loading.pop()
        except IndexError:
            return Engine()
        return coming.result()


def _load(coming: Future[Engine]) -> None:
    try:
        coming.set_result(Engine())
    except BaseException as error:  # Raised where it is taken.
        coming.set_exception(error)
