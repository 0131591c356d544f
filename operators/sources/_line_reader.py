"""The lines of an open file, block by block, with their offsets and bounded memory."""

from __future__ import annotations

import os
from itertools import accumulate

from ...runtime.contracts import dataclass
from ._file import HEAD, TAIL, digest

__all__ = ["LineReader", "Lines", "Overlong"]

_BLOCK = 65_536
_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line that was too long to be kept: how it began, and how many bytes it had."""

    start: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that follow each other, without their line ends; `whole` when none is overlong.

    `offsets` are in bytes from the beginning of the file; `number` is that of the first line,
    counted from 1.
    """

    lines: list[bytes | Overlong]
    offsets: list[int]
    number: int
    whole: bool = True


class LineReader:
    """Reads a file from a place between two lines, and goes on where the file has grown.

    `offset` and `line` tell where the next line begins that has not been taken, `end` up to where
    the file has been read.
    """

    def __init__(
        self, descriptor: int, max_line_bytes: int, *, offset: int = 0, line: int = 1
    ) -> None:
        self.descriptor = descriptor
        self.offset = self.end = offset
        self.line = line
        self._limit = max_line_bytes
        self._ready: list[bytes | Overlong] = []
        self._index = 0
        self._parts: list[bytes] = []  # of a line whose end has not been read
        self._size = 0  # of these together, and of what was dropped
        self._overlong: bytes | None = None
        self._head = os.pread(descriptor, min(HEAD, offset), 0)
        self._tail = os.pread(descriptor, min(TAIL, offset), max(0, offset - TAIL))

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def take(self, limit: int, *, last: bool = False) -> Lines | None:
        """The next lines, `limit` at most; None where the file ends, for now.

        Reads one block at most, so there may be none although the file goes on. What stands
        behind the last line end is held back, unless `last` says that nothing will follow.
        """
        if self._index == len(self._ready):
            self._ready, self._index = [], 0
            if not self._fill():
                if not (last and self._size):
                    return None
                self._ready = [self._joined(b"")]
        lines = self._ready[self._index : self._index + limit]
        self._index += len(lines)
        whole = not any(isinstance(line, Overlong) for line in lines)
        sizes = [(line.length if isinstance(line, Overlong) else len(line)) + 1 for line in lines]
        offsets = list(accumulate(sizes, initial=self.offset))
        # A last line without a line end is one byte shorter.
        self.offset = min(offsets.pop(), self.end)
        taken = Lines(lines, offsets, self.line, whole)
        self.line += len(lines)
        return taken

    def changed(self) -> bool:
        """Whether the file is shorter than what was read of it, or holds something else there."""
        head = os.pread(self.descriptor, len(self._head), 0)
        tail = os.pread(self.descriptor, len(self._tail), self.end - len(self._tail))
        return head != self._head or tail != self._tail

    def fingerprint(self) -> str:
        """That of the file up to `end`, as it was when it was read."""
        return digest(self._head, self._tail)

    def _fill(self) -> bool:
        block = os.pread(self.descriptor, _BLOCK, self.end)
        # Looked at after the block was read: what was written over by then is not taken for it.
        if not block or self.changed():
            return False
        if len(self._head) < HEAD:
            self._head += block[: HEAD - len(self._head)]
        self._tail = (self._tail + block[-TAIL:])[-TAIL:]
        self.end += len(block)
        first = block.find(b"\n")
        if first < 0:
            self._hold(block)
            return True
        last = block.rfind(b"\n")
        ready: list[bytes | Overlong] = [self._joined(block[:first])]
        if last > first:
            lines = block[first + 1 : last].split(b"\n")
            if max(map(len, lines)) > self._limit:
                ready += [self._checked(line) for line in lines]
            else:
                ready += lines
        self._ready = ready
        if last + 1 < len(block):
            self._hold(block[last + 1 :])
        return True

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._overlong is None:
            self._parts.append(part)
            # One more byte may be the carriage return of a line end that is still to come.
            if self._size > self._limit + 1:
                self._overlong = b"".join(self._parts)[:_SHOWN]
                self._parts = []

    def _joined(self, part: bytes) -> bytes | Overlong:
        parts, size, overlong = self._parts, self._size + len(part), self._overlong
        self._parts, self._size, self._overlong = [], 0, None
        if overlong is not None:
            return Overlong(overlong, size)
        return self._checked(b"".join(parts) + part if parts else part)

    def _checked(self, line: bytes) -> bytes | Overlong:
        if len(line) - line.endswith(b"\r") <= self._limit:
            return line
        return Overlong(line[:_SHOWN], len(line))
