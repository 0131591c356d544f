"""A file that is read line by line, once or as it grows, is rotated, truncated or replaced."""

from __future__ import annotations

import asyncio
import logging
import os

from ...runtime.contracts import Context, MisconfiguredError
from ._file import fingerprint, open_file, refuse_another
from ._generations import Mark, following, locate
from ._line_reader import LineReader, Lines
from ._note import FORGET, Note, encode_note

__all__ = ["TailedFile"]

_log = logging.getLogger("thalweg.sources")

_KIND = "lines"
_ROTATED, _GONE, _TRUNCATED = "rotated", "gone", "truncated"
_NOTHING = Lines([], [], 0)


class TailedFile:
    """What stands under one path: a lane. Followed, it may be one file after another.

    `name` is that under which the present file was found, which may be that of a rotated one;
    `base` is the position of the first byte of the present file: how many bytes the files before
    it had. `moved` says that the place has changed by more than the lines that were taken.
    """

    def __init__(
        self,
        path: str,
        context: Context,
        *,
        follow: bool,
        max_line_bytes: int,
        rotation_wait: float,
    ) -> None:
        self.path = path
        self.name = path
        self.base = 0
        self.ended = False
        self.moved = False
        self.look_at = 0.0
        self._context = context
        self._follow = follow
        self._limit = max_line_bytes
        self._wait = rotation_wait
        self._reader: LineReader | None = None
        self._inode = 0
        self._leaving = ""
        self._quiet: tuple[int, float] | None = None
        self._missed = False

    @property
    def inode(self) -> int:
        """Of the file that is open; 0 for none."""
        return 0 if self._reader is None else self._inode

    def open(self) -> None:
        """See that it is there. A file that is followed may be missing, its folder may not."""
        if self._open(self.path):
            if self._follow:
                # So that it is known again if it is rotated before a line of it was read.
                self.moved = True
            else:
                self.close()  # until its turn has come: there may be many
            return
        folder = os.path.dirname(os.path.abspath(self.path))
        if not self._follow or not os.path.isdir(folder):
            raise MisconfiguredError(f"cannot read {os.path.abspath(self.path)!r}: no such file")
        _log.warning("%s: does not exist yet; waiting for it", self.path)
        self._missed = True

    async def seek(self, data: bytes) -> None:
        """Go on behind this note."""
        note = Note(data, _KIND, self._context.node)
        offset, line, known = note.number("offset"), note.number("line"), note.text("fingerprint")
        self.base = note.number("base")
        if not self._follow:
            self.ended = note.flag("ended")
            if not self.ended:
                self._seek_here(offset, line, known)
            return
        inode = note.number("inode")
        if inode:
            if await self._find(Mark(inode, offset, known), offset, line) is not None:
                return
            self._tell_lost(offset)
            self.base += offset
        self._open(self.path)
        self.moved = True

    async def take(self, limit: int) -> Lines | None:
        """The next lines, perhaps none just yet; None when there is nothing to read for now."""
        if self._reader is None and not self._appear():
            return None
        assert self._reader is not None, "_appear has opened it"
        taken = self._reader.take(limit, last=bool(self._leaving) or not self._follow)
        if taken is not None or self.moved:
            return taken or _NOTHING
        if not self._follow:
            self._end(self._reader)
        elif self._leaving:
            return _NOTHING if await self._leave(self._reader) else None
        elif self._reader.changed():
            await self._look_for_copy(self._reader)
        elif not self._is_over(self._reader):
            return None
        return _NOTHING

    def note(self) -> bytes:
        """How to go on behind what has been taken."""
        self.moved = False
        reader, offset, line, known = self._reader, 0, 1, ""
        if reader is not None:
            offset, line = reader.offset, reader.line
            known = fingerprint(reader.descriptor, offset)
        return encode_note(
            _KIND,
            inode=self.inode,
            offset=offset,
            line=line,
            base=self.base,
            fingerprint=known,
            ended=self.ended,
        )

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(
        self, path: str, offset: int = 0, line: int = 1, *, mark: Mark | None = None, inode: int = 0
    ) -> bool:
        """Open what stands under a name, unless it is no longer what was found there."""
        try:
            descriptor = open_file(path)
        except FileNotFoundError:
            return False
        found = os.fstat(descriptor).st_ino
        if inode not in (0, found) or (
            mark is not None and fingerprint(descriptor, mark.offset) != mark.fingerprint
        ):
            os.close(descriptor)
            return False
        self.close()
        self.name = path
        self._inode = found
        self._reader = LineReader(descriptor, self._limit, offset=offset, line=line)
        self._quiet = None
        return True

    async def _find(self, mark: Mark, offset: int, line: int) -> str | None:
        """Open the marked file at this place, whatever its name is by now."""
        while (name := await self._context.in_thread(locate, self.path, mark)) is not None:
            if self._open(name, offset, line, mark=mark):
                return name
        return None

    def _seek_here(self, offset: int, line: int, known: str) -> None:
        if not self._open(self.path, offset, line):
            raise MisconfiguredError(
                f"{self.path} was read up to byte {offset:,}, and now is gone. Put it back, or "
                f"{FORGET}"
            )
        assert self._reader is not None
        refuse_another(self.path, self._reader.descriptor, offset, known)

    def _appear(self) -> bool:
        if self._open(self.path):
            if self._follow:
                _log.info("%s: is there now", self.path)
                self.moved, self._missed = True, False
            return True
        if not self._follow:
            raise MisconfiguredError(f"{self.path} was there at the start, and now is gone")
        if not self._missed:
            self._missed = True
            _log.warning("%s: is gone, and no other file has its name; waiting", self.path)
        return False

    def _end(self, reader: LineReader) -> None:
        if reader.changed():
            raise MisconfiguredError(
                f"{self.path} was shortened or written over while it was read, at byte "
                f"{reader.end:,}; follow=True is for files that others go on writing"
            )
        self.ended = self.moved = True

    def _is_over(self, reader: LineReader) -> bool:
        """Whether another file has taken the name, and this one has been quiet since."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            if os.fstat(reader.descriptor).st_nlink:
                return False  # renamed, and still written, until there is a new one
            over = _GONE
        else:
            if os.path.samestat(found, os.fstat(reader.descriptor)):
                self._quiet = None
                return False
            over = _ROTATED
        now = asyncio.get_running_loop().time()
        if self._quiet is None or self._quiet[0] != reader.end:
            self._quiet = reader.end, now
        if now - self._quiet[1] < self._wait:
            return False
        self._leaving = over
        return True

    async def _look_for_copy(self, reader: LineReader) -> None:
        """The file was truncated or written over: what it held may have been copied before."""
        mark = Mark(0, reader.end, reader.fingerprint())
        copy = await self._find(mark, reader.offset, reader.line)
        if copy is not None:
            self._tell(_ROTATED, logging.INFO, f"was copied to {copy} and truncated")
            self.moved = True
        else:
            self._leaving = _TRUNCATED

    async def _leave(self, reader: LineReader) -> bool:
        """All of the present file has been taken: go on with the next one, if it is there."""
        name = self.path
        if self._leaving == _ROTATED:
            found = await self._context.in_thread(following, self.path, self._inode)
            if found is None or not self._open(found[0], inode=found[1]):
                return False
            name = found[0]
        elif not self._open(name):
            self.close()
        self.base += reader.offset
        if self._leaving == _TRUNCATED:
            self._tell(
                _TRUNCATED,
                logging.WARNING,
                f"was truncated or written over at byte {reader.end:,}; lines that came after it "
                "are lost. Reading it from its start",
            )
        elif self._leaving == _ROTATED:
            self._tell(_ROTATED, logging.INFO, f"was rotated; going on with {name}")
        self._leaving = ""
        self.moved = True
        return True

    def _tell_lost(self, offset: int) -> None:
        self._tell(
            "lost",
            logging.WARNING,
            f"the file that was read up to byte {offset:,} is no longer there, nor beside it under "
            "the name of a rotated one, or it is shorter now or holds something else; lines that "
            "came after it are lost. Reading what is there now from its start",
        )

    def _tell(self, event: str, level: int, text: str) -> None:
        _log.log(level, "%s: %s", self.path, text)
        self._context.counter(
            "followed_file_events", "What became of the files that are followed", event=event
        ).add()
