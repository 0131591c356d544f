"""The columns of a table in PostgreSQL, and of the one in which its rows wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...runtime.contracts import MisconfiguredError, dataclass
from ._postgresql_link import Connection
from ._rows import Kind
from ._tables import TableOptions, quoted

__all__ = ["ONE_AT_A_TIME", "Column", "Columns"]

_TYPES: Mapping[Kind, str] = {
    "bool": "boolean",
    "int": "bigint",
    "float": "double precision",
    "bytes": "bytea",
    "datetime": "timestamp with time zone",
    "naive": "timestamp",
    "date": "date",
    "time": "time",
    "timedelta": "interval",
    "uuid": "uuid",
    "decimal": "numeric",
    "json": "jsonb",
}
"""Everything else is text."""

_FIND = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)
"""
_COLUMNS = """
SELECT attnum AS number, attname AS name, format_type(atttypid, atttypmod) AS type,
    attnotnull AS needed, attgenerated <> '' OR attidentity = 'a' AS made,
    atthasdef OR attidentity <> '' AS given
FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_CHECKS = """
SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint
WHERE conrelid = $1 AND contype = 'c' AND conkey <@ $2::smallint[]
"""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('thalweg'))"
"""Two that make the same table at once would fail, IF NOT EXISTS or not."""
_TABLES = ("r", "p", "f")
"""A table, one in partitions, and one of another server."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column that is written: its type as SQL has it, and whether it takes no NULL."""

    name: str
    type: str
    needed: bool

    @property
    def declared(self) -> str:
        """As it stands in `CREATE TABLE`."""
        return f"{quoted(self.name)} {self.type}{' NOT NULL' if self.needed else ''}"


@dataclass(frozen=True, slots=True)
class Columns:
    """Those columns of a table that a sink writes, and what a row must keep to by itself."""

    schema: str
    table: str
    written: Sequence[Column]
    checks: Sequence[str]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [column.name for column in self.written]

    @classmethod
    async def find(
        cls, connection: Connection, options: TableOptions, where: str
    ) -> Columns | None:
        """Look them up; None where there is no such table. Raises MisconfiguredError."""
        name = quoted(*options.table)
        found = await connection.fetchrow(_FIND, name)
        if found is None:
            return None
        if found["kind"] not in _TABLES:
            raise MisconfiguredError(f"{name} of {where} is no table (relkind {found['kind']!r})")
        table = await connection.fetch(_COLUMNS, found["oid"])
        known = {column["name"]: column for column in table if not column["made"]}
        for wanted in (*(options.columns or ()), *options.key):
            if wanted not in known:
                raise MisconfiguredError(
                    f"{name} of {where} has no column {wanted!r} that can be written, only "
                    f"{list(known)}"
                )
        # What has a default keeps it, unless it is named.
        names = options.columns or [each for each, column in known.items() if not column["given"]]
        numbers = [known[each]["number"] for each in names]
        checks = await connection.fetch(_CHECKS, found["oid"], numbers)
        return cls(
            found["schema"],
            found["name"],
            [Column(each, known[each]["type"], known[each]["needed"]) for each in names],
            [check["text"].removesuffix(" NOT VALID") for check in checks],
        )

    @staticmethod
    async def make(
        connection: Connection, options: TableOptions, kinds: Mapping[str, Kind]
    ) -> None:
        """Make a table with columns of these kinds."""
        await connection.execute(ONE_AT_A_TIME)
        columns = [f"{quoted(name)} {_TYPES.get(kind, 'text')}" for name, kind in kinds.items()]
        if options.key:
            columns.append(f"PRIMARY KEY ({', '.join(map(quoted, options.key))})")
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {quoted(*options.table)} ({', '.join(columns)})"
        )
