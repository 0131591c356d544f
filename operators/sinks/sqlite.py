"""`sqlite`: rows of a table in an SQLite file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...runtime.contracts import Context, Outcome, Sink
from ._serial import Serial
from ._tables import TableOptions

if TYPE_CHECKING:
    from ._sqlite_file import SqliteFile
    from ._sqlite_staging import SqliteStaging

__all__ = ["Sqlite", "sqlite"]


class Sqlite(Sink[object]):
    """The sink that `sqlite` makes; see there."""

    repeatable = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        table: str,
        *,
        columns: Sequence[str] | Mapping[str, type] | None = None,
        key: Sequence[str] | None = None,
    ) -> None:
        self._path = os.fspath(path)
        if not self._path or self._path == ":memory:":
            raise ValueError(f"path names the file of a database, and is {self._path!r}")
        self._options = TableOptions.checked(table, columns, key)
        self._file: SqliteFile | None = None
        self._staging: SqliteStaging | None = None

    async def open(self, context: Context) -> None:
        """Open the file, and make the table where the types of its columns are given."""
        from ._sqlite_file import SqliteFile
        from ._sqlite_staging import SqliteStaging
        from ._sqlite_table import SqliteTable
        from ._staged_rows import StagedRows

        self._fence = context.fence
        self._threads = Serial(context)
        self._unsure = False
        self._file = await self._threads.run(SqliteFile, self._path)
        self._table = await self._threads.run(SqliteTable, self._file, self._options)
        if context.fence is not None:
            where = repr(self._path)
            self._staged = StagedRows(context, context.fence, where, self._table.name)
            self._staging = SqliteStaging(
                self._file, self._staged, self._table.name, self._options.key
            )

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        """Write the records, or stage them, in one transaction."""
        repeats, self._unsure = self._unsure, True
        written = await self._threads.run(
            self._table.write, self._staging, records, repeats=repeats
        )
        self._unsure = False
        self._table.forget()
        if self._staging is not None:
            self._staged.staged(written.last, len(records) - len(written.rejected))
        return Outcome([], written.rejected) if written.rejected else None

    async def prepare(self, epoch: int) -> bytes:
        """Have the rows since the last time survive a power cut, where nobody sees them."""
        assert self._staging is not None
        if self._staged.count:
            await self._threads.run(self._staging.prepare, epoch)
        return self._staged.prepare(epoch, self._table.columns).encode()

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Move these rows into the table."""
        assert self._staging is not None
        assert self._fence is not None
        from ._staged_rows import Prepared

        given = Prepared.decode(prepared)
        await self._fence.check()
        await self._threads.run(self._staging.commit, given)
        self._staged.committed(given)

    async def discard(self, epoch: int) -> None:
        """Take the table over from earlier copies of the job."""
        assert self._staging is not None
        await self._threads.run(self._staging.discard, epoch)

    async def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        staging, self._staging = self._staging, None
        if file is None:
            return
        try:
            if staging is not None:
                await self._threads.run(staging.close)
        finally:
            await self._threads.run(file.close)


def sqlite(
    path: str | os.PathLike[str],
    table: str,
    *,
    columns: Sequence[str] | Mapping[str, type] | None = None,
    key: Sequence[str] | None = None,
) -> Sqlite:
    """Rows of a table in an SQLite file: appended, or by `key` the latest of each.

    >>> counts = sqlite("out/words.db", "counts", columns={"word": str, "n": int}, key=["word"])
    >>> readings = sqlite("out/readings.db", "readings")

    Parameters:

    - `path`: the file, on a disk of this machine; it is made, with the folders above it, where it
      is missing. Other programs may read it, and write to it too, meanwhile.
    - `table`: its name. A table that is missing is made when the first records come, or at the
      start where `columns` gives types.
    - `columns`: names of those to be written; other fields of a record are passed over. With their
      Python types, as a dict, they also say what to make. Without it, a table that is there gets
      all its columns that are not generated and have no default; one that is made gets the fields
      of the first batch. A field without a column is not lost in silence: its record is rejected.
    - `key`: columns that are the primary key, or have a unique index. A record then replaces the
      row of its key, so that the table holds the last value of each. Without it rows are added.

    Records are dicts, dataclasses, named tuples or dead letters; a field that is missing is NULL.
    A table that is made is strict (where SQLite is 3.37 or later), and has these types: int and
    bool INTEGER; float, and timedelta in seconds, REAL; bytes BLOB; str, dates and times (ISO
    8601), UUID and Decimal TEXT; dict, list and dataclass TEXT with JSON; ANY where the first
    batch had only None. SQLite keeps NaN as NULL.

    With a store each record counts exactly once: rows wait in a table `thalweg_staged_…` of the
    same file, and are moved in one transaction with the number of their epoch, which stands in
    the table `thalweg_epochs`. Both are made where they are missing; a table of staged rows goes
    when the job ends.

    Raises ValueError or TypeError for names and types that make no sense. Opening raises
    `MisconfiguredError` for a file that is no database, and where the columns or the key do not
    fit the table.

    - Emits when: never; without a store a record is delivered when the transaction of its batch
      is durable, with one when its epoch is committed.
    - Waits when: another program holds the lock of the file, and while the disk is full.
    - Ends when: its input does.
    - Order: that of the input; of several records with the same key the last one counts.
    - State: with a store, the staged rows. A commit compares the token of its copy of the job with
      that in the file, in the same transaction. Rows cannot be taken back: going back to an
      earlier epoch than the file has committed raises `MisconfiguredError`, which names it.
    - On error: a record whose values the columns or a constraint refuse is rejected alone. With a
      store, what two records of one epoch violate together (a unique index that is not `key`)
      shows only at the commit: the job fails, the rows stay staged, and it goes on from there
      when `key` is given or the constraint is gone.
    """
    return Sqlite(path, table, columns=columns, key=key)
