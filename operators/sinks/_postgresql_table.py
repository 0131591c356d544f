"""A table in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import cast

from ...runtime.contracts import DataError, MisconfiguredError, UnavailableError, dataclass
from ._postgresql_columns import Columns
from ._postgresql_link import Connection, PostgresqlLink, is_of_the_row
from ._postgresql_staging import PostgresqlStaging, Put, Row
from ._rows import Rows, as_json, infer_kinds
from ._tables import TableOptions, insert, quoted

__all__ = ["PostgresqlTable"]


_TEXT = ("text", "character", "citext", '"char"')
_PLAIN: frozenset[type] = frozenset((int, str, float, bytes, bool, type(None)))


@dataclass(frozen=True, slots=True)
class _Kept:
    """A write whose commit was under way when the connection was lost."""

    records: Sequence[object]
    transaction: int
    rejected: dict[int, Exception]


class PostgresqlTable:
    """Writes rows into a table, or has them staged; see `postgresql`."""

    def __init__(self, link: PostgresqlLink, options: TableOptions) -> None:
        self._link = link
        self._options = options
        self._columns: Columns | None = None
        self._rows: Rows | None = None
        self._kept: _Kept | None = None
        self._upsert = ""
        self.name = quoted(*options.table)
        self.schema = ""

    @property
    def names(self) -> Sequence[str]:
        """The columns that are written; none before they are known."""
        return () if self._columns is None else self._columns.names

    async def open(self) -> None:
        """Find the columns of the table, or make it if all is said that is needed."""
        async with self._link.transaction() as connection:
            if not await self._learn(connection):
                *named, table = self._options.table
                schema = named[0] if named else await connection.fetchval("SELECT current_schema()")
                if schema is None:
                    raise MisconfiguredError(
                        f"{self._link.where} has no schema for {self.name}: name one, as in "
                        "'public.words'"
                    )
                self._name(schema, table)
                if self._options.kinds:
                    await Columns.make(connection, self._options, self._options.kinds)
                    await self._learn(connection)

    def _name(self, schema: str, table: str) -> None:
        # From here on it is this one, whatever stands in the search path.
        self._options = replace(self._options, table=(schema, table))
        self.schema, self.name = schema, quoted(schema, table)

    async def _learn(self, connection: Connection) -> bool:
        """Take the columns of the table, if it is there."""
        columns = await Columns.find(connection, self._options, self._link.where)
        if columns is None:
            return False
        self._name(columns.schema, columns.table)
        self._columns, self._rows = columns, self._rows_of(columns.names)
        marks = ", ".join(f"${number}" for number in range(1, len(columns.names) + 1))
        self._upsert = insert(self.name, columns.names, self._options.key, f"VALUES ({marks})")
        if self._options.key:
            # Only planned, not run: it fails where the table has no such key.
            nulls = ", ".join(["NULL"] * len(columns.names))
            planned = insert(self.name, columns.names, self._options.key, f"VALUES ({nulls})")
            await connection.execute(f"EXPLAIN {planned}")
        return True

    def _rows_of(self, names: Sequence[str]) -> Rows:
        return Rows(
            names,
            key=self._options.key,
            named=self._options.columns is not None,
            plain=_PLAIN,
            convert=self._value,
            hint=f" in {self.name}: name the columns to be written with columns=",
        )

    def _value(self, name: str, value: object) -> object:
        """What the column takes for a value of another type; asyncpg knows most."""
        assert self._columns is not None
        if not isinstance(value, Mapping | list | tuple) and not is_dataclass(value):
            return value
        kind = next(each.type for each in self._columns.written if each.name == name)
        given = cast("object", value)
        return as_json(given) if kind.startswith(_TEXT) else given

    async def write(
        self,
        staging: PostgresqlStaging | None,
        records: Sequence[object],
        *,
        repeats: bool,
    ) -> dict[int, Exception]:
        """Write records, or stage them, in one transaction; the errors of those that are bad.

        `repeats` says that nobody knows what became of the last write.
        """
        if repeats and staging is None and await self._was_written(records):
            assert self._kept is not None
            return self._kept.rejected
        self._kept = None
        was = self._columns, self._rows
        try:
            async with self._link.transaction() as connection:
                rejected = await self._write(connection, staging, records, repeats)
                if staging is None:
                    number = await connection.fetchval("SELECT txid_current()")
                    self._kept = _Kept(records, number, rejected)
        except BaseException:
            self._columns, self._rows = was  # What the transaction has made is gone again.
            raise
        if staging is not None and self._columns is not None:
            staging.settle()
        return rejected

    async def _was_written(self, records: Sequence[object]) -> bool:
        """Whether these were committed in a connection that was lost before it could say so."""
        kept = self._kept
        if kept is None or kept.records is not records:
            return False
        async with self._link.transaction() as connection:
            status = await connection.fetchval("SELECT txid_status($1)", kept.transaction)
        if status == "in progress":
            raise UnavailableError(f"{self._link.where} has not ended the write before this yet")
        return bool(status == "committed")

    async def _write(
        self,
        connection: Connection,
        staging: PostgresqlStaging | None,
        records: Sequence[object],
        repeats: bool,
    ) -> dict[int, Exception]:
        if self._rows is None:
            kinds = infer_kinds(records, self._options.columns)
            if not kinds or not set(self._options.key) <= set(kinds):
                return self._rows_of([*kinds, *self._options.key]).of(records)[2]
            await Columns.make(connection, self._options, kinds)
            await self._learn(connection)
        assert self._rows is not None
        assert self._columns is not None
        rows, places, rejected = self._rows.of(records)
        put = self._put(connection)
        if staging is not None:
            put = await staging.ready(connection, self._columns, repeats=repeats)
        bad = await _each_apart(connection, rows, put) if rows else {}
        rejected.update((places[index], error) for index, error in bad.items())
        return rejected

    def _put(self, connection: Connection) -> Put:
        async def put(rows: Sequence[Row], first: int) -> None:
            if self._options.key:
                await connection.executemany(self._upsert, rows)
                return
            schema, table = self._options.table
            await connection.copy_records_to_table(
                table, records=rows, columns=self.names, schema_name=schema
            )

        return put


async def _each_apart(
    connection: Connection, rows: Sequence[Row], put: Put
) -> dict[int, Exception]:
    """Put all rows that can be put, in order; the errors of the others, found by halving."""
    bad: dict[int, Exception] = {}
    left = [(0, len(rows))]
    while left:
        first, end = left.pop()
        await connection.execute("SAVEPOINT thalweg_rows")
        try:
            await put(rows[first:end], first)
        except Exception as error:
            if not is_of_the_row(error):
                raise
            await connection.execute("ROLLBACK TO thalweg_rows")
            if end - first == 1:
                bad[first] = DataError(str(error))
            else:
                middle = (first + end) // 2
                left += [(middle, end), (first, middle)]
        await connection.execute("RELEASE thalweg_rows")
    return bad
