"""A CSV file read block by block, with bounded memory, into records and rejected input."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping

from ...runtime.contracts import DataError, MisconfiguredError, Rejected
from ._csv_columns import CellError, CellType, Columns, Record
from ._csv_rows import Row, Rows, beginning, too_long

__all__ = ["CsvFile", "Entry"]

Entry = Record | Rejected

_BOM = b"\xef\xbb\xbf"
# About a thousand rows: some milliseconds of work between two turns of the loop.
_BLOCK = 65_536
_SHOWN = 1_000


class CsvFile:
    """An open file and what has been read of it but not yet handed out."""

    def __init__(self, path: str, rows: Rows, encoding: str, max_line_bytes: int) -> None:
        self._path = path
        self._rows = rows
        self._encoding = encoding
        self._limit = max_line_bytes
        self._columns: Columns
        self._file = _opened(path)
        self._data_start = (0, 1)
        self.clean = True
        self._restart(0, 1)

    def _restart(self, offset: int, line: int) -> None:
        self._buffer = bytearray()
        self._wanted = _BLOCK
        self._offset = offset
        self._line = line
        self._ended = False
        self._overlong: tuple[bytes, int] | None = None

    def begin(
        self, columns: Mapping[str, CellType] | None, *, header: bool, number: str | None
    ) -> None:
        """Read the header, if there is one, and settle what a record holds."""
        self._wanted = max(_BLOCK, len(_BOM))
        self._fill()
        if self._encoding == "utf-8" and self._buffer.startswith(_BOM):
            self._consume(len(_BOM))
        names = self._header() if header else list(columns or ())
        if header and not names:
            # An empty file: no header, no records, nothing to complain about.
            names = list(columns or ())
        self._columns = Columns(names, columns, number, self._path)
        self._data_start = (self._offset, self._line)

    def _header(self) -> list[str]:
        while True:
            self._fill()
            chunk, beyond, final = self._window()
            found, taken = self._rows.careful(chunk, self._line, final=final, beyond=beyond, most=1)
            where = f"{self._path}, line {self._line}"
            self._consume(taken)
            if found:
                if found[0].cells is None:
                    where = f"{self._path}, line {found[0].line}"
                    raise MisconfiguredError(f"{where}: no header: {found[0].problem}")
                return found[0].cells
            if final:
                return []
            if not chunk and beyond > self._limit + 1:
                problem = f"the line is longer than max_line_bytes={self._limit}"
                raise MisconfiguredError(f"{where}: no header: {problem}")
            self._want_more()

    def rewind(self) -> None:
        """Go back to the first record."""
        self._file.seek(self._data_start[0])
        self._rows.restart()
        self._restart(*self._data_start)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def step(self, position: int) -> list[Entry] | None:
        """What the next block holds, the first entry at `position`; None at the end of the file.

        `clean` tells whether all of it are records. Reads one block at most, so the list may be
        empty: then the next step goes on.
        """
        self._fill()
        if self._overlong is not None:
            return self._skip(position, *self._overlong)
        if not self._ended and len(self._buffer) < self._wanted:
            return []
        chunk, beyond, final = self._window()
        if not chunk:
            if final:
                return None
            if beyond > self._limit + 1:
                return self._skip(position, bytes(self._buffer[:_SHOWN]), 0)
            self._want_more()
            return []
        entries: list[Entry] = []
        self.clean = True
        clean = self._rows.clean(chunk, final)
        records = None if clean is None else self._columns.records(clean[0], position)
        if clean is not None and records is not None and clean[1]:
            entries.extend(records)
            taken = clean[1]
        else:
            rows, taken = self._rows.careful(chunk, self._line, final=final, beyond=beyond)
            entries.extend(self._entry(row, position + index) for index, row in enumerate(rows))
            self.clean = False
        self._consume(taken)
        if taken:
            self._wanted = _BLOCK
        else:
            self._want_more()
        return entries

    def _entry(self, row: Row, position: int) -> Entry:
        problem, cause = row.problem, None
        if row.cells is not None:
            try:
                return self._columns.record(row.cells, position)
            except CellError as error:
                problem, cause = str(error), error.__cause__
        refused = DataError(f"{self._path}, line {row.line}: {problem}")
        if cause is not None:
            # So that the dead letter can name the line of the user's function.
            refused.__cause__ = cause
            refused.__traceback__ = cause.__traceback__
        return Rejected(position, self._text(row.raw), refused)

    def _skip(self, position: int, start: bytes, length: int) -> list[Entry]:
        end = self._buffer.find(b"\n")
        length += end if end >= 0 else len(self._buffer)
        if end < 0 and not self._ended:
            self._overlong = (start, length)
            self._consume(len(self._buffer))
            return []
        self._overlong = None
        self.clean = False
        error = DataError(f"{self._path}, line {self._line}: {too_long(length, self._limit)}")
        self._consume(end + 1 if end >= 0 else len(self._buffer))
        self._wanted = _BLOCK
        return [Rejected(position, self._text(beginning(start)), error)]

    def _text(self, raw: bytes) -> str:
        return raw.decode(self._encoding, "backslashreplace")

    def _fill(self) -> None:
        missing = self._wanted - len(self._buffer)
        if self._ended or missing <= 0:
            return
        try:
            # Read directly: a block of a local file comes from memory or within milliseconds,
            # and a thread would cost as much again.
            block = self._file.read(min(missing, _BLOCK))
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from error
        if block:
            self._buffer += block
        else:
            self._ended = True

    def _window(self) -> tuple[bytes, int, bool]:
        """The whole lines to look at, how many bytes of the window are behind them, the end."""
        size = min(len(self._buffer), self._wanted)
        final = self._ended and size == len(self._buffer)
        end = size if final else self._buffer.rfind(b"\n", 0, size) + 1
        return bytes(self._buffer[:end]), size - end, final

    def _consume(self, count: int) -> None:
        self._line += self._buffer.count(b"\n", 0, count)
        self._offset += count
        del self._buffer[:count]

    def _want_more(self) -> None:
        # Doubled, so that a long row is not looked at too often. Two bytes beyond the limit tell
        # that it is passed, even where the last of them is a carriage return.
        self._wanted = min(2 * self._wanted, max(self._limit + 2, _BLOCK))


def _opened(path: str) -> io.FileIO:
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would hold up the loop right here.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        full = os.path.abspath(path)
        raise MisconfiguredError(f"cannot read {full!r}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MisconfiguredError(f"cannot read {path!r}: not a regular file")
    return io.FileIO(descriptor, "r")
