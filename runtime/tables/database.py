"""The database behind the tables of a job: DuckDB in memory, closed to everything outside it."""

from __future__ import annotations

import os
from array import array
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..columns import Columns, arrow
from ..errors import MisconfiguredError, MissingExtra
from .answer import Answer
from .asking import Asking
from .change import Change

__all__ = ["LISTING", "Database"]

LISTING = "thalweg_tables"
"""The table of all tables, which readers may ask too."""

_GIVEN, _PLACE = "thalweg_given", "thalweg_place"

_CLOSED = (
    # No folder to spill into: what a query needs beyond its memory must not fill a disk.
    "temp_directory = ''",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    # Else a query could name any variable of this program, and read it as a table.
    "python_enable_replacements = false",
    "enable_external_access = false",
    # What a query took goes back to the system, and does not stay until the next one.
    "allocator_background_threads = true",
    "lock_configuration = true",
)

_SHARE = 0.5
"""Of the memory of this machine, which tables and queries may take together."""


class Database:
    """Tables that one writer changes and many read, each reader as they stood at one moment.

    Nothing in it reaches a file, the network, an extension or a setting. All of it blocks, and is
    called from threads; who changes does so one at a time. Raises MissingExtra without DuckDB.
    """

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtra("a table", "sql") from None
        arrow()
        self._errors: Any = duckdb
        self._link: Any = duckdb.connect(":memory:")
        self._link.execute(f"set threads = {min(4, os.cpu_count() or 1)}")
        self._link.execute(f"set memory_limit = '{_memory() * _SHARE / 2**20:.0f}MiB'")
        for one in _CLOSED:
            self._link.execute(f"set {one}")
        self._listed: set[str] = set()
        self._shapes: dict[str, Any] = {}
        """The schema that was given last for each table which can take it as it stands."""
        self._link.execute(
            f"create table {LISTING} (name varchar, mode varchar, rows bigint, version bigint)"
        )

    def change(self, changes: Mapping[str, Sequence[Change]], version: int) -> None:
        """Make these changes, for whoever begins to read when this has returned.

        Raises MisconfiguredError where a table cannot become what is asked for.
        """
        link = self._link
        link.execute("begin transaction")
        try:
            for name, several in changes.items():
                for one in several:
                    self._apply(name, one)
                if several:
                    self._list(name, several[-1].mode, version)
            link.execute("commit")
        except BaseException as error:
            link.execute("rollback")
            self._shapes.clear()
            listed = link.execute(f"select name from {LISTING}").fetchall()
            self._listed = {str(name) for (name,) in listed}
            if isinstance(error, self._errors.Error):
                said = str(error).strip().partition("\n")[0]
                raise MisconfiguredError(f"the tables cannot be changed: {said}") from error
            raise

    def ask(self, asking: Asking) -> Answer:
        """The answer to a query. Raises QueryError."""
        asking.checked()
        reader = self._link.cursor()
        try:
            reader.execute("begin transaction read only")
            version = _number(reader, f"select coalesce(max(version), 0) from {LISTING}")
            return asking.answer(reader, version)
        finally:
            reader.close()

    def contents(self, name: str) -> Columns:
        """All rows of a table; none of no columns where there is no such table yet."""
        reader = self._link.cursor()
        try:
            if not _known(reader, name):
                return Columns(arrow().table({}))
            return Columns(reader.sql(f"from {_quoted(name)}").to_arrow_table())
        finally:
            reader.close()

    def _apply(self, name: str, change: Change) -> None:
        link, table = self._link, _quoted(name)
        if not change.rows:
            if change.mode == "complete" and _known(link, name):
                link.execute(f"delete from {table}")
            return
        given = Columns.join(change.rows).table
        with self._seen(_placed(given) if change.key else given):
            source = f"select * from {_GIVEN}"
            if change.key:
                keys = ", ".join(map(_quoted, change.key))
                source = (
                    f"select * exclude ({_PLACE}) from {_GIVEN} "
                    f"qualify row_number() over (partition by {keys} order by {_PLACE} desc) = 1"
                )
            fits = name in self._shapes and given.schema.equals(self._shapes[name])
            known = {} if fits else _known(link, name)
            self._shapes[name] = given.schema
            if change.mode == "complete" or not (known or fits):
                link.execute(f"create or replace table {table} as {source}")
                return
            if not fits:
                self._widen(table, known, _types(link, source))
            if change.key:
                same = " and ".join(
                    f"{table}.{_quoted(key)} is not distinct from {_GIVEN}.{_quoted(key)}"
                    for key in change.key
                )
                link.execute(f"delete from {table} using {_GIVEN} where {same}")
            link.execute(f"insert into {table} by name {source}")

    def _widen(self, table: str, known: Mapping[str, str], given: Mapping[str, str]) -> None:
        """Let a table have the columns and types of what comes now."""
        for column, kind in given.items():
            if column not in known:
                self._link.execute(f"alter table {table} add column {_quoted(column)} {kind}")
            elif known[column] != kind:
                self._link.execute(
                    f"alter table {table} alter column {_quoted(column)} set data type {kind}"
                )

    def _list(self, name: str, mode: str, version: int) -> None:
        rows = 0
        if name in self._shapes or _known(self._link, name):
            rows = _number(self._link, f"select count(*) from {_quoted(name)}")
        if name not in self._listed:
            self._link.execute(f"insert into {LISTING} (name, mode) values (?, ?)", [name, mode])
        self._link.execute(
            f"update {LISTING} set rows = ?, version = ? where name = ?", [rows, version, name]
        )
        self._listed.add(name)

    @contextmanager
    def _seen(self, table: Any) -> Generator[None]:
        """Rows of Arrow as a table that only the writer sees."""
        self._link.register(_GIVEN, table)
        try:
            yield
        finally:
            self._link.unregister(_GIVEN)


def _placed(table: Any) -> Any:
    """A table with a column that numbers its rows."""
    pa = arrow()
    numbers = pa.py_buffer(array("q", range(table.num_rows)))
    column = pa.Array.from_buffers(pa.int64(), table.num_rows, [None, numbers])
    return table.append_column(_PLACE, column)


def _known(link: Any, name: str) -> dict[str, str]:
    """The columns of a table and their types; none where there is no such table."""
    found = link.execute(
        "select column_name, data_type from duckdb_columns() "
        "where schema_name = 'main' and lower(table_name) = lower(?) order by column_index",
        [name],
    ).fetchall()
    return {str(column): str(kind) for column, kind in found}


def _types(link: Any, source: str) -> dict[str, str]:
    found = link.execute(f"describe {source}").fetchall()
    return {str(one[0]): str(one[1]) for one in found}


def _number(link: Any, query: str) -> int:
    # All rows, though there is one: a result that is not read to its end keeps the connection.
    return int(link.execute(query).fetchall()[0][0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _memory() -> int:
    """The bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
