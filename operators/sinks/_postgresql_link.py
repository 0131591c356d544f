"""One connection to PostgreSQL, made again when it is lost."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, cast

import orjson

from ...runtime.contracts import (
    MisconfiguredError,
    MissingExtra,
    ThalwegError,
    UnavailableError,
)
from ._json_number import json_number
from ._postgresql_url import read_url
from ._rows import JsonText

__all__ = ["Connection", "PostgresqlLink", "is_of_the_row"]

_CONNECT = 10.0
_CLOSE = 2.0
"""Seconds for a connection to end in good order, after which it is cut."""
_MAY_PASS = ("08", "40", "53", "55", "57", "58", "25006", "25P03")
"""Beginnings of the codes of what may pass: no connection, a conflict, no room, busy, shut down,
a fault of its machine, a standby, a transaction that stood still."""
_OF_THE_ROW = ("22", "23", "P0001")
"""A value, a constraint, and what a trigger has raised."""
# A copy that stands still must not keep the lock on its epoch, and an epoch must be safe from
# power cuts, however the server is set. Between the two messages of a statement with values the
# server does not count as idle: so behind the lock there are only statements without.
_SAFELY = """
SET LOCAL idle_in_transaction_session_timeout = 30000;
SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)
"""


class Transaction(Protocol):
    """What is used of a transaction of asyncpg."""

    async def start(self) -> None: ...
    async def commit(self) -> None: ...


class Connection(Protocol):
    """What is used of a connection of asyncpg."""

    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...
    def transaction(self) -> AbstractAsyncContextManager[object]: ...
    async def close(self, *, timeout: float) -> None: ...
    async def execute(self, query: str, *values: object) -> str: ...
    async def executemany(self, query: str, rows: Iterable[Sequence[object]]) -> None: ...
    async def fetch(self, query: str, *values: object) -> Sequence[Mapping[str, Any]]: ...
    async def fetchrow(self, query: str, *values: object) -> Mapping[str, Any] | None: ...
    async def fetchval(self, query: str, *values: object) -> Any: ...
    async def copy_records_to_table(
        self,
        table: str,
        *,
        records: Iterable[Sequence[object]],
        columns: Sequence[str],
        schema_name: str,
    ) -> str: ...
    async def set_type_codec(
        self,
        name: str,
        *,
        schema: str,
        encoder: Callable[[object], bytes],
        decoder: Callable[[bytes], object],
        format: str,  # noqa: A002
    ) -> None: ...


class _Connect(Protocol):
    async def __call__(
        self, dsn: str, /, *, timeout: float, statement_cache_size: int
    ) -> Connection: ...


class PostgresqlLink:
    """A connection for one at a time. Its errors show no secret.

    `url` is as libpq has it. Raises ValueError, which does not show it, for what cannot be read.
    """

    def __init__(self, url: str) -> None:
        self.where, self._secrets = read_url(url)
        """The database in words: no user, no password, no option."""
        self._url = url
        self._connection: Connection | None = None

    @asynccontextmanager
    async def transaction(self, *, safely: bool = False) -> AsyncGenerator[Connection]:
        """All or nothing; after an error in the block the connection is made anew.

        `safely` is for what belongs to an epoch. Raises MissingExtra without asyncpg,
        UnavailableError for what may pass, and MisconfiguredError for what the server refuses.
        """
        connection: Connection | None = None
        try:
            connection = await self._connected()
            # Not as a context: to roll back may take longer than there is time, or for ever.
            transaction = cast("Transaction", connection.transaction())
            await transaction.start()
            if safely:
                await connection.execute(_SAFELY)
            yield connection
            await transaction.commit()
        except BaseException as error:
            lost = connection is None or connection.is_closed()
            self._cut()
            told = self._told(error, lost=lost)
            if told is None:
                raise
            if any(secret in str(error) for secret in self._secrets):
                raise told from None
            raise told from error

    async def _connected(self) -> Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        try:
            import asyncpg
        except ImportError:
            raise MissingExtra("a table in PostgreSQL", "postgres") from None
        # It has no types of its own.
        connect = cast("_Connect", asyncpg.connect)  # pyright: ignore[reportUnknownMemberType]
        # A proxy that hands out connections by the transaction knows no prepared statements.
        connection = await connect(self._url, timeout=_CONNECT, statement_cache_size=0)
        self._connection = connection
        for name, mark in (("json", b""), ("jsonb", b"\x01")):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=_json(mark), decoder=bytes, format="binary"
            )
        return connection

    def _cut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _told(self, error: BaseException, *, lost: bool) -> ThalwegError | None:
        """The error in our words; None for one that is not about the database."""
        if isinstance(error, ThalwegError) or not isinstance(error, Exception):
            return None
        said = str(error) or type(error).__name__
        if any(secret in said for secret in self._secrets):
            said = type(error).__name__
        match error:
            case TimeoutError():
                return UnavailableError(f"{self.where} did not answer in time")
            case ssl.SSLCertVerificationError():
                return MisconfiguredError(f"{self.where} is not trusted: {said}")
            case OSError():
                return UnavailableError(f"{self.where} cannot be reached: {said}")
            case _:
                pass
        import asyncpg

        match error:
            case asyncpg.PostgresError():
                code = str(getattr(error, "sqlstate", ""))
                if code.startswith(_MAY_PASS):
                    return UnavailableError(f"{self.where} cannot do it now: {said} ({code})")
                return MisconfiguredError(f"{self.where} refuses: {said} ({code})")
            case asyncpg.InterfaceError() | asyncpg.InternalClientError() if lost:
                return UnavailableError(f"the connection to {self.where} was lost: {said}")
            case asyncpg.InterfaceError() | asyncpg.InternalClientError() | ValueError():
                return MisconfiguredError(f"{self.where} cannot be used: {said}")
            case _:
                return None

    async def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            # Whatever it says: from here on nobody needs it.
            with suppress(Exception):
                await connection.close(timeout=_CLOSE)
            connection.terminate()


def is_of_the_row(error: Exception) -> bool:
    """Whether a value or a constraint is at fault, and not the table or the connection."""
    import asyncpg

    if isinstance(error, asyncpg.PostgresError):
        return str(getattr(error, "sqlstate", "")).startswith(_OF_THE_ROW)
    # What asyncpg cannot encode: it raises whatever it came across.
    return not isinstance(
        error, ThalwegError | asyncpg.InterfaceError | asyncpg.InternalClientError | OSError
    )


def _json(mark: bytes) -> Callable[[object], bytes]:
    def encode(value: object) -> bytes:
        return mark + (
            value.encode() if isinstance(value, JsonText) else orjson.dumps(value, json_number)
        )

    return encode
