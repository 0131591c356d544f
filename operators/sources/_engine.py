"""What reads files: DuckDB, asked through ADBC.

DuckDB's own package for Python takes longer to import than its engine takes to start, which is as
long as some files take to be read. ADBC, the interface of Arrow to databases, needs none of it, and
lets the interpreter go on while the engine is loaded.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from ...runtime.contracts import MisconfiguredError, MissingExtra, arrow

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcDatabase

__all__ = ["Broken", "Engine", "Link", "OutOfMemory", "driver", "together"]

_SETTINGS = {
    "threads": "1",
    "enable_external_file_cache": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}

_STATUS = re.compile(r"\A[A-Z_]+: ")
"""What ADBC writes before the words of the engine."""

_VECTOR = 2048
"""Rows that the engine hands over at a time."""


class Broken(Exception):
    """The engine came to something that it cannot take; the message is its own."""


class OutOfMemory(Broken):
    """There is no memory left, which is not the fault of what is read."""


def driver() -> str:
    """Where the library of the engine is. Raises MissingExtra without it, or what asks it."""
    try:
        import adbc_driver_duckdb

        importlib.import_module("adbc_driver_manager")  # Who asks it.
        return str(adbc_driver_duckdb.driver_path())
    except (ImportError, AttributeError):
        raise MissingExtra("a stream of files", "sql") from None


class Engine:
    """A database of its own that reads files, loads nothing, and works in the thread that asks.

    Raises MissingExtra where the extra `sql` is not installed, or one too old, and
    MisconfiguredError where the engine does not start.
    """

    def __init__(self) -> None:
        library = driver()
        from adbc_driver_manager import AdbcDatabase, Error

        try:
            self._database: AdbcDatabase = AdbcDatabase(
                driver=library, entrypoint="duckdb_adbc_init", **_SETTINGS
            )
        except Error as error:
            raise MisconfiguredError(f"DuckDB does not start: {_told(error)}") from None
        self._links = 0
        self._ends = False
        self._lock = Lock()

    def link(self) -> Link:
        """A link of its own, for one thread at a time."""
        with self._lock:
            self._links += 1
        return Link(self._database, self._closed)

    def end(self) -> None:
        """No link will be asked for any more: the engine is let go when the last one is closed.

        That takes as long as a file of some MB, and whoever closes it has nothing else to do.
        """
        self._ends = True

    def close(self) -> None:
        """Let the engine go. The links are closed before."""
        self._database.close()

    def _closed(self) -> None:
        with self._lock:
            self._links -= 1
            last = self._ends and not self._links
        if last:
            self._database.close()


class Link:
    """Asks the engine; what is asked here sees the temporary tables that were made here."""

    def __init__(self, database: AdbcDatabase, closed: Callable[[], None]) -> None:
        from adbc_driver_manager import AdbcConnection

        self._connection = AdbcConnection(database)
        self._closed: Callable[[], None] | None = closed
        self._open: dict[Any, Any] = {}

    def batches(self, query: str, rows: int) -> Iterator[Any]:
        """What a query gives, in record batches of Arrow of so many rows. Raises Broken.

        The last one has from half as many to half as many more, where there were others.
        """
        statement, reader = self._asked(query)
        read, some = _read(reader), list[Any]()
        many = max(1, rows // _VECTOR)
        most = many + many // 2
        try:
            while some := [*some, *islice(read, most + 1 - len(some))]:
                cut = many if len(some) > most else most
                yield from together(some[:cut])
                some = some[cut:]
        finally:
            self._close(statement)

    def table(self, query: str) -> Any:
        """All that a query gives, as an Arrow table. Raises Broken."""
        pa = arrow()
        statement, reader = self._asked(query)
        try:
            return reader.read_all()
        except (pa.ArrowException, OSError) as error:
            raise _told(error) from None
        finally:
            self._close(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query, or none of what gives none. Raises Broken."""
        columns = [column.to_pylist() for column in self.table(query).columns]
        return list(zip(*columns, strict=True))

    def close(self) -> None:
        """End what is being read, and the link."""
        for statement in list(self._open):
            self._close(statement)
        self._connection.close()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

    def _asked(self, query: str) -> tuple[Any, Any]:
        from adbc_driver_manager import AdbcStatement, Error

        pa = arrow()
        if "\0" in query:
            raise Broken("a name has a NUL in it")  # The engine would see what stands before it.
        statement: Any = AdbcStatement(self._connection)
        self._open[statement] = None
        try:
            statement.set_sql_query(query)
            stream, _ = statement.execute_query()
            reader = self._open[statement] = pa.RecordBatchReader.from_stream(stream)
        except (Error, pa.ArrowException, OSError, UnicodeEncodeError) as error:
            self._close(statement)
            raise _told(error) from None
        return statement, reader

    def _close(self, statement: Any) -> None:
        if statement in self._open:
            reader = self._open.pop(statement)
            try:
                if reader is not None:
                    reader.close()
            finally:
                statement.close()


def _read(reader: Any) -> Iterator[Any]:
    """The record batches of a reader, which is not asked again behind its last one."""
    try:
        yield from reader
    except (arrow().ArrowException, OSError) as error:
        raise _told(error) from None


def together(some: list[Any]) -> list[Any]:
    """Record batches as one, unless their columns are too long to be one."""
    pa = arrow()
    try:
        # The pool that Arrow takes by default clears huge pages anew for each file.
        whole = pa.Table.from_batches(some).combine_chunks(pa.system_memory_pool())
        found: list[Any] = whole.to_batches()
    except pa.ArrowInvalid:
        return some  # An offset into text has 32 bits, and in a list Arrow cannot divide it.
    return found


def _told(error: Exception) -> Broken:
    """What the engine says, in its own words, without the query: nobody who reads it wrote that."""
    words = _STATUS.sub("", str(error)).partition("\n\nLINE ")[0]
    return OutOfMemory(words) if words.startswith("Out of Memory") else Broken(words)
