"""What is read ahead in a thread, so that nothing else waits for a keyboard or a slow disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from threading import Semaphore, Thread
from typing import Generic, TypeVar

__all__ = ["ReadAhead"]

T = TypeVar("T")

_MOST = 1_024


class ReadAhead(AsyncIterator[T], Generic[T]):
    """The items of an iterator that may block, in their order, at most 1,024 of them ahead.

    The thread is no one's to wait for: one that waits for a keyboard cannot be stopped, and must
    not keep the process from ending. Made on the loop that it is used on.
    """

    def __init__(self, iterator: Iterator[T]) -> None:
        self._iterator = iterator
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._read: deque[T] = deque()
        self._room = Semaphore(_MOST)
        self._ended = self._closed = False
        self._error: BaseException | None = None
        Thread(target=self._run, name="thalweg-read-ahead", daemon=True).start()

    async def __anext__(self) -> T:
        while not self._read:
            if self._ended and not self._read:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._arrived.clear()
            if not self._read and not self._ended:
                await self._arrived.wait()
        self._room.release()
        return self._read.popleft()

    def close(self) -> None:
        """Let the thread end as soon as it has read what it waits for."""
        self._closed = True
        self._room.release()

    def _run(self) -> None:
        try:
            for item in self._iterator:
                self._room.acquire()
                if self._closed:
                    return
                self._read.append(item)
                if not self._arrived.is_set():
                    self._loop.call_soon_threadsafe(self._arrived.set)
        except BaseException as error:
            self._error = error
        finally:
            self._ended = True
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                self._loop.call_soon_threadsafe(self._arrived.set)
