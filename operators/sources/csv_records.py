"""`csv_records`: typed records from a CSV file."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Callable, Mapping
from typing import cast

from ...runtime.contracts import Bookmark, Context, Read, Rejected, Source
from ._csv_columns import CellType, Record
from ._csv_file import CsvFile, CsvPlace, Entry
from ._csv_rows import Rows
from ._encoding import checked_encoding
from ._note import Note, encode_note
from ._rate import checked_rate

__all__ = ["CsvRecords", "csv_records"]

_KIND = "csv"
_MOST_KEPT = 10_000
_copy = cast("Callable[[Record], Record]", dict.copy)


class CsvRecords(Source[Record]):
    """The source that `csv_records` makes; see there."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, CellType] | None = None,
        delimiter: str = ",",
        encoding: str = "utf-8",
        header: bool = True,
        number: str | None = None,
        repeat: int = 1,
        rate: float | None = None,
        max_line_bytes: int = 1_048_576,
    ) -> None:
        if columns is None and not header:
            raise ValueError("header=False needs columns={name: type}, in the order of the file")
        if columns is not None:
            _check_columns(columns, number)
        if (
            not isinstance(cast(object, delimiter), str)
            or len(delimiter) != 1
            or delimiter in '"\r\n'
            or not delimiter.isascii()
        ):
            raise ValueError(
                f"delimiter is one ASCII character, no quote or line end, not {delimiter!r}"
            )
        if not isinstance(cast(object, repeat), int) or repeat < 0:
            raise ValueError(f"repeat is 1 or more, or 0 for endless, not {repeat!r}")
        if not isinstance(cast(object, max_line_bytes), int) or max_line_bytes < 1:
            raise ValueError(f"max_line_bytes is 1 or more, not {max_line_bytes!r}")
        self.rate = checked_rate(rate)
        self._path = os.fspath(path)
        self._columns = None if columns is None else dict(columns)
        self._delimiter = delimiter
        self._encoding = checked_encoding(encoding)
        self._header = header
        self._number = number
        self._repeat = repeat
        self._max_line_bytes = max_line_bytes

    async def open(self, context: Context) -> None:
        """Open the file and read its header."""
        self._node = context.node
        # The csv module has one limit for the whole process: it is raised, never lowered.
        if csv.field_size_limit() < self._max_line_bytes:
            csv.field_size_limit(self._max_line_bytes)
        rows = Rows(self._delimiter, self._encoding, self._max_line_bytes)
        self._file = CsvFile(self._path, rows, self._encoding, self._max_line_bytes)
        self._file.begin(self._columns, header=self._header, number=self._number)
        self._entries: list[Entry] = []
        self._index: int = 0  # of the first entry that has not been handed out
        self._next: int = 0  # the position of that entry
        self._ended = False
        self._passes = 0  # how often the file has been read to its end
        self._pass_start: int = 0  # the position at which the present pass began
        self._skip: int = 0  # what comes before this position has been read before
        self._before = self._file.place  # where the entries begin
        self._kept_note = b""
        # A function of the user's is called for every cell read, and what it makes may be mutable.
        plain = set((self._columns or {}).values()) <= {str, int, float, bool}
        self._kept: list[Entry] | None = [] if self._repeat != 1 and plain else None
        self._unrolled: list[Entry] = []
        self._clean = False

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on behind what was read before."""
        if "" not in bookmarks or bookmarks[""].last < 0:
            return
        self._skip = bookmarks[""].last + 1
        note = Note(bookmarks[""].note, _KIND, self._node)
        place = CsvPlace(note.number("offset"), note.number("line"))
        kept = note.flag("kept")
        self._file.refuse_another(note.number("read"), note.text("fingerprint"), ended=kept)
        passes = note.number("passes")
        if kept or (self._kept is not None and not passes and self._skip <= _MOST_KEPT):
            # To be repeated from memory it must be read once more, which is a few blocks.
            return
        self._kept = None
        self._passes = passes
        self._pass_start = note.number("pass_start")
        self._next = self._skip - note.number("into")
        self._ended = 0 < self._repeat <= passes
        self._file.go(place)

    async def read(self, limit: int) -> Read[Record] | None:
        """The next records and rejected lines, `limit` together at most."""
        while not self._ended:
            if self._passes and self._kept is not None:
                return self._replay(self._kept, limit)
            if self._index < len(self._entries):
                taken = self._entries[self._index : self._index + limit]
                self._index += len(taken)
                self._next += len(taken)
                start, note = self._next - len(taken), self._note()
                if self._file.clean:
                    return Read(cast("list[Record]", taken), range(start, self._next), note=note)
                return _read(taken, start, note)
            if not self._step():
                self._ended = True
            elif not self._entries:
                await asyncio.sleep(0)  # a long line may take many blocks
        return None

    async def close(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):
            self._file.close()

    def _step(self) -> bool:
        """Read one block, or turn back to the start. False when all has been read."""
        self._before = self._file.place
        entries = self._file.step(self._next)
        if entries is None:
            self._passes += 1
            self._entries, self._index = [], 0
            if self._passes == self._repeat or self._next == self._pass_start:
                return False
            self._pass_start = self._next
            if self._kept is None:
                self._file.rewind()
            else:
                self._kept_note = self._encode(self._file.place, 0, kept=True)
                self._clean = not any(isinstance(entry, Rejected) for entry in self._kept)
                self._next = max(self._next, self._skip)
            return True
        if self._kept is not None:
            self._keep(self._kept, entries)
        dropped = min(len(entries), max(0, self._skip - self._next))
        self._next += dropped
        self._entries, self._index = entries, dropped
        return True

    def _note(self) -> bytes:
        """How to go on behind what has been handed out."""
        if self._index == len(self._entries):
            return self._encode(self._file.place, 0)
        # Where a row begins within a block is not known: from the block on, the rows are counted.
        return self._encode(self._before, self._index)

    def _encode(self, place: CsvPlace, into: int, *, kept: bool = False) -> bytes:
        read = self._file.place.offset  # the end of the block, which may be far behind `place`
        return encode_note(
            _KIND,
            offset=place.offset,
            line=place.line,
            into=into,
            passes=self._passes,
            pass_start=self._pass_start,
            kept=kept,
            read=read,
            fingerprint=self._file.fingerprint(read),
        )

    def _keep(self, kept: list[Entry], entries: list[Entry]) -> None:
        if len(kept) + len(entries) > _MOST_KEPT:
            self._kept = None
        else:
            kept += [dict(entry) if isinstance(entry, dict) else entry for entry in entries]

    def _replay(self, kept: list[Entry], limit: int) -> Read[Record] | None:
        start, count, note = self._next, limit, self._kept_note
        if self._repeat:
            count = min(limit, self._repeat * len(kept) - start)
            if count <= 0:
                return None
        if len(self._unrolled) < len(kept) + count:
            # Laid end to end as often as a full batch needs, wherever in the file it begins.
            self._unrolled = kept * (count // len(kept) + 2)
        index = start % len(kept)
        entries = self._unrolled[index : index + count]
        self._next += count
        if not self._clean:
            again = [self._again(entry, start + at) for at, entry in enumerate(entries)]
            return _read(again, start, note)
        positions = range(start, start + count)
        records = list(map(_copy, cast("list[Record]", entries)))
        if self._number is not None:
            for record, position in zip(records, positions, strict=True):
                record[self._number] = position
        return Read(records, positions, note=note)

    def _again(self, entry: Entry, position: int) -> Entry:
        if isinstance(entry, Rejected):
            return Rejected(position, entry.record, entry.error)
        record = dict(entry)
        if self._number is not None:
            record[self._number] = position
        return record


def csv_records(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, CellType] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    header: bool = True,
    number: str | None = None,
    repeat: int = 1,
    rate: float | None = None,
    max_line_bytes: int = 1_048_576,
) -> CsvRecords:
    """Typed records, as dicts, from a CSV file.

    >>> source = csv_records(
    ...     "iris.csv", columns={"sepal_length": float, "species": str}, number="n", repeat=1000
    ... )

    Parameters:

    - `path`: a regular file.
    - `columns`: the wanted columns and their types, in the order that the record will have: str,
      int, float, bool (true, yes, 1, false, no, 0 in any case), or a function of the cell's text.
      Columns that are not named are left out; None takes all, as text. An empty cell is None for
      int, float and bool; a function gets the empty text. "nan" and "inf" are floats, as in Python.
    - `delimiter`: one character (comma). Fields are quoted with `"`, which is doubled inside.
    - `encoding`: any that writes ASCII as ASCII (utf-8). A byte order mark is passed over.
    - `header`: the first line names the columns (True); if False, `columns` names all of them.
    - `number`: the name of a first field that holds the record's position: dense, from 0, over
      all repeats, rejected lines counted.
    - `repeat`: how often the file is read (1); 0 is endless. Up to 10,000 records of plain types
      are read once and copied for each repeat; each record is a dict of its own.
    - `rate`: records a second at most (no limit); kept by the runtime.
    - `max_line_bytes`: the longest line, and the longest record over several lines (1 MiB).
      Memory stays within a few times this, however long a line is.

    Raises ValueError or TypeError for an option that makes no sense. Opening raises
    `MisconfiguredError` where the file cannot be read or its header lacks a column, and going on
    after a restart does where it is not the file that was read before: shorter, or with another
    beginning.

    - Emits when: a block of 64 KiB has been read; blank lines make no record.
    - Waits when: never; the file is local and is read directly.
    - Ends when: the file has been read `repeat` times, or holds no record.
    - Order: that of the file; one lane, positions count records from 0.
    - State: the offset of the block that holds the next record, the line, the repeat, and a
      fingerprint of the file; it goes on from there without reading what comes before.
    - On error: a line that is too long, does not decode, holds a NUL, is not valid CSV, has the
      wrong number of fields or a value that does not convert is rejected with file and line; where
      a quoted field is not closed, its first line is, and reading goes on at the next one.
    """
    return CsvRecords(
        path,
        columns=columns,
        delimiter=delimiter,
        encoding=encoding,
        header=header,
        number=number,
        repeat=repeat,
        rate=rate,
        max_line_bytes=max_line_bytes,
    )


def _read(entries: list[Entry], start: int, note: bytes) -> Read[Record]:
    good = [(at, entry) for at, entry in enumerate(entries, start) if isinstance(entry, dict)]
    return Read(
        [entry for _, entry in good],
        [at for at, _ in good],
        rejected=[entry for entry in entries if isinstance(entry, Rejected)],
        note=note,
    )


def _check_columns(columns: Mapping[str, CellType], number: str | None) -> None:
    if not columns:
        raise ValueError("columns names no column; leave it out to take all of them as text")
    for name, cell_type in columns.items():
        if not callable(cell_type):
            raise TypeError(
                f"columns[{name!r}] is str, int, float, bool or a function of text,"
                f" not {cell_type!r}"
            )
    if number in columns:
        raise ValueError(f"number={number!r} is also the name of a column")
