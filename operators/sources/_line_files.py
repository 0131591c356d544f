"""What the sources of lines share: many files, one lane each, and where each of them stands."""

from __future__ import annotations

import asyncio
import glob
import logging
import math
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

from ...runtime.contracts import (
    Bookmark,
    Context,
    DataError,
    MisconfiguredError,
    Read,
    Rejected,
    Source,
)
from ._encoding import BOM, checked_encoding, undecodable
from ._generations import rotated_from
from ._line_reader import Lines, Overlong
from ._overlong import beginning, too_long
from ._rate import checked_rate
from ._tailed_file import TailedFile

__all__ = ["LineFiles", "Paths"]

_log = logging.getLogger("thalweg.sources")

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A path, a pattern with `*`, `?` or `[`, or several of them."""

R = TypeVar("R")


class LineFiles(Source[R]):
    """Reads files line by line. A kind of it says with `convert` what it makes of a line."""

    def __init__(
        self,
        paths: Paths,
        *,
        follow: bool,
        consecutive: bool = False,
        poll_interval: float,
        rotation_wait: float,
        encoding: str,
        max_line_bytes: int,
        rate: float | None,
    ) -> None:
        given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        self._paths = [os.fspath(path) for path in given]
        if not self._paths or not all(self._paths):
            raise ValueError("paths names no file, or has an empty name among others")
        if len(set(self._paths)) < len(self._paths):
            raise ValueError("paths names a file twice")
        if not 0 < poll_interval <= 3600:
            raise ValueError(f"poll_interval is in seconds, above 0, not {poll_interval!r}")
        if not poll_interval <= rotation_wait <= 86_400:
            raise ValueError(
                f"rotation_wait is in seconds, poll_interval={poll_interval!r} or more,"
                f" not {rotation_wait!r}"
            )
        if not isinstance(cast(object, max_line_bytes), int) or max_line_bytes < 1:
            raise ValueError(f"max_line_bytes is 1 or more, not {max_line_bytes!r}")
        if consecutive and follow:
            raise ValueError("consecutive is for files that are read once, not for follow=True")
        self._consecutive = consecutive
        self.rate = checked_rate(rate)
        self.encoding = checked_encoding(encoding)
        self._follow = follow
        self._poll_interval = poll_interval
        self._rotation_wait = rotation_wait
        self._max_line_bytes = max_line_bytes

    @abstractmethod
    def convert(self, line: bytes) -> R | None:
        """The record of a line, None for none; raises DataError with the reason."""

    @abstractmethod
    def convert_all(self, lines: list[bytes]) -> list[R] | None:
        """The records of all lines, one each, in one go; None if that is not possible."""

    async def open(self, context: Context) -> None:
        """See which files there are."""
        self._context = context
        self._files: dict[str, TailedFile] = {}
        self._order: list[TailedFile] = []
        self._turn = 0  # whose turn it is to be read
        self._scan_at = 0.0
        self.looked = -math.inf if self._follow else None
        self._open_later: list[TailedFile] = []
        self._left: tuple[str, ...] | None = None  # the lanes, as they were told last
        self._begins = True
        self._unread: set[str] = set()  # of those that are followed: nothing of them is known
        for path in await context.in_thread(self._match):
            file = self._add(path)
            if self._follow or context.fence is None:
                file.open()
            else:
                # One that has been read to its end, which `seek` will tell, need not be there.
                self._open_later.append(file)

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on in each file behind its bookmark."""
        for lane, mark in bookmarks.items():
            file = self._files.get(lane)
            if file is None:
                if not any(map(glob.has_magic, self._paths)):
                    _log.warning(
                        "%s: %s is not among the paths any more; the rest of it is not read",
                        self._context.node,
                        lane,
                    )
                    continue
                file = self._add(lane)
            if mark.note or mark.last >= 0:
                await file.seek(mark.note)
        for path in self._files.keys() - bookmarks.keys():
            self._refuse_renamed(path)

    async def read(self, limit: int) -> Read[R] | None:
        """Lines of one file; if there are none, wait until a file grows."""
        while self._open_later:
            file = self._open_later.pop()
            if not file.ended and not file.inode:
                file.open()
        if self._begins:
            self._begins = False
            self._left = tuple(file.path for file in self._order if not file.ended)
            self._unread = set(self._left) if self._follow else set()
        while True:
            taken = await self._take(limit)
            if taken is None:
                if not self._follow:
                    return None
                if self._left is not None:
                    # None of them is behind: those that are quiet are waited for no longer.
                    self._left = None
                    return Read([], [], lane=self._order[0].path if self._order else "")
                self.looked = self._all_looked_at()
                await asyncio.sleep(self._poll_interval)
            elif (read := self._read(*taken)) is not None:
                return read
            else:
                await asyncio.sleep(0)  # a long line may take many blocks

    async def close(self) -> None:
        """Close all files."""
        for file in getattr(self, "_files", {}).values():
            file.close()

    async def _take(self, limit: int) -> tuple[TailedFile, Lines] | None:
        """Lines of the file whose turn it is, of those that have not just been found unchanged."""
        now = asyncio.get_running_loop().time()
        if self._follow and now >= self._scan_at:
            await self._scan()
        for _ in range(len(self._order)):
            file = self._order[self._turn % len(self._order)]
            if not file.ended and now >= file.look_at:
                taken = await file.take(limit)
                if taken is not None:
                    # Files that grow are read in turn, others one after the other.
                    self._turn += self._follow
                    return file, taken
                self._unread.discard(file.path)
                # A timer may be early by a little.
                file.look_at = now + 0.9 * self._poll_interval
            self._turn += 1
        return None

    def _all_looked_at(self) -> float:
        """Since when each file, and each folder, has been looked at."""
        files = [one.look_at - 0.9 * self._poll_interval for one in self._order if not one.ended]
        return min([self._scan_at - self._poll_interval, *files])

    def _read(self, file: TailedFile, taken: Lines) -> Read[R] | None:
        if not taken.lines:
            if not file.moved:
                return None
            note = file.note()
            if file.ended:
                file.close()
            return Read([], [], lane=file.path, note=note, lanes=self._lanes_with(file))
        base, lines = file.base, taken.lines
        positions = [base + offset for offset in taken.offsets] if base else taken.offsets
        if taken.offsets[0] == 0 and self.encoding == "utf-8":
            first = lines[0]
            lines = [first if isinstance(first, Overlong) else first.removeprefix(BOM), *lines[1:]]
        records = self.convert_all(cast("list[bytes]", lines)) if taken.whole else None
        if records is not None:
            lanes = self._lanes_with(file, begun=True)
            return Read(records, positions, lane=file.path, note=file.note(), lanes=lanes)
        return self._read_each(file, lines, positions, taken.number)

    def _read_each(
        self, file: TailedFile, lines: list[bytes | Overlong], positions: list[int], number: int
    ) -> Read[R]:
        records: list[R] = []
        good: list[int] = []
        rejected: list[Rejected] = []
        for index, (line, position) in enumerate(zip(lines, positions, strict=True)):
            try:
                record = self._convert(line)
            except DataError as error:
                told = DataError(f"{file.name}, line {number + index}: {error}")
                rejected.append(Rejected(position, self._shown(line), told))
            else:
                if record is not None:
                    records.append(record)
                    good.append(position)
        note, lanes = file.note(), self._lanes_with(file, begun=bool(records))
        return Read(records, good, file.path, rejected, note, lanes)

    def _lanes_with(self, file: TailedFile, *, begun: bool = False) -> tuple[str, ...] | None:
        """The lanes that are left when this one is read.

        Of files that are read one after the other, the first are only left out when the last
        begins: until then nothing can be told anyhow. Where they are consecutive, only the one that
        is read is left. Files that are followed never end, and are told until each has been read
        once, or been found to hold nothing.
        """
        if self._consecutive:
            if self._left is None or self._left != (file.path,):
                self._left = (file.path,)
        elif not self._follow:
            if self._left is not None and len(self._left) > 1 and file.path == self._left[-1]:
                self._left = (file.path,)
        elif not self._unread:
            self._left = None
        if begun:
            self._unread.discard(file.path)
        return self._left

    def _convert(self, line: bytes | Overlong) -> R | None:
        if isinstance(line, Overlong):
            raise DataError(too_long(line.length, self._max_line_bytes))
        if b"\0" in line:
            raise DataError(f"a NUL at byte {line.index(0) + 1}")
        try:
            return self.convert(line)
        except UnicodeDecodeError as error:
            raise DataError(undecodable(line, self.encoding, error)) from None

    def _shown(self, line: bytes | Overlong) -> str:
        text = beginning(line.start) if isinstance(line, Overlong) else line.removesuffix(b"\r")
        return text.decode(self.encoding, "backslashreplace")

    def _match(self) -> list[str]:
        """The files that there are, in order; in a thread, as a folder may be large."""
        found: list[str] = []
        for path in self._paths:
            if not glob.has_magic(path) or os.path.exists(path):
                found.append(path)
                continue
            matching = sorted(filter(os.path.isfile, glob.glob(path, recursive=True)))
            if not matching and not self._follow:
                raise MisconfiguredError(f"no file matches {path!r}")
            found += matching
        known = set(found)
        return [
            path
            for path in dict.fromkeys(found)
            if not self._follow or path in self._paths or rotated_from(path, known) is None
        ]

    async def _scan(self) -> None:
        """Look for new files that match a pattern."""
        if not any(map(glob.has_magic, self._paths)):
            self._scan_at = math.inf
            return
        self._scan_at = asyncio.get_running_loop().time() + self._poll_interval
        for path in await self._context.in_thread(self._match):
            if path not in self._files:
                self._add(path).open()
                self._refuse_renamed(path)

    def _add(self, path: str) -> TailedFile:
        file = self._files[path] = TailedFile(
            path,
            self._context,
            follow=self._follow,
            max_line_bytes=self._max_line_bytes,
            rotation_wait=self._rotation_wait,
        )
        self._order.append(file)
        return file

    def _refuse_renamed(self, path: str) -> None:
        """Refuse to read a file a second time because it has been renamed."""
        inode = self._files[path].inode
        for other in self._files.values():
            if self._follow and inode and other.path != path and other.inode == inode:
                raise MisconfiguredError(
                    f"{path} is the file that is read as {other.path}, under another name: it "
                    "would be read twice. Let paths match no name that a file is renamed to"
                )
