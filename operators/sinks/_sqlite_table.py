"""A table of an SQLite file: plain calls that block, for a thread."""

from __future__ import annotations

import datetime as dt
import decimal
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from typing import cast

from ...runtime.contracts import DataError, MisconfiguredError, dataclass
from ._rows import Kind, Rows, as_json, infer_kinds
from ._sqlite_file import SqliteFile
from ._sqlite_staging import SqliteStaging
from ._tables import TableOptions, insert, quoted

__all__ = ["SqliteTable", "Written"]

_STRICT = sqlite3.sqlite_version_info >= (3, 37)
_TYPES: Mapping[Kind, str] = {
    "bool": "INTEGER",
    "int": "INTEGER",
    "float": "REAL",
    "bytes": "BLOB",
    "timedelta": "REAL",
    "unknown": "ANY" if _STRICT else "",
}
"""Everything else is TEXT."""

_PLAIN: frozenset[type] = frozenset((int, str, float, bytes, bool, type(None)))
_OF_THE_ROW = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
"""What comes of a value or a constraint, and not of the table or the file."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch: the errors of bad records, and for staged rows their last number."""

    rejected: dict[int, Exception]
    last: int = 0


class SqliteTable:
    """Writes rows into a table, or has them staged; see `sqlite`."""

    def __init__(self, file: SqliteFile, options: TableOptions) -> None:
        self._file = file
        self._options = options
        self.name = quoted(*options.table)
        self._rows: Rows | None = None
        self._insert = ""
        self._kept: tuple[Sequence[object], Written] | None = None
        with file.explained(f"write {self.name} of {file.path!r}"):
            self._look()

    @property
    def columns(self) -> Sequence[str]:
        """The columns that are written; none before they are known."""
        return () if self._rows is None else self._rows.columns

    def _look(self) -> None:
        """Find the columns of the table, or make it if all is said that is needed."""
        found = self._file.run(
            "SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE", self._options.table
        ).fetchone()
        if found is not None and found[0] != "table":
            raise MisconfiguredError(
                f"{self._file.path!r}: {self.name} is no table, but {found[0]}"
            )
        if found is not None:
            self._learn()
        elif self._options.kinds:
            with self._file.transaction():
                self._create(self._options.kinds)

    def _learn(self) -> None:
        """Take the columns of the table that is there."""
        table = self._file.run(
            "SELECT name, hidden, dflt_value FROM pragma_table_xinfo(?)", self._options.table
        ).fetchall()
        # A column that is generated counts as hidden.
        columns = [name for name, hidden, _ in table if not hidden]
        named = self._options.columns
        for name in (*(named or ()), *self._options.key):
            if name not in columns:
                raise MisconfiguredError(
                    f"{self._file.path!r}: {self.name} has no column {name!r} that can be "
                    f"written, only {columns}"
                )
        if named is None:
            # What has a default keeps it, unless it is named.
            columns = [name for name, hidden, default in table if not hidden and default is None]
        self._rows = self._rows_of(columns if named is None else named)
        marks = ", ".join("?" * len(self.columns))
        self._insert = insert(self.name, self.columns, self._options.key, f"VALUES ({marks})")
        if self._options.key:
            # Only planned, not run: it fails where the table has no such key.
            self._file.run(f"EXPLAIN {self._insert}", [None] * len(self.columns)).fetchall()

    def _rows_of(self, columns: Sequence[str]) -> Rows:
        return Rows(
            columns,
            key=self._options.key,
            named=self._options.columns is not None,
            plain=_PLAIN,
            convert=_value,
            hint=f" in {self.name}: name the columns to be written with columns=",
        )

    def _create(self, kinds: Mapping[str, Kind]) -> None:
        columns = [f"{quoted(name)} {_TYPES.get(kind, 'TEXT')}" for name, kind in kinds.items()]
        if self._options.key:
            columns.append(f"PRIMARY KEY ({', '.join(map(quoted, self._options.key))})")
        # Strict: a value of a wrong type is refused, and not kept as it is.
        self._file.run(
            f"CREATE TABLE IF NOT EXISTS {self.name} ({', '.join(columns)})"
            f"{' STRICT' if _STRICT else ''}"
        )
        self._learn()

    def write(
        self, staging: SqliteStaging | None, records: Sequence[object], *, repeats: bool
    ) -> Written:
        """Write records, or stage them, in one transaction.

        `repeats` says that the one who asked the last time may not know what became of it.
        """
        kept, self._kept = self._kept, None
        if staging is None and kept is not None and kept[0] is records:
            return kept[1]
        was = self._rows
        what = f"write to {self.name} of {self._file.path!r}"
        try:
            with self._file.explained(what), self._file.transaction(durable=staging is None):
                written = self._write(staging, records, repeats=repeats)
        except BaseException:
            self._rows = was  # A table that the transaction has made is gone again.
            raise
        if staging is not None:
            staging.settle(made=self._rows is not None)
        self._kept = (records, written)
        return written

    def forget(self) -> None:
        """The one who asked knows what became of the last write."""
        self._kept = None

    def _write(
        self, staging: SqliteStaging | None, records: Sequence[object], *, repeats: bool
    ) -> Written:
        rows = self._rows
        if rows is None:
            kinds = infer_kinds(records, self._options.columns)
            if not kinds or not set(self._options.key) <= set(kinds):
                return Written(self._rows_of([*kinds, *self._options.key]).of(records)[2])
            self._create(kinds)
            rows = self._rows
            assert rows is not None
        made, places, rejected = rows.of(records)
        self._file.run("SAVEPOINT thalweg_rows")
        bad = self._insert_rows(made)
        if staging is not None:
            # The table was only asked whether it takes them.
            self._file.run("ROLLBACK TO thalweg_rows")
        self._file.run("RELEASE thalweg_rows")
        rejected.update((places[index], error) for index, error in bad.items())
        if staging is None:
            return Written(rejected)
        good = [row for index, row in enumerate(made) if index not in bad] if bad else made
        return Written(rejected, staging.stage(rows.columns, good, repeats=repeats))

    def _insert_rows(self, rows: Sequence[tuple[object, ...]]) -> dict[int, Exception]:
        self._file.run("SAVEPOINT thalweg_batch")
        bad: dict[int, Exception] = {}
        try:
            self._file.run_many(self._insert, rows)
        except _OF_THE_ROW:
            self._file.run("ROLLBACK TO thalweg_batch")
            for index, row in enumerate(rows):
                try:
                    self._file.run(self._insert, row)
                except _OF_THE_ROW as error:
                    bad[index] = DataError(str(error))
        self._file.run("RELEASE thalweg_batch")
        return bad


def _value(name: str, value: object) -> object:
    """What SQLite takes for a value of another type."""
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, bytearray | memoryview):
        return bytes(cast("bytes", value))
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, uuid.UUID | decimal.Decimal):
        return str(value)
    return as_json(value)
