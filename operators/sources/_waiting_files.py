"""The files of a stream that are there and have not been read, in the order of their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from time import perf_counter

from ...runtime.contracts import Context
from ._file_listing import Found, list_files
from ._file_log import FileLog

__all__ = ["WaitingFiles"]

_SELDOM = 20
"""A folder is not looked at again before so many times the time that the last look took."""


class WaitingFiles:
    """What is found of `patterns` and not in the `log`, each file once.

    Without `poll_interval` the folder is looked at once; else again when so many seconds, and
    twenty times as long as the last look took, have passed.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        log: FileLog,
        context: Context,
        *,
        latest_first: bool,
        poll_interval: float | None,
    ) -> None:
        self._patterns = patterns
        self._log = log
        self._context = context
        self._latest_first = latest_first
        self._poll_interval = poll_interval
        self._files: deque[Found] = deque()
        self._known: set[str] = set()
        """Those that wait or are being read: what has been read stands in the log."""
        self._any = False
        self.looked = 0.0
        """When it last began to look, by the loop's time."""
        self._looked_until = 0.0

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Found]:
        return iter(self._files)

    @property
    def found_none(self) -> bool:
        """Whether nothing that matches was ever there, before this start either.

        What was put away when it had been read is in no log any more.
        """
        return not (self._any or len(self._log) or self._log.triggers)

    def next(self) -> Found:
        """The file whose turn it is."""
        return self._files.popleft()

    def done(self, path: str) -> None:
        """This one stands in the log from now on, or is not there any more."""
        self._known.discard(path)

    async def look(self) -> None:
        """See which files there are, unless that was done just now."""
        now = asyncio.get_running_loop().time()
        if self._looked_until and (self._poll_interval is None or now < self._looked_until):
            return
        began, self.looked = perf_counter(), now
        found = await self._context.in_thread(
            list_files,
            self._patterns,
            lambda path: path not in self._known and path not in self._log,
        )
        took = perf_counter() - began
        self._looked_until = now + max(self._poll_interval or 1.0, _SELDOM * took)
        self._known.update(file.path for file in found)
        if found:
            self._any = True
            self._files = deque(sorted([*self._files, *found], reverse=self._latest_first))
