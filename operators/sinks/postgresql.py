"""`postgresql`: rows of a table in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...runtime.contracts import Context, MisconfiguredError, Outcome, Sink
from ._postgresql_url import read_url
from ._tables import TableOptions

if TYPE_CHECKING:
    from ._postgresql_link import PostgresqlLink
    from ._postgresql_staging import PostgresqlStaging

__all__ = ["Postgresql", "postgresql"]


class Postgresql(Sink[object]):
    """The sink that `postgresql` makes; see there."""

    repeatable = True

    def __init__(
        self,
        url: str,
        table: str,
        *,
        columns: Sequence[str] | Mapping[str, type] | None = None,
        key: Sequence[str] | None = None,
    ) -> None:
        self._where, _ = read_url(url)
        self._url = url
        self._options = TableOptions.checked(table, columns, key, schemas=True)
        self._link: PostgresqlLink | None = None
        self._staging: PostgresqlStaging | None = None

    def __repr__(self) -> str:
        return f"postgresql({self._where!r}, {'.'.join(self._options.table)!r})"

    async def open(self, context: Context) -> None:
        """Connect, and make the table where the types of its columns are given."""
        from ._postgresql_link import PostgresqlLink
        from ._postgresql_staging import PostgresqlStaging
        from ._postgresql_table import PostgresqlTable
        from ._staged_rows import StagedRows

        self._fence = context.fence
        self._unsure = False
        self._link = PostgresqlLink(self._url)
        self._table = PostgresqlTable(self._link, self._options)
        await self._table.open()
        if context.fence is not None:
            name = self._table.name
            self._staged = StagedRows(context, context.fence, self._where, name)
            self._staging = PostgresqlStaging(
                self._link, self._staged, self._table.schema, name, self._options.key
            )

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        """Write the records, or stage them, in one transaction."""
        repeats, self._unsure = self._unsure, True
        staging = self._staging
        try:
            rejected = await self._table.write(staging, records, repeats=repeats)
        except MisconfiguredError:
            if staging is not None:
                await staging.hold()  # Another copy may have dropped the table for staged rows.
            raise
        self._unsure = False
        if staging is not None:
            self._staged.staged(self._staged.last + 1, len(records) - len(rejected))
        return Outcome([], rejected) if rejected else None

    async def prepare(self, epoch: int) -> bytes:
        """See that the rows since the last time are safe, where nobody sees them."""
        assert self._staging is not None
        if self._staged.count:
            await self._staging.prepare(epoch)
        return self._staged.prepare(epoch, self._table.names).encode()

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Move these rows into the table."""
        assert self._staging is not None
        assert self._fence is not None
        from ._staged_rows import Prepared

        given = Prepared.decode(prepared)
        await self._fence.check()
        await self._staging.commit(given)
        self._staged.committed(given)

    async def discard(self, epoch: int) -> None:
        """Take the table over from earlier copies of the job."""
        assert self._staging is not None
        await self._staging.discard(epoch)

    async def close(self) -> None:
        """Let the connection go."""
        link, self._link = self._link, None
        staging, self._staging = self._staging, None
        try:
            if staging is not None:
                await staging.close()
        finally:
            if link is not None:
                await link.close()


def postgresql(
    url: str,
    table: str,
    *,
    columns: Sequence[str] | Mapping[str, type] | None = None,
    key: Sequence[str] | None = None,
) -> Postgresql:
    """Rows of a table in PostgreSQL: appended, or by `key` the latest of each.

    >>> postgresql("postgresql://flow:secret@db.example/flows", "counts", key=["word"])
    postgresql('postgresql://db.example/flows', 'counts')

    Parameters:

    - `url`: as libpq has it. For encryption say `?sslmode=verify-full`; without it the server is
      not verified. The password may stand in `~/.pgpass` or `PGPASSWORD` instead.
    - `table`: its name, as it is, capitals too; a dot separates its schema, as in "sales.counts".
      A table that is missing is made when the first records come, or at the start where `columns`
      gives types.
    - `columns`: names of those to be written; other fields of a record are passed over. With their
      Python types, as a dict, they also say what to make. Without it, a table that is there gets
      all its columns that are not generated and have no default; one that is made gets the fields
      of the first batch. A field without a column is not lost in silence: its record is rejected.
    - `key`: columns that are the primary key, or have a unique index. A record then replaces the
      row of its key, so that the table holds the last value of each. Without it rows are added.

    Records are dicts, dataclasses, named tuples or dead letters; a field that is missing is NULL.
    Values are Python's own for the type of their column: text takes no number. A table that is
    made has these types: bool boolean, int bigint, float double precision, str text, bytes bytea,
    datetime timestamptz (timestamp without a time zone), date, time, timedelta interval, UUID
    uuid, Decimal numeric; dict, list and dataclass jsonb; text where the first batch had only
    None.

    With a store each record counts exactly once: rows wait in a table `thalweg_staged_…` of the
    same schema, and are moved in one transaction with the number of their epoch, which stands in
    the table `thalweg_epochs`. Both are made where they are missing, which takes the right to make
    tables there; a table of staged rows goes when the job ends.

    Needs the extra `postgres`. Raises ValueError or TypeError for names, types and URLs that make
    no sense. Opening raises `MissingExtra` without asyncpg, `UnavailableError` where the server is
    out of reach, and `MisconfiguredError` where it refuses, or where the columns or the key do not
    fit the table.

    - Emits when: never; without a store a record is delivered when the transaction of its batch
      is committed, with one when its epoch is.
    - Waits when: the server does, and while it is out of reach, full or shut down.
    - Ends when: its input does.
    - Order: that of the input; of several records with the same key the last one counts.
    - State: with a store, the staged rows. A commit compares the token of its copy of the job with
      that in the database, in the same transaction. Rows cannot be taken back: going back to an
      earlier epoch than the database has committed raises `MisconfiguredError`, which names it.
    - On error: a record whose values the columns or a constraint refuse is rejected alone. A write
      whose connection was lost is made again, and counts once: the server is asked first what
      became of it. With a store, only what concerns one row is looked at when it is staged: its
      types, NOT NULL and CHECK. What concerns several (a unique index that is not `key`, a foreign
      key) shows at the commit: the job fails, the rows stay staged, and it goes on from there when
      `key` is given or the constraint is gone.
    """
    return Postgresql(url, table, columns=columns, key=key)
