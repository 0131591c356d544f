"""`csv`: one line of CSV for each record, below a line with the names of the columns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import orjson

from ...runtime.contracts import Columns, Context, DataError, MisconfiguredError, Outcome
from ._csv_form import CsvForm, checked_columns, checked_delimiter, checked_null
from ._direct_file import DirectFile
from ._line_sink import LineSink
from ._tables import checked_names

if TYPE_CHECKING:
    from ._csv_lines import CsvLines

__all__ = ["Csv", "csv"]

_FEW = 1_024
"""Rows of columns that are made lines in less time than a turn of the loop."""


class Csv(LineSink):
    """The sink that `csv` makes; see there."""

    suffix = ".csv"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Sequence[str] | None = None,
        delimiter: str = ",",
        null: str = "",
        files: Literal["one", "epoch"] = "one",
    ) -> None:
        super().__init__(path, files=files)
        self._columns = None if columns is None else checked_columns(columns)
        self._delimiter = checked_delimiter(delimiter)
        self._null = checked_null(null, delimiter)
        self._lines: CsvLines | None = None
        self._headed = False
        """Whether the header stands above what is written next."""
        self._behind = False
        """Whether the file may hold lines of which the state tells nothing."""

    async def open(self, context: Context) -> None:
        """Make the folders above the file; without a store, replace what the file held."""
        await super().open(context)
        self._context = context
        if self._columns is not None:
            self._hold(self._columns)

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        """Write all records in one piece, or none of them."""
        self._look_behind()
        lines = self._lines
        if lines is None:
            from ._csv_lines import begun

            lines, rejected = begun(records, self._delimiter, self._null)
            if lines is None:
                return Outcome([], rejected) if rejected else None
        data, rejected = lines.of(records)
        return await self._write(lines, data, len(records), rejected)

    async def write_columns(self, columns: Columns) -> Outcome[None] | None:
        """Write columns as they are, where each of their types has a text of its own."""
        from ._column_lines import lines_of

        self._look_behind()
        count = len(columns)
        if not count:
            return None
        try:
            names = checked_names("a table", columns.names)
            lines = self._lines or self._made(names)
            lines.check(names, "record")
        except ValueError as error:
            return Outcome([], dict.fromkeys(range(count), DataError(str(error))))
        except DataError as error:
            return Outcome([], dict.fromkeys(range(count), error))
        if count <= _FEW:
            data, rejected = lines_of(columns, lines)
        else:
            data, rejected = await self._context.compute(lines_of, columns, lines)
        return await self._write(lines, data, count, rejected)

    async def _write(
        self, lines: CsvLines, data: bytearray, count: int, rejected: dict[int, Exception]
    ) -> Outcome[None] | None:
        if data:
            if not self._headed:
                data[:0] = lines.header()
            await self.target.write(data, count - len(rejected))
            # Not before: a batch that is not written says nothing about the next one.
            self._lines, self._headed = lines, True
        return Outcome([], rejected) if rejected else None

    async def on_end(self) -> None:
        """Write the header of a file that has no lines, if the columns are known."""
        if isinstance(self.target, DirectFile):
            await self._head()

    async def prepare(self, epoch: int) -> bytes:
        """Have the lines since the last time survive a power cut."""
        self._look_behind()
        if not self.each_epoch:
            await self._head()
        held = None if self._lines is None else self._lines.form.columns
        prepared = await super().prepare(epoch)
        self._headed = self._headed and not self.each_epoch
        return orjson.dumps(
            {
                "columns": held,
                "delimiter": self._delimiter,
                "null": self._null,
                "lines": prepared.decode(),
            }
        )

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Append these lines, or show their file; after a restart, go on with their columns."""
        given: Any = orjson.loads(prepared)
        self._behind = False
        if given["columns"] is not None:
            self._go_on(given)
        await super().commit(epoch, given["lines"].encode())

    async def discard(self, epoch: int) -> None:
        """Remove the lines of later epochs that are still hidden."""
        await super().discard(epoch)
        self._behind = bool(epoch) and not self.each_epoch

    def _go_on(self, given: dict[str, Any]) -> None:
        """Hold what the lines of the last epoch have in common."""
        for option, mine in (("delimiter", self._delimiter), ("null", self._null)):
            if given[option] != mine:
                raise MisconfiguredError(
                    f"{self.path!r} was written with {option}={given[option]!r}, and now it is "
                    f"{mine!r}: {_AGAIN}"
                )
        self._hold(given["columns"])
        self._headed = self._headed or not self.each_epoch

    def _hold(self, names: Sequence[str]) -> None:
        columns = tuple(names)
        if self._columns is not None and columns != self._columns:
            raise MisconfiguredError(
                f"{self.path!r} has the columns {list(columns)}, and now columns= names "
                f"{list(self._columns)}: {_AGAIN}"
            )
        if self._lines is None:
            self._lines = self._made(columns)

    def _made(self, columns: tuple[str, ...]) -> CsvLines:
        from ._csv_lines import CsvLines

        return CsvLines(CsvForm(columns, self._delimiter, self._null))

    def _look_behind(self) -> None:
        """Go on with the header of a file that the state knows nothing of, should it have one."""
        if not self._behind:
            return
        self._behind = False
        if isinstance(self.target, DirectFile) or not os.path.getsize(self.path):
            return
        import csv as reading

        with open(self.path, encoding="utf-8-sig", errors="replace", newline="") as file:
            names = next(reading.reader(file, delimiter=self._delimiter), list[str]())
        self._hold(names)
        self._headed = True

    async def _head(self) -> None:
        if self._lines is not None and not self._headed:
            await self.target.write(bytearray(self._lines.header()), 0)
            self._headed = True


