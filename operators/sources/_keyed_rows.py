"""What the sources of rows share: page after page behind the last key, for as long as wanted."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar, cast

from ...runtime.contracts import (
    Bookmark,
    Context,
    MisconfiguredError,
    Read,
    Rejected,
    Retry,
    Source,
    UnavailableError,
    did_you_mean,
)
from ._keys import decode_key, encode_key
from ._note import FORGET, Note, encode_note
from ._pages import Pages, Row, Selection
from ._rate import checked_rate

__all__ = ["KeyedRows"]

_log = logging.getLogger("thalweg.sources")

_KIND = "rows"
T = TypeVar("T")


class KeyedRows(Source[Row]):
    """Reads pages of rows. A kind of it says with `selection` which rows."""

    def __init__(
        self,
        pages: Pages,
        *,
        page_size: int,
        poll_interval: float | None,
        lag: float,
        retry: Retry,
        rate: float | None,
    ) -> None:
        if not isinstance(cast(object, page_size), int) or page_size < 1:
            raise ValueError(f"page_size is in rows, 1 or more, not {page_size!r}")
        if poll_interval is not None and not 0 < poll_interval < math.inf:
            raise ValueError(
                f"poll_interval is in seconds, above 0, or None to end, not {poll_interval!r}"
            )
        if not 0 <= lag < math.inf:
            raise ValueError(f"lag is in seconds, 0 or more, not {lag!r}")
        if retry.when_down == "failed":
            raise ValueError("when_down of a source is 'wait' or 'fail': it has no records to fail")
        self.rate = checked_rate(rate)
        self._pages = pages
        self._page_size = page_size
        self._poll_interval = poll_interval
        self.looked = None if poll_interval is None else -math.inf
        self._lag = lag
        self._retry = retry

    @abstractmethod
    async def selection(self, pages: Pages) -> Selection:
        """Which rows to read, now that the database can be asked."""

    async def open(self, context: Context) -> None:
        """Connect, and see that the query can be read by its key."""
        self._node = context.node
        self._retries = context.counter("page_retries", "Pages that were asked for again")
        self._chance = random.Random()
        self._rows: list[Row] = []
        self._bad: dict[int, Exception] = {}
        self._index = 0  # of the first row that has not been handed out
        self._next = 0  # the position of that row
        self._after: object = None  # the key behind which the next page begins
        self._through: object = None  # the key up to which rows have settled
        self._ended = False
        await self._pages.open(context)
        self._selected = selected = await self.selection(self._pages)
        columns = await self._pages.columns(selected)
        if selected.key not in columns:
            hint = did_you_mean(selected.key, columns)
            raise MisconfiguredError(
                f"key={selected.key!r} is not a column of the query{hint}; it has {columns}"
            )
        if await self._pages.value(selected, selected.without_key()) is not None:
            raise MisconfiguredError(
                f"there are rows without a {selected.key!r}, which would never be read: name a "
                "column that is never NULL, or leave them out in the query"
            )

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on behind the key of the last row."""
        mark = bookmarks.get("", Bookmark(-1))
        if mark.last < 0:
            return
        note = Note(mark.note, _KIND, self._node)
        if note.text("column") != self._selected.key:
            raise MisconfiguredError(
                f"{self._node} was read by key={note.text('column')!r}, and now is by "
                f"{self._selected.key!r}: name the same key, or {FORGET}"
            )
        self._next = mark.last + 1
        self._after = decode_key(note.text("type"), note.text("key"))

    async def read(self, limit: int) -> Read[Row] | None:
        """The next rows; where there are none yet, wait for some."""
        while self._index == len(self._rows):
            if self._ended or not await self._turn_page():
                self._ended = True
                return None
        first, start = self._index, self._next
        taken = self._rows[first : first + limit]
        self._index += len(taken)
        self._next += len(taken)
        kind, key = encode_key(taken[-1][self._selected.key], self._selected.key)
        note = encode_note(_KIND, column=self._selected.key, type=kind, key=key)
        if not self._bad:
            return Read(taken, range(start, self._next), note=note)
        bad = {at: self._bad[first + at] for at in range(len(taken)) if first + at in self._bad}
        return Read(
            [row for at, row in enumerate(taken) if at not in bad],
            [start + at for at in range(len(taken)) if at not in bad],
            rejected=[Rejected(start + at, taken[at], error) for at, error in bad.items()],
            note=note,
        )

    async def close(self) -> None:
        """Let go of the database."""
        await self._pages.close()

    async def _turn_page(self) -> bool:
        """Get the next rows; False where there are none, and there will be none."""
        pages, selected, most = self._pages, self._selected, self._page_size
        while True:
            began = asyncio.get_running_loop().time()
            if not self._lag or await self._settle():
                # One more than wanted shows whether a page ends between two rows of the same key.
                page = await self._ask(
                    lambda: pages.page(selected, self._after, self._through, most + 1)
                )
                if page.rows:
                    self._check(page.rows)
                    self._rows, self._bad, self._index = page.rows[:most], page.bad, 0
                    self._after = self._rows[-1][selected.key]
                    return True
                self._through = None
            if self._poll_interval is None:
                return False
            self.looked = began
            await asyncio.sleep(self._poll_interval)

    async def _settle(self) -> bool:
        """Whether there are rows up to `through`, which has been seen `lag` seconds ago."""
        if self._through is None:
            selected = self._selected
            last = await self._ask(lambda: self._pages.value(selected, selected.last_key()))
            if last is None or last == self._after:
                return False
            await asyncio.sleep(self._lag)
            self._through = last
        return True

    def _check(self, rows: list[Row]) -> None:
        key = self._selected.key
        before = self._after
        for row in rows:
            if row[key] == before:
                raise MisconfiguredError(
                    f"several rows have the key {key}={before!r}, and a page could end between "
                    "them: name a column without repeats, such as the primary key"
                )
            before = row[key]
        encode_key(before, key)

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask until the database can answer. A page is asked for by its key: it is the same."""
        attempt = 0
        while True:
            try:
                answer = await question()
            except UnavailableError as error:
                attempt += 1
                if attempt >= self._retry.attempts and self._retry.when_down == "fail":
                    raise
                if attempt == 1:
                    _log.warning("%s: %s; trying again", self._node, error)
                self._retries.add()
                await asyncio.sleep(self._retry.pause(attempt, self._chance))
            else:
                if attempt:
                    _log.info("%s: the database answers again", self._node)
                return answer
