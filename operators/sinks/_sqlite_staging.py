"""Staged rows in an SQLite file: plain calls that block, for a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from ...runtime.contracts import MisconfiguredError
from ._sqlite_file import SqliteFile
from ._staged_rows import Prepared, StagedRows
from ._tables import EPOCHS, insert, quoted

__all__ = ["SqliteStaging"]

_MINE = "lineage = ? AND graph = ? AND node = ?"


class SqliteStaging:
    """Keeps rows until their epoch is committed, in the file of their table; see `sqlite`."""

    def __init__(
        self, file: SqliteFile, staged: StagedRows, target: str, key: Sequence[str]
    ) -> None:
        self._file = file
        self._staged = staged
        self._target = target
        self._key = key
        self._made = False
        file.replaced = self._hold

    def stage(
        self, columns: Sequence[str], rows: Sequence[tuple[object, ...]], *, repeats: bool
    ) -> int:
        """Add rows, in the transaction that is open; returns the number of the last one.

        `repeats` says that there may be some already that nobody knows of.
        """
        run, first = self._file.run, self._staged.last + 1
        table, names = quoted(self._staged.table), ", ".join(map(quoted, columns))
        if not self._made:
            run(f"CREATE TABLE IF NOT EXISTS {table} (thalweg_row INTEGER PRIMARY KEY, {names})")
        if repeats:
            run(f"DELETE FROM {table} WHERE thalweg_row >= ?", (first,))
        marks = ", ".join("?" * len(columns))
        numbered = ((number, *row) for number, row in enumerate(rows, first))
        self._file.run_many(
            f"INSERT INTO {table} (thalweg_row, {names}) VALUES (?, {marks})", numbered
        )
        return self._staged.last + len(rows)

    def settle(self, made: bool) -> None:
        """The transaction is committed: the table for staged rows is there, or is not."""
        self._made = made

    def prepare(self, epoch: int) -> None:
        """Have all that was staged survive a power cut."""
        what = f"prepare epoch {epoch} in {self._file.path!r}"
        with self._file.explained(what), self._file.transaction():
            self._hold()
            # To be durable a transaction must change something; with it comes all before it.
            self._file.run(
                f"UPDATE {EPOCHS} SET prepared = ? WHERE {_MINE}",
                (epoch, *self._staged.identity),
            )

    def commit(self, prepared: Prepared) -> None:
        """Move the rows of an epoch into the table, unless that was done before."""
        staged, run = self._staged, self._file.run
        what = f"commit epoch {prepared.epoch} to {self._target} of {self._file.path!r}"
        with self._file.explained(what), self._file.transaction():
            if staged.wanted(prepared, self._hold()):
                self._move(prepared)
                run(
                    f"UPDATE {EPOCHS} SET epoch = ? WHERE {_MINE}",
                    (prepared.epoch, *staged.identity),
                )
            if staged.recovering:
                self._drop(staged.older(self._tables()))

    def _move(self, prepared: Prepared) -> None:
        run, table = self._file.run, quoted(prepared.staged)
        found = 0
        if prepared.staged in self._tables():
            counting = f"SELECT count(*) FROM {table} WHERE thalweg_row <= ?"
            (found,) = run(counting, (prepared.last,)).fetchone()
        self._staged.complete(prepared, found)
        names = ", ".join(map(quoted, prepared.columns))
        source = f"SELECT {names} FROM {table} WHERE thalweg_row <= ? ORDER BY thalweg_row"
        try:
            run(insert(self._target, prepared.columns, self._key, source), (prepared.last,))
        except sqlite3.IntegrityError as error:
            raise self._staged.refused(prepared, error) from error
        run(f"DELETE FROM {table} WHERE thalweg_row <= ?", (prepared.last,))

    def discard(self, epoch: int) -> None:
        """Take the table over from earlier copies of the job."""
        staged, run = self._staged, self._file.run
        what = f"go on in {self._file.path!r}"
        with self._file.explained(what), self._file.transaction():
            run(
                f"CREATE TABLE IF NOT EXISTS {EPOCHS} (lineage TEXT, graph TEXT, node TEXT, "
                "epoch INTEGER NOT NULL, prepared INTEGER NOT NULL, token INTEGER NOT NULL, "
                "PRIMARY KEY (lineage, graph, node))"
            )
            run(
                f"INSERT INTO {EPOCHS} VALUES (?, ?, ?, 0, 0, ?) ON CONFLICT DO NOTHING",
                (*staged.identity, staged.token),
            )
            staged.begin(epoch, self._hold())
            run(f"UPDATE {EPOCHS} SET token = ? WHERE {_MINE}", (staged.token, *staged.identity))
            if not epoch:
                self._drop(staged.older(self._tables()))

    def _hold(self) -> int:
        """The epoch that is committed. Raises StateLost where another copy has taken over."""
        found = self._file.run(
            f"SELECT epoch, token FROM {EPOCHS} WHERE {_MINE}", self._staged.identity
        ).fetchone()
        if found is None:
            raise MisconfiguredError(self._staged.row_is_gone)
        self._staged.hold(int(found[1]))
        return int(found[0])

    def _tables(self) -> list[str]:
        found = self._file.run("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [name for (name,) in found if name.startswith(self._staged.family)]

    def _drop(self, tables: Sequence[str]) -> None:
        for name in tables:
            self._file.run(f"DROP TABLE {quoted(name)}")

    def close(self) -> None:
        """Of the staged rows stays what was prepared."""
        if self._made and self._staged.settled:
            with suppress(sqlite3.Error):
                self._drop([self._staged.table])
