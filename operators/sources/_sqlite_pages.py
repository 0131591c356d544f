"""Pages of rows from an SQLite file, which is opened for reading only."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from ...runtime.contracts import Context, DataError, MisconfiguredError, UnavailableError
from ._pages import Page, Row, Selection, checked_timeout

__all__ = ["SqlitePages"]

_PATIENCE = 5.0
"""Seconds for which a lock that somebody else has on the file is waited for."""
_STEPS = 10_000
"""Of SQLite's machine, between two looks at the clock: well under a millisecond."""
_MAY_PASS = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PROTOCOL,
)


class _Undecodable(bytes):
    """A text that is not UTF-8."""


class SqlitePages:
    """See `Pages`. `timeout` is in seconds, for one page."""

    def __init__(self, path: str, *, timeout: float) -> None:
        self._path = path
        if not path or path == ":memory:":
            raise ValueError(f"an SQLite database is a file, and its path is {path!r}")
        self._timeout = checked_timeout(timeout)
        self._connection: sqlite3.Connection | None = None

    async def open(self, context: Context) -> None:
        """Open the file."""
        self._context = context
        # A cancelled page goes on in its thread, while the next one is asked for.
        self._turn = threading.Lock()
        self._deadline = 0.0
        self._closing = False
        await context.in_thread(self._open)

    async def columns(self, selection: Selection) -> list[str]:
        """See `Pages`."""
        sql = selection.sql("*", "1", " LIMIT 0")
        return await self._context.in_thread(self._names, sql, selection.values)

    async def page(self, selection: Selection, after: object, through: object, count: int) -> Page:
        """See `Pages`."""
        bounds = [value for value in (after, through) if value is not None]
        values = [*selection.values, *bounds, count]
        sql = selection.page(_mark(after), _mark(through), "?")
        return await self._context.in_thread(self._page, sql, values, selection.key)

    async def value(self, selection: Selection, sql: str) -> object:
        """See `Pages`."""
        return await self._context.in_thread(self._value, sql, selection.values)

    async def primary_key(self, table: Sequence[str]) -> list[str] | None:
        """See `Pages`."""
        return await self._context.in_thread(self._primary_key, table[-1])

    async def close(self) -> None:
        """Interrupt what still runs, and close the file."""
        self._closing = True
        if self._connection is not None:
            await self._context.in_thread(self._close)

    def _open(self) -> None:
        if not os.path.isfile(self._path):
            raise MisconfiguredError(f"cannot read {os.path.abspath(self._path)!r}: no such file")
        with self._told("be opened"):
            self._connection = sqlite3.connect(
                f"file:{quote(os.path.abspath(self._path))}?mode=ro",
                uri=True,
                timeout=_PATIENCE,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.set_progress_handler(self._is_over, _STEPS)
            self._connection.execute("SELECT 1 FROM sqlite_schema")

    @contextmanager
    def _asking(self) -> Generator[sqlite3.Connection]:
        with self._turn, self._told("be read"):
            self._deadline = time.monotonic() + self._timeout
            assert self._connection is not None, "pages are asked for between open and close"
            yield self._connection

    def _names(self, sql: str, values: Sequence[object]) -> list[str]:
        with self._asking() as connection:
            return [column[0] for column in connection.execute(sql, _bound(values)).description]

    def _value(self, sql: str, values: Sequence[object]) -> object:
        with self._asking() as connection:
            row = connection.execute(sql, _bound(values)).fetchone()
            return None if row is None else row[0]

    def _primary_key(self, table: str) -> list[str] | None:
        with self._asking() as connection:
            sql = "SELECT name, pk FROM pragma_table_info(?)"
            columns = connection.execute(sql, (table,)).fetchall()
        if not columns:
            return None
        return [name for name, place in sorted(columns, key=lambda column: column[1]) if place]

    def _page(self, sql: str, values: Sequence[object], key: str) -> Page:
        with self._asking() as connection:
            try:
                return Page(self._rows(connection, sql, values), {})
            except sqlite3.OperationalError as error:
                if not str(error).startswith("Could not decode to UTF-8"):
                    raise
            connection.text_factory = _decoded
            try:
                rows = self._rows(connection, sql, values)
            finally:
                connection.text_factory = str
        if any(_is_bad(row[key]) for row in rows):
            raise MisconfiguredError(
                f"{self._path!r} cannot be read by {key!r}: it holds a text that is not UTF-8"
            )
        return Page([_readable(row) for row in rows], _complaints(rows))

    def _rows(
        self, connection: sqlite3.Connection, sql: str, values: Sequence[object]
    ) -> list[Row]:
        cursor = connection.execute(sql, _bound(values))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _is_over(self) -> int:
        return self._closing or time.monotonic() > self._deadline

    @contextmanager
    def _told(self, what: str) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # The lowest byte is the error, the others tell its variety.
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_INTERRUPT:
                text = (
                    f"a page of {self._path!r} took longer than timeout={self._timeout:g} s: let "
                    "an index be on the key, ask for fewer rows, or allow for more time"
                )
                raise MisconfiguredError(text) from error
            text = f"{self._path!r} cannot {what}: {error}"
            raise (UnavailableError if code in _MAY_PASS else MisconfiguredError)(text) from error

    def _close(self) -> None:
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _mark(bound: object) -> str:
    return "" if bound is None else "?"


def _bound(values: Sequence[object]) -> tuple[Any, ...]:
    return tuple(values)


def _decoded(text: bytes) -> object:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return _Undecodable(text)


def _readable(row: Row) -> Row:
    return {
        name: value.decode("utf-8", "backslashreplace") if _is_bad(value) else value
        for name, value in row.items()
    }


def _complaints(rows: Sequence[Row]) -> dict[int, Exception]:
    return {
        index: DataError(f"column {names[0]!r} is a text that is not UTF-8")
        for index, row in enumerate(rows)
        if (names := [name for name, value in row.items() if _is_bad(value)])
    }


def _is_bad(value: object) -> bool:
    return isinstance(value, _Undecodable)
