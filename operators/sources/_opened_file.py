"""A file of a stream of files while it is read: its next piece is always on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ...runtime.contracts import Context
from ._engine import Link
from ._file_listing import Found
from ._piece import Piece

__all__ = ["OpenedFile"]


class OpenedFile:
    """Reads a file in a thread, one piece ahead of who asks; `last` is the last row handed over."""

    def __init__(
        self,
        file: Found,
        pieces: Iterator[Piece],
        link: Link,
        context: Context,
        start: int,
    ) -> None:
        self.file = file
        self.last = start - 1
        self._pieces = pieces
        self._link = link
        self._context = context
        self._next = self._ask()

    async def next(self) -> Piece | None:
        """The next piece; None at the end of the file. A wait may be cancelled: nothing is lost."""
        piece = await asyncio.shield(self._next)
        if piece is not None:
            self._next = self._ask()
        return piece

    async def close(self) -> None:
        """Wait for the thread, which cannot be stopped, and read no more."""
        await asyncio.wait([self._next])
        if not self._next.cancelled():
            self._next.exception()
        self._link.close()

    def _ask(self) -> asyncio.Future[Piece | None]:
        return asyncio.ensure_future(self._context.compute(self._one))

    def _one(self) -> Piece | None:
        piece = next(self._pieces, None)
        if piece is None:
            self._link.close()
        return piece
