"""An SQLite file: its connection, its transactions and its errors."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from ...runtime.contracts import BusyError, MisconfiguredError, UnavailableError
from ._files import make_folder

__all__ = ["SqliteFile"]

_PATIENCE = 5.0
"""Seconds for which a lock that somebody else has on the file is waited for."""


_TURNS: weakref.WeakValueDictionary[str, threading.Lock] = weakref.WeakValueDictionary()
"""For each file that is open here: those who wait for SQLite's own lock sleep and ask again, for
up to 0.1 s each time, and several sinks of a job on one file would do little else."""


class SqliteFile:
    """One connection, for calls that block. Raises `MisconfiguredError` for what is no database.

    `replaced` is asked about a table of ours that is gone; it raises StateLost where another copy
    of the job is the reason.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.replaced: Callable[[], object] | None = None
        try:
            make_folder(os.path.dirname(path))
        except OSError as error:
            raise MisconfiguredError(f"cannot write {path!r}: {error.strerror}") from error
        with self.explained(f"open {path!r}"):
            self._connection = sqlite3.connect(
                path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                if not os.path.getsize(path):
                    # Readers then see what is committed while the next rows are being written.
                    # Another sink that makes the same file may be at it.
                    with suppress(sqlite3.OperationalError):
                        self._connection.execute("PRAGMA journal_mode = WAL")
                (mode,) = self._connection.execute("PRAGMA journal_mode").fetchone()
            except BaseException:
                self._connection.close()
                raise
        self._logs_ahead = mode == "wal"
        self._turn = _TURNS.setdefault(os.path.realpath(path), threading.Lock())
        self.run = self._connection.execute
        self.run_many = self._connection.executemany

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Generator[None]:
        """All or nothing. What need not be `durable` at once may be so with the next one."""
        self.run(f"PRAGMA synchronous = {'FULL' if durable or not self._logs_ahead else 'NORMAL'}")
        with self._turn:
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self.run("ROLLBACK")
                raise

    @contextmanager
    def explained(self, what: str) -> Generator[None]:
        """Errors of SQLite become ours: `cannot <what>: …`."""
        try:
            yield
        except sqlite3.Error as error:
            # The lowest byte is the error, the others tell its variety.
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            text = f"cannot {what}: {error}"
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise BusyError(f"{text}; another program writes to it") from error
            if code == sqlite3.SQLITE_FULL:
                raise UnavailableError(text) from error
            if self.replaced is not None and "no such table: thalweg_" in str(error):
                self.replaced()
            raise MisconfiguredError(text) from error

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()
