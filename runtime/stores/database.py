"""One SQLite database with the epochs of one job. It blocks, and lives in one thread."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StateDamaged, StateError
from .chain import Chain, EpochRow, SegmentRow, digest, verified
from .disk_errors import reported
from .store import Checkpoint, Held, Saved, SavedEpoch

__all__ = ["Database"]

_VERSION = 1
_BUSY = 5.0
"""Seconds to wait for another program that looks into the file."""
_TABLES = """
CREATE TABLE state (lineage TEXT NOT NULL, token INTEGER NOT NULL, digest BLOB NOT NULL);
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    seen INTEGER NOT NULL,
    head BLOB NOT NULL,
    parts BLOB NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE segments (
    node TEXT NOT NULL,
    part TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    piece INTEGER NOT NULL,
    since INTEGER NOT NULL,
    previous BLOB NOT NULL,
    digest BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (node, part, epoch, piece)
);
CREATE INDEX segments_by_epoch ON segments (epoch);
"""
_PRAGMAS = (
    # Nobody else has business here, and nothing need be shared with them.
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",
    "checkpoint_fullfsync = ON",
    # A log that large epochs have stretched is cut again when it is next begun.
    f"journal_size_limit = {16 * 1024 * 1024}",
    "cell_size_check = ON",
    "trusted_schema = OFF",
)
_EPOCH = "epoch, seen, head, parts, digest"
_SEGMENT_TYPES = (str, str, int, int, int, bytes, bytes, bytes)
_RESTORE = "Restore it from a copy; or delete its folder, and the job begins anew"
_SEGMENT = "node, part, epoch, piece, since, previous, digest, data"


class Database:
    """Opened again by itself after an error: the next call finds what the last whole save left.

    Raises what `reported` makes of the errors of SQLite and of the disk.
    """

    def __init__(self, path: Path) -> None:
        self.where = repr(str(path))
        self._path = path.absolute()
        self._connection: sqlite3.Connection | None = None
        self._lineage = ""
        self._chain: Chain | None = None

    def is_empty(self) -> bool:
        """Whether there is no file, or nothing in it."""
        with reported(self.where):
            return not self._path.exists() or self._path.stat().st_size == 0

    def open(self, *, new: bool, last: int) -> Held:
        """Go on with the state that is there, up to epoch `last`; or begin one, if it may be
        `new`.
        """
        if new:
            with reported(self.where):
                # SQLite would let others read it; and what it adds takes after this one.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode=0o600))
        with self._transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            names = connection.execute("SELECT name FROM sqlite_schema").fetchall()
            if new and version == 0 and not names:
                held, there = Held(uuid.uuid4().hex, 1), 0
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute("INSERT INTO state VALUES (?, ?, ?)", _of_state(held))
            else:
                self._look_at_version(version)
                held = self._held(connection)
                connection.execute("UPDATE state SET token = ?, digest = ?", _of_state(held)[1:])
                (there,) = connection.execute("SELECT count(*) FROM epochs").fetchone()
        self._lineage = held.lineage
        self._chain = None if there or last else Chain(held.lineage)
        return held

    def _look_at_version(self, version: int) -> None:
        if version > _VERSION:
            raise StateError(
                f"{self.where} is of version {version}, and this Thalweg reads {_VERSION}: it was "
                "written by a later Thalweg, so run that one (or it is damaged)"
            )
        if version != _VERSION:
            raise StateDamaged(f"{self.where} is damaged: it is of no version. {_RESTORE}")

    def _held(self, connection: sqlite3.Connection) -> Held:
        rows = connection.execute("SELECT lineage, token, digest FROM state").fetchall()
        if len(rows) == 1 and _fits(rows[0], (str, int, bytes)):
            lineage, token, _ = rows[0]
            if rows[0] == _of_state(Held(lineage, token)):
                return Held(lineage, token + 1)
        raise StateDamaged(f"{self.where} is damaged: it does not say whose it is. {_RESTORE}")

    def epochs(self) -> list[SavedEpoch]:
        """The epochs that are there; a damaged one counts as seen."""
        with reported(self.where):
            rows = self._connected().execute("SELECT epoch FROM epochs").fetchall()
        found: dict[int, bool] = {}
        for (epoch,) in rows:
            row = self._epoch(epoch)
            found[epoch] = row is None or not row.sound(self._lineage) or row.seen != 0
        return [SavedEpoch(epoch, found[epoch]) for epoch in sorted(found) if epoch > 0]

    def _epoch(self, epoch: int) -> EpochRow | None:
        """The row of an epoch; None where it cannot be read."""
        try:
            with reported(self.where):
                asked = f"SELECT {_EPOCH} FROM epochs WHERE epoch = ?"
                values = self._connected().execute(asked, (epoch,)).fetchone()
        except StateDamaged:
            return None
        if values is None or not _fits(values, (int, int, bytes, bytes, bytes)):
            return None
        return EpochRow(*values)

    def load(self, epoch: int) -> Saved:
        """What was saved in an epoch, which the next one is to follow."""
        row = self._epoch(epoch)
        if row is None:
            raise StateDamaged(f"epoch {epoch} in {self.where} is gone, or cannot be read")
        try:
            with reported(self.where):
                saved, self._chain = verified(self._lineage, row, self._segments(epoch))
        except StateDamaged as error:
            raise StateDamaged(f"epoch {epoch} in {self.where} is damaged: {error}") from error
        return saved

    def _segments(self, epoch: int) -> Iterator[list[SegmentRow]]:
        """The rows of each part that an epoch needs."""
        connection = self._connected()
        parts = connection.execute(
            "SELECT DISTINCT node, part, since FROM segments WHERE epoch = ?", (epoch,)
        ).fetchall()
        for node, part, since in parts:
            found = connection.execute(
                f"SELECT {_SEGMENT} FROM segments WHERE node = ? AND part = ? "
                "AND epoch BETWEEN ? AND ? ORDER BY epoch, piece",
                (node, part, since, epoch),
            ).fetchall()
            if not found or not all(_fits(values, _SEGMENT_TYPES) for values in found):
                raise StateDamaged(f"part {part!r} of node {node!r} is not what was written")
            yield [SegmentRow(*values) for values in found]

    @property
    def last(self) -> int:
        """The epoch that the next one follows. Raises ValueError where none was loaded yet."""
        return self._following().last

    def _following(self) -> Chain:
        if self._chain is None:
            raise ValueError(f"{self.where} has epochs: load the one to go on from")
        return self._chain

    def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        """Save an epoch and prune, in one transaction."""
        before = self._following()
        if before.has(checkpoint, keep=keep):
            return
        head, rows, chain = before.extend(checkpoint, keep=keep)
        with self._transaction() as connection:
            for table in ("epochs", "segments"):
                connection.execute(f"DELETE FROM {table} WHERE epoch > ?", (before.last,))
            connection.execute("INSERT INTO epochs VALUES (?, ?, ?, ?, ?)", head.values())
            connection.executemany(
                "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [row.values() for row in rows],
            )
            _prune(connection, keep)
        self._chain = chain

    def close(self) -> None:
        """Let the file go, with all that was saved in it alone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            # Never made here: a file that is missing by now is no new state.
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw", uri=True, timeout=_BUSY, isolation_level=None
            )
            self._connection = connection
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
        return self._connection

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        with reported(self.where):
            try:
                connection = self._connected()
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # What state an error leaves a connection in depends on the error.
                self.close()
                raise


def _prune(connection: sqlite3.Connection, keep: int) -> None:
    """Delete the epochs before the last `keep`, and the segments that none of these needs."""
    (oldest,) = connection.execute(
        "SELECT min(epoch) FROM (SELECT epoch FROM epochs ORDER BY epoch DESC LIMIT ?)", (keep,)
    ).fetchone()
    connection.execute("DELETE FROM epochs WHERE epoch < ?", (oldest,))
    connection.execute(
        "DELETE FROM segments WHERE epoch < ? AND NOT EXISTS (SELECT 1 FROM segments AS kept "
        "WHERE kept.node = segments.node AND kept.part = segments.part AND kept.epoch >= ? "
        "AND kept.since <= segments.epoch)",
        (oldest, oldest),
    )


def _of_state(held: Held) -> tuple[str, int, bytes]:
    return held.lineage, held.token, digest(held.lineage, "state", held.token)


def _fits(values: Sequence[object], types: Sequence[type]) -> bool:
    """Whether a row has what it was given: a damaged one may have anything."""
    return all(isinstance(value, kind) for value, kind in zip(values, types, strict=True))
