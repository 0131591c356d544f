"""Staged rows in PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ...runtime.contracts import MisconfiguredError, ThalwegError, UnavailableError
from ._postgresql_columns import ONE_AT_A_TIME, Columns
from ._postgresql_link import Connection, PostgresqlLink, is_of_the_row
from ._staged_rows import Prepared, StagedRows
from ._tables import EPOCHS, insert, quoted

__all__ = ["PostgresqlStaging", "Put", "Row"]

Row = tuple[object, ...]
Put = Callable[[Sequence[Row], int], Awaitable[None]]
"""Puts rows, the first of which has this number in its batch."""

_UNIQUE = "23505"
_MINE = "lineage = $1 AND graph = $2 AND node = $3"


class PostgresqlStaging:
    """Keeps rows until their epoch is committed, in the schema of their table; see `postgresql`.

    Each write is a transaction, and its rows have its number: one that is made again, since the
    connection was lost, first removes what it may have left.
    """

    def __init__(
        self, link: PostgresqlLink, staged: StagedRows, schema: str, target: str, key: Sequence[str]
    ) -> None:
        self._link = link
        self._staged = staged
        self._schema = schema
        self._target = target
        self._key = key
        self._epochs = quoted(schema, EPOCHS)
        lineage, graph, node = map(_literal, staged.identity)
        self._mine = f"WHERE lineage = {lineage} AND graph = {graph} AND node = {node}"
        self._made = False

    async def ready(self, connection: Connection, columns: Columns, *, repeats: bool) -> Put:
        """What puts rows there, in the transaction that is open.

        `repeats` says that there may be some already that nobody knows of.
        """
        staged, number = self._staged, self._staged.last + 1
        table = quoted(self._schema, staged.table)
        if not self._made:
            declared = ", ".join(
                ["thalweg_write bigint", "thalweg_row integer"]
                + [column.declared for column in columns.written]
                # A write that is still under way in a lost connection meets its like here.
                + ["PRIMARY KEY (thalweg_write, thalweg_row)", *columns.checks]
            )
            await connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({declared})")
        if repeats:
            await connection.execute(f"DELETE FROM {table} WHERE thalweg_write >= $1", number)
        names = ["thalweg_write", "thalweg_row", *columns.names]

        async def put(rows: Sequence[Row], first: int) -> None:
            numbered = ((number, place, *row) for place, row in enumerate(rows, first))
            try:
                await connection.copy_records_to_table(
                    staged.table, records=numbered, columns=names, schema_name=self._schema
                )
            except Exception as error:
                if getattr(error, "sqlstate", "") != _UNIQUE:
                    raise
                raise UnavailableError(
                    f"{self._link.where} has only just ended a write that was given up"
                ) from error

        return put

    def settle(self) -> None:
        """The table for staged rows is there for good."""
        self._made = True

    async def prepare(self, epoch: int) -> None:
        """See that this copy still holds the table, and that all is safe from power cuts."""
        async with self._link.transaction(safely=True) as connection:
            await self._hold(connection)
            # It must change something to be written to the log, with all that came before.
            await connection.execute(f"UPDATE {self._epochs} SET prepared = {epoch} {self._mine}")

    async def commit(self, prepared: Prepared) -> None:
        """Move the rows of an epoch into the table, unless that was done before."""
        staged = self._staged
        async with self._link.transaction(safely=True) as connection:
            # First of all: a copy that takes over drops what is counted here.
            committed = await self._hold(connection)
            found = await self._count(connection, prepared)
            if staged.wanted(prepared, committed):
                await self._move(connection, prepared, found)
        if staged.recovering:
            await self._drop_older()

    async def _count(self, connection: Connection, prepared: Prepared) -> int:
        """How many rows of an epoch are staged. Nobody adds to what was prepared."""
        if prepared.staged not in await self._tables(connection):
            return 0
        table = quoted(self._schema, prepared.staged)
        there = f"WHERE thalweg_write <= {int(prepared.last)}"
        return int(await connection.fetchval(f"SELECT count(*) FROM {table} {there}"))

    async def _move(self, connection: Connection, prepared: Prepared, found: int) -> None:
        table = quoted(self._schema, prepared.staged)
        there = f"WHERE thalweg_write <= {int(prepared.last)}"
        self._staged.complete(prepared, found)
        names, order = ", ".join(map(quoted, prepared.columns)), "thalweg_write, thalweg_row"
        source = f"SELECT {names} FROM {table} {there} ORDER BY {order}"
        if self._key:
            # One statement may change a row only once: so of each key only the last.
            key = ", ".join(map(quoted, self._key))
            source = (
                f"SELECT DISTINCT ON ({key}) {names} FROM {table} {there} "
                f"ORDER BY {key}, thalweg_write DESC, thalweg_row DESC"
            )
        statement = insert(self._target, prepared.columns, self._key, source)
        try:
            await connection.execute(statement)
        except Exception as error:
            if is_of_the_row(error):
                raise self._staged.refused(prepared, error) from error
            raise
        if found:
            await connection.execute(f"DELETE FROM {table} {there}")
        await connection.execute(
            f"UPDATE {self._epochs} SET epoch = {int(prepared.epoch)} {self._mine}"
        )

    async def discard(self, epoch: int) -> None:
        """Take the table over from earlier copies of the job."""
        staged = self._staged
        # Apart: others who make tables must not wait for the copy that this one may wait for.
        async with self._link.transaction(safely=True) as connection:
            await connection.execute(ONE_AT_A_TIME)
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._epochs} (lineage text, graph text, node text, "
                "epoch bigint NOT NULL, prepared bigint NOT NULL, token bigint NOT NULL, "
                "PRIMARY KEY (lineage, graph, node))"
            )
        async with self._link.transaction(safely=True) as connection:
            values = ", ".join(map(_literal, self._staged.identity))
            await connection.execute(
                f"INSERT INTO {self._epochs} VALUES ({values}, 0, 0, {staged.token}) "
                "ON CONFLICT DO NOTHING"
            )
            staged.begin(epoch, await self._hold(connection))
            await connection.execute(
                f"UPDATE {self._epochs} SET token = {staged.token} {self._mine}"
            )
        if not epoch:
            await self._drop_older()

    async def hold(self) -> None:
        """Raise StateLost where another copy has taken over."""
        async with self._link.transaction(safely=True) as connection:
            await self._hold(connection)

    async def _hold(self, connection: Connection) -> int:
        """The epoch that is committed; nobody else changes it before this transaction ends."""
        found = await connection.fetchrow(
            f"SELECT epoch, token FROM {self._epochs} WHERE {_MINE} FOR UPDATE",
            *self._staged.identity,
        )
        if found is None:
            raise MisconfiguredError(self._staged.row_is_gone)
        self._staged.hold(found["token"])
        return int(found["epoch"])

    async def _tables(self, connection: Connection) -> list[str]:
        found = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND starts_with(tablename, $2)",
            self._schema,
            self._staged.family,
        )
        return [row["tablename"] for row in found]

    async def _drop_older(self) -> None:
        async with self._link.transaction() as connection:
            tables = self._staged.older(await self._tables(connection))
        for name in tables:
            await self._drop(name)

    async def _drop(self, name: str) -> None:
        try:
            async with self._link.transaction() as connection:
                # An older copy that stands still in the middle of a write holds its own table.
                await connection.execute("SET LOCAL lock_timeout = '1s'")
                await connection.execute(f"DROP TABLE IF EXISTS {quoted(self._schema, name)}")
        except ThalwegError:
            pass  # The next start tries again; until then it is only in the way of nobody.

    async def close(self) -> None:
        """Of the staged rows stays what was prepared."""
        if self._made and self._staged.settled:
            await self._drop(self._staged.table)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{escaped}'"