_AGAIN = "give it as it was, or begin anew with another state"


def csv(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    delimiter: str = ",",
    null: str = "",
    files: Literal["one", "epoch"] = "one",
) -> Csv:
    """One line of CSV for each record, below a line with the names of the columns.

    >>> sink = csv("out/scored.csv")
    >>> many = csv("out/scored", columns=["id", "score"], delimiter=";", files="epoch")

    Parameters:

    - `path`: the file; folders above it are made, and what it held is replaced when a job begins.
      `/dev/stdout` and other pipes and devices may be named as well.
    - `columns`: the names of the columns, in the order of the file. Without it the first record
      that can be written says them, for this job and for all that go on from its state.
    - `delimiter`: one ASCII character (comma), none that stands in numbers and times; `files` reads
      `,`, `;`, `|` and a tab.
    - `null`: the text that stands for None (""); see below.
    - `files`: "one" (the default) is one file, which grows. With "epoch" the path is a folder, and
      each epoch that has records becomes a file of its own, `part-000000000012-0000.csv`, with a
      header of its own: for large outputs, and for readers that take whole files. A job that
      begins replaces the files of this name; others stay.

    Records are dicts, dataclasses, named tuples or dead letters that have just these columns, in
    any order; one that lacks a column or has another one is rejected. Columns of Arrow are written
    without making records of them. What is nested is JSON; a dead letter is always written, its
    fields as JSON. Times and dates are ISO 8601 (those of columns with a time zone in UTC), bools
    `true` and `false`, floats as short as they read back, with `nan`, `inf` and `-inf`; integers
    may have 4,300 digits. Bytes, timedeltas and text with a NUL are rejected. The file is UTF-8,
    its lines end in a line feed, and `"` quotes texts that hold a delimiter, a quote or a line end.

    None is an empty cell, and empty text is `""`, as PostgreSQL reads them. `csv_records` and
    `files` pass over the quotes: for the one both are empty text (None for int, float and bool),
    for the other both are null. `null=r"\\N"` makes None a text that nothing else is, for a
    function in the `columns` of `csv_records` to tell: a text that is the same is rejected. In a
    file with one column None is `""` too, since a blank line is no record.

    With a store each record stands in the output exactly once. Until its epoch is committed its
    line waits in a hidden file (`.scored.csv.….part`) beside the output; then it is appended, or
    the file is renamed. Going back to an earlier epoch takes away what was committed after it.
    Nobody else may write to the output, shorten it or rotate it. To a pipe or a device a line may
    be written again after a crash, and each run begins with the header.

    Raises ValueError or TypeError for options that make no sense. Opening raises
    `MisconfiguredError` where the file cannot be written or another sink is writing it, and going
    on from a state does where `columns`, `delimiter` or `null` are not those of its lines.

    - Emits when: never; without a store a record is delivered when its line is handed to the
      operating system, with one when its epoch is committed.
    - Waits when: a pipe is full; many rows of columns are made lines, in a thread; with a store,
      for the disk to have what an epoch prepares.
    - Ends when: its input does. A file without records then has a header if `columns` names it.
    - Order: that of the input.
    - State: without a store none: a run replaces the output of the one before. With one, the
      columns, and up to where the output belongs to each epoch. Right before it appends or
      renames, it asks the store whether another copy of the job has taken over. A copy that is
      stopped just behind that question, for longer than the store waits for it, could still write
      when it goes on: the lock that it has on the output keeps the other copy out, on file systems
      that have locks.
    - On error: a record that makes no line is rejected alone, and the error names the column.
      Where a batch cannot be written whole, such as on a full disk, the file is cut back to the
      batch before it and `WriteFailed` tells how much is safe: each line of a file is whole, and
      was counted. A pipe cannot be cut. Restored to an epoch whose lines stand neither in the
      output nor beside it, it raises `MisconfiguredError`, which names both.
    """
    return Csv(path, columns=columns, delimiter=delimiter, null=null, files=files)
