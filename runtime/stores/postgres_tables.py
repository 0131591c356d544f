"""The tables in which PostgreSQL keeps epochs."""

from __future__ import annotations

from ..errors import StateError
from .postgres_link import Connection

__all__ = ["make_tables"]

_VERSION = 1
_TABLES = """
CREATE TABLE {schema}.version (version integer NOT NULL);
INSERT INTO {schema}.version VALUES ({version});
CREATE TABLE {schema}.jobs (
    name text PRIMARY KEY,
    lineage text NOT NULL,
    token bigint NOT NULL,
    holder text NOT NULL,
    lease_until timestamptz NOT NULL,
    last bigint NOT NULL,
    seen bigint NOT NULL
);
CREATE TABLE {schema}.epochs (
    job text NOT NULL REFERENCES {schema}.jobs (name) ON DELETE CASCADE,
    epoch bigint NOT NULL,
    seen smallint NOT NULL,
    head bytea NOT NULL,
    parts bytea NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (job, epoch)
);
CREATE TABLE {schema}.segments (
    job text NOT NULL REFERENCES {schema}.jobs (name) ON DELETE CASCADE,
    node text NOT NULL,
    part text NOT NULL,
    epoch bigint NOT NULL,
    piece integer NOT NULL,
    since bigint NOT NULL,
    previous bytea NOT NULL,
    digest bytea NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (job, node, part, epoch, piece)
);
CREATE INDEX segments_by_epoch ON {schema}.segments (job, epoch);
"""


async def make_tables(connection: Connection, schema: str, where: str) -> None:
    """Make the schema and its tables where they are missing; two may do so at once.

    Raises StateError for tables of a later version.
    """
    if not await _are_there(connection, schema):
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"thalweg store {schema}"
            )
            # Another copy may have been quicker, and who may make tables need not own the database.
            if not await _are_there(connection, schema):
                asked = "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1"
                if not await connection.fetchval(asked, schema):
                    await connection.execute(f"CREATE SCHEMA {schema}")
                await connection.execute(_TABLES.format(schema=schema, version=_VERSION))
    version = await connection.fetchval(f"SELECT max(version) FROM {schema}.version")
    if version != _VERSION:
        raise StateError(
            f"the tables of schema {schema!r} in {where} are of version {version}, and this "
            f"Thalweg reads {_VERSION}: run the one that made them"
        )


async def _are_there(connection: Connection, schema: str) -> bool:
    # Of the catalogue itself: what `to_regclass` says may be of before the wait for the lock.
    asked = (
        "SELECT count(*) FROM pg_catalog.pg_class AS found JOIN pg_catalog.pg_namespace AS place "
        "ON place.oid = found.relnamespace WHERE nspname = $1 AND relname = 'version'"
    )
    return bool(await connection.fetchval(asked, schema))
