"""What becomes of a file that was read: it stays, is moved away, or is deleted."""

from __future__ import annotations

import logging
import os
from typing import Literal

from ...runtime.contracts import Context

__all__ = ["Clean", "Cleaner"]

_log = logging.getLogger("thalweg.sources")

Clean = Literal["off", "archive", "delete"]


class Cleaner:
    """Puts a file away as soon as it is read to its end and all of its rows have arrived."""

    def __init__(self, clean: Clean, archive: str | os.PathLike[str] | None) -> None:
        if clean not in ("off", "archive", "delete"):
            raise ValueError(f"clean is 'off', 'archive' or 'delete', not {clean!r}")
        if (clean == "archive") != (archive is not None):
            raise ValueError(
                "archive names the folder for clean='archive', and is for nothing else"
                if archive is not None
                else "clean='archive' needs archive=, the folder to move files to"
            )
        self.clean: Clean = clean
        self._archive = None if archive is None else os.fspath(archive)
        self._context: Context | None = None
        self._last: dict[str, int] = {}
        self._arrived: dict[str, int] = {}
        self._done: list[str] = []

    def fresh(self, context: Context) -> Cleaner:
        """One that has put nothing away yet."""
        made = Cleaner(self.clean, self._archive)
        made._context = context
        return made

    async def finished(self, path: str, last: int) -> bool:
        """A file is read to its end, its last row at `last`; whether it waits for its rows."""
        if self.clean == "off":
            return False
        if last <= self._arrived.pop(path, -1):
            await self._put_away(path)
            return False
        self._last[path] = last
        return True

    async def arrived(self, path: str, position: int) -> bool:
        """All up to here has arrived; returns whether the file is put away now."""
        if self.clean == "off":
            return False
        last = self._last.get(path)
        if last is None:
            self._arrived[path] = position
            return False
        if position < last:
            return False
        del self._last[path]
        await self._put_away(path)
        self._done.append(path)
        return True

    def take_done(self) -> list[str]:
        """The lanes of files that were put away since the last time."""
        done, self._done = self._done, []
        return done

    async def _put_away(self, path: str) -> None:
        assert self._context is not None
        await self._context.in_thread(self._move, path)

    def _move(self, path: str) -> None:
        try:
            if self._archive is None:
                os.unlink(path)
            else:
                os.makedirs(self._archive, exist_ok=True)
                os.replace(path, os.path.join(self._archive, os.path.basename(path)))
        except OSError as error:
            # It was read and has arrived: that it still lies there is no reason to stop.
            _log.warning("%s could not be put away: %s", path, error)
