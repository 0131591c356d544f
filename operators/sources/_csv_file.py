"""A CSV file read block by block, with bounded memory, into records and rejected input."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...runtime.contracts import DataError, MisconfiguredError, Rejected, dataclass
from ._csv_columns import CellError, CellType, Columns, Record
from ._csv_rows import Row, Rows
from ._encoding import BOM
from ._file import fingerprint, open_file, refuse_another
from ._note import FORGET
from ._overlong import beginning, too_long

__all__ = ["CsvFile", "CsvPlace", "Entry"]

Entry = Record | Rejected

# About a thousand rows: some milliseconds of work between two turns of the loop.
_BLOCK = 65_536
_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class CsvPlace:
    """A place between two rows: its offset in bytes, and the number of the next line."""

    offset: int
    line: int


class CsvFile:
    """An open file and what has been read of it but not yet handed out."""

    def __init__(self, path: str, rows: Rows, encoding: str, max_line_bytes: int) -> None:
        self._path = path
        self._rows = rows
        self._encoding = encoding
        self._limit = max_line_bytes
        self._columns: Columns
        try:
            self._file = open_file(path)
        except FileNotFoundError as error:
            full = os.path.abspath(path)
            raise MisconfiguredError(f"cannot read {full!r}: {error.strerror}") from error
        self._data_start = CsvPlace(0, 1)
        self._known: tuple[int, str] | None = None
        self.clean = True
        self.go(self._data_start)

    def go(self, place: CsvPlace) -> None:
        """Read on from this place."""
        self._rows.restart()
        self._buffer = bytearray()
        self._wanted = _BLOCK
        self._offset = place.offset
        self._line = place.line
        self._ended = False
        self._overlong: tuple[bytes, int] | None = None

    def begin(
        self, columns: Mapping[str, CellType] | None, *, header: bool, number: str | None
    ) -> None:
        """Read the header, if there is one, and settle what a record holds."""
        self._wanted = max(_BLOCK, len(BOM))
        self._fill()
        if self._encoding == "utf-8" and self._buffer.startswith(BOM):
            self._consume(len(BOM))
        names = self._header() if header else list(columns or ())
        if header and not names:
            # An empty file: no header, no records, nothing to complain about.
            names = list(columns or ())
        self._columns = Columns(names, columns, number, self._path)
        self._data_start = self.place

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

    @property
    def place(self) -> CsvPlace:
        """Right behind all entries that `step` has returned, unless it is within a long line."""
        return CsvPlace(self._offset, self._line)

    def rewind(self) -> None:
        """Go back to the first record."""
        self.go(self._data_start)

    def fingerprint(self, offset: int) -> str:
        """What tells this file, read up to there, from others."""
        if self._known is None or self._known[0] != offset:
            self._known = offset, fingerprint(self._file, offset)
        return self._known[1]

    def refuse_another(self, offset: int, known: str, *, ended: bool = False) -> None:
        """Raise `MisconfiguredError` unless it has this fingerprint, and ends there if it must."""
        refuse_another(self._path, self._file, offset, known)
        size = os.fstat(self._file).st_size
        if ended and size != offset:
            raise MisconfiguredError(
                f"{self._path} has grown from {offset:,} to {size:,} bytes since it was read "
                "to its end, and is to be repeated as it was. Put the shorter file back, or "
                f"{FORGET}"
            )

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

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
            behind = self._offset + len(self._buffer)
            block = os.pread(self._file, min(missing, _BLOCK), behind)
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
