"""Requests whose body is written at once, as long as the loop has time to spare."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection

__all__ = ["Spare", "prompt_requests"]

_EVERY = 16
"""Requests from one look at the clocks to the next."""

_SHORTEST = 0.002
"""Seconds: over less than this, the clock of a thread says little."""

_EASY, _BUSY = 0.6, 0.85
"""Shares of the time: a loop that was busy for less has time to spare, for more has none. What is
between changes nothing, since requests that are written at once take more of it."""


class Spare:
    """Whether the thread that asks has time to spare, looked at again every 16 times.

    >>> spare = Spare()
    >>> spare.has_time()  # nothing is known yet
    False
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.perf_counter,
        busy: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clocks = wall, busy
        self._looked = wall(), busy()
        self._left = _EVERY
        self._spare = False

    def has_time(self) -> bool:
        """As far as is known."""
        self._left -= 1
        if not self._left:
            self._left = _EVERY
            wall, busy = (clock() for clock in self._clocks)
            passed, worked = wall - self._looked[0], busy - self._looked[1]
            if passed > _SHORTEST:
                self._looked = wall, busy
                self._spare = worked < (_BUSY if self._spare else _EASY) * passed
        return self._spare


def prompt_requests() -> type[ClientRequest]:
    """The kind of request for a session that is to write at once while there is time to spare.

    Before Python 3.12, aiohttp writes the body of a request in a task of its own, in a later turn
    of the loop: behind all answers that came in this one. To a server that takes a few
    milliseconds, the connections stand idle meanwhile. A loop that is never idle anyhow is
    better off with few long turns than with many short ones, so then it is left to the task.
    """
    from aiohttp import ClientRequest

    if sys.version_info >= (3, 12):
        return ClientRequest  # It begins its tasks at once by itself.
    spare = Spare()

    class PromptRequest(ClientRequest):
        def write_bytes(  # pyright: ignore[reportIncompatibleMethodOverride]
            self, writer: AbstractStreamWriter, conn: Connection, *length: int | None
        ) -> Coroutine[object, object, None]:
            writing = super().write_bytes(writer, conn, *length)
            if not spare.has_time():
                return writing
            try:
                waits_for: object = writing.send(None)
            except StopIteration:
                return _nothing()
            return _rest(writing, waits_for)

    return PromptRequest


async def _nothing() -> None:
    pass


async def _rest(writing: Coroutine[object, object, None], waits_for: object) -> None:
    await _finish(writing, waits_for)


@types.coroutine
def _finish(
    writing: Coroutine[object, object, None], waits_for: object
) -> Generator[object, object, None]:
    """What is left of a coroutine that was begun and has to wait."""
    while True:
        thrown: BaseException | None = None
        sent: object = None
        try:
            sent = yield waits_for
        except BaseException as error:
            thrown = error
        try:
            waits_for = writing.send(sent) if thrown is None else writing.throw(thrown)
        except StopIteration:
            return
