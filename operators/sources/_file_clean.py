"""What becomes of a file that was read: it stays, is moved away, or is deleted."""

from __future__ import annotations

import fnmatch
import logging
import math
import os
from collections.abc import Sequence
from typing import Literal

from ...runtime.contracts import Context
from ._file_listing import Found, list_files
from ._file_log import FileLog

__all__ = ["Clean", "Cleaner"]

_log = logging.getLogger("thalweg.sources")

Clean = Literal["off", "archive", "delete"]


_COARSE = 20_000_000
"""Nanoseconds by which the time of a file may lie behind the clock: more than any system has."""


class Cleaner:
    """Puts a file away as soon as it is read to its end and all of its rows have arrived."""

    def __init__(
        self, clean: Clean, archive: str | os.PathLike[str] | None, patterns: Sequence[str]
    ) -> None:
        if clean not in ("off", "archive", "delete"):
            raise ValueError(f"clean is 'off', 'archive' or 'delete', not {clean!r}")
        if (clean == "archive") != (archive is not None):
            raise ValueError(
                "archive names the folder for clean='archive', and is for nothing else"
                if archive is not None
                else "clean='archive' needs archive=, the folder to move files to"
            )
        for pattern in patterns if archive is not None else ():
            if _is_read(os.fspath(archive or ""), pattern):
                raise ValueError(
                    f"{pattern!r} reads what is in archive={os.fspath(archive or '')!r}, so each "
                    "file would be read for ever: archive to another folder"
                )
        self.clean: Clean = clean
        self._patterns = patterns
        self._archive = None if archive is None else os.fspath(archive)
        self._context: Context | None = None
        self._last: dict[str, tuple[Found, int]] = {}
        self._arrived: dict[str, int] = {}
        self._done: list[str] = []

    def fresh(self, context: Context) -> Cleaner:
        """One that has put nothing away yet."""
        made = Cleaner(self.clean, self._archive, self._patterns)
        made._context = context
        return made

    async def go_on(self, log: FileLog) -> None:
        """Put away what was read by a job that ended before it could.

        All that an epoch knows to be read has arrived. What is newer than that is another file.
        """
        assert self._context is not None
        if self.clean != "off" and len(log):
            for path in await self._context.in_thread(self._move_read, log):
                log.drop(path)

    def _move_read(self, log: FileLog) -> list[str]:
        found = list_files(self._patterns, lambda path: path in log)
        paths = [one.path for one in found if _changed(one.path) < log.noted - _COARSE]
        return [path for path in paths if self._move(path)]

    async def finished(self, file: Found, last: int) -> bool | None:
        """A file is read to its end, its last row at `last`: whether it is gone now.

        None where it waits for its rows to arrive.
        """
        if self.clean == "off":
            return False
        if last <= self._arrived.pop(file.path, -1):
            return await self._put_away(file)
        self._last[file.path] = file, last
        return None

    async def arrived(self, path: str, position: int) -> bool | None:
        """All up to here has arrived: whether the file is gone now.

        None where that is not all of it, or it stays anyway.
        """
        if self.clean == "off":
            return None
        file, last = self._last.get(path, (None, -1))
        if file is None:
            self._arrived[path] = position
            return None
        if position < last:
            return None
        del self._last[path]
        gone = await self._put_away(file)
        if gone:
            self._done.append(path)
        return gone

    def take_done(self) -> list[str]:
        """The lanes of files that were put away since the last time."""
        done, self._done = self._done, []
        return done

    async def _put_away(self, file: Found) -> bool:
        assert self._context is not None
        return await self._context.in_thread(self._move, file.path, file.number)

    def _move(self, path: str, number: int | None = None) -> bool:
        """Put a file away; whether what is found under its name from now on is another."""
        try:
            if number is not None and os.stat(path).st_ino != number:
                return True  # Another has taken its name, and nobody has read that.
            if self._archive is None:
                os.unlink(path)
            else:
                os.makedirs(self._archive, exist_ok=True)
                from shutil import move  # The archive may be on another disk.

                move(path, _free(os.path.join(self._archive, os.path.basename(path))))
        except OSError as error:
            # It was read and has arrived: that it still lies there is no reason to stop.
            _log.warning("%s could not be put away: %s", path, error)
            return isinstance(error, FileNotFoundError) and not os.path.lexists(path)
        return True


def _changed(path: str) -> float:
    """When a file was last changed, renamed or put there; never where it has vanished."""
    try:
        return os.stat(path).st_ctime_ns
    except OSError:
        return math.inf


def _free(path: str) -> str:
    """This path, or one like it that no file has: files of several folders may have one name."""
    name, ending = os.path.splitext(path)
    tried, number = path, 0
    while os.path.lexists(tried):
        number += 1
        tried = f"{name}-{number}{ending}"
    return tried


def _is_read(archive: str, pattern: str) -> bool:
    """Whether the files in a folder are among those that a pattern names."""
    held = os.path.abspath(archive)
    if os.path.abspath(pattern) == held or os.path.isdir(pattern):
        return os.path.abspath(pattern) == held
    above, some, _ = pattern.partition("**")
    if some:
        return f"{held}/".startswith(os.path.join(os.path.abspath(os.path.dirname(above)), ""))
    parts = os.path.abspath(os.path.dirname(pattern)).split(os.sep)
    others = held.split(os.sep)
    return len(parts) == len(others) and all(map(fnmatch.fnmatch, others, parts))
