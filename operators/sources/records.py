"""`records`: what an iterable holds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar, cast

from ...runtime.contracts import Bookmark, Context, MisconfiguredError, Source
from ._rate import checked_rate

__all__ = ["Records", "records"]

R = TypeVar("R")
_STEP = 10_000
"""Records that are passed over in one turn of the loop."""


class Records(Source[R]):
    """The source that `records` makes; see there."""

    def __init__(
        self, iterable: Iterable[R] | Callable[[], Iterable[R]], *, rate: float | None = None
    ) -> None:
        given: object = iterable
        if isinstance(given, AsyncIterable):
            raise TypeError("records takes a plain iterable; for an async one use generate")
        if not isinstance(given, Iterable) and not callable(given):
            raise TypeError(
                f"records takes an iterable or a function that returns one, not {given!r}"
            )
        self.rate = checked_rate(rate)
        self._iterable = iterable
        # Shared by the copies for all jobs on purpose: an iterator can be read once only.
        self._used: list[bool] = []
        self._list: list[R] | None = None

    async def open(self, context: Context) -> None:
        """Take a fresh iterator."""
        self._next = 0  # the place in the list
        self._skip = 0  # how many records of an iterator are passed over
        given = self._iterable
        if type(given) is list:
            # A list is cut, which costs a tenth of asking its iterator for one record at a time.
            self._list = cast("list[R]", given)
            return
        self._iterator = _iterator(given)
        if self._iterator is given:
            if self._used:
                raise MisconfiguredError(
                    "records was given an iterator, which another job has read: give it"
                    " a list, or a function that returns a fresh iterator"
                )
            self._used.append(True)
        self._error: Exception | None = None

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Pass over what was read before."""
        if "" in bookmarks:
            self._next = self._skip = bookmarks[""].last + 1

    async def read(self, limit: int) -> list[R] | None:
        """The next `limit` records, or what is left."""
        if self._list is not None:
            cut = self._list[self._next : self._next + limit]
            self._next += len(cut)
            return cut or None
        while self._skip:
            step = min(self._skip, _STEP)
            self._skip -= step
            deque(islice(self._iterator, step), maxlen=0)
            await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        taken: list[R] = []
        try:
            # Unlike list(...), this keeps what came before an error.
            taken.extend(islice(self._iterator, limit))
        except Exception as error:
            if not taken:
                raise
            self._error = error
        return taken or None


def records(
    iterable: Iterable[R] | Callable[[], Iterable[R]], *, rate: float | None = None
) -> Records[R]:
    """The records that an iterable holds, as they are.

    >>> source = records([{"n": 1}, {"n": 2}])
    >>> endless = records(lambda: iter(range(10**9)), rate=100)

    Parameters:

    - `iterable`: any iterable, or a function that returns a fresh one for each job that starts;
      an iterator can be read by one job only. It must not block: it is read on the loop, as many
      records at a time as fit a batch.
    - `rate`: records a second at most (no limit); kept by the runtime.

    Raises TypeError for what is not iterable, ValueError for a rate that is not above 0.

    - Emits when: a batch is full, or the iterable ends.
    - Waits when: never.
    - Ends when: the iterable does.
    - Order: that of the iterable; positions count from 0.
    - State: none but the position. After a restart the iterable must give the same records again:
      what came before the position is passed over, in a list by its index.
    - On error: an exception of the iterable is a failure, after the records that came before it.
    """
    return Records(iterable, rate=rate)


def _iterator(given: Iterable[R] | Callable[[], Iterable[R]]) -> Iterator[R]:
    if isinstance(given, Iterable):
        return iter(cast("Iterable[R]", given))  # type: ignore[redundant-cast]  # for pyright
    return iter(given())
