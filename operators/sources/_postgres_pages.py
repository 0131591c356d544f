"""Pages of rows from PostgreSQL, each in a transaction of its own that only reads."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import orjson

from ...runtime.contracts import (
    Context,
    MisconfiguredError,
    MissingExtra,
    ThalwegError,
    UnavailableError,
)
from ._pages import Page, Selection, checked_timeout, quoted

__all__ = ["PostgresPages"]

_CONNECT = 10.0
"""Seconds to connect in."""
_CLOSE = 2.0
"""Seconds for a connection to end in good order, after which it is cut."""
_GRACE = 5.0
"""Seconds more than the server has, before the connection counts as lost."""
_MAY_PASS = ("08", "40", "53", "55", "57", "58")
"""Beginnings of the codes of what may pass: no connection, a conflict, no room, busy, shut down,
a fault of its machine."""
_CANCELLED = "57014"


class _Connection(Protocol):
    """What is used of a connection of asyncpg, which has no types of its own."""

    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...
    async def close(self, *, timeout: float) -> None: ...
    async def execute(self, query: str) -> str: ...
    async def fetch(self, query: str, *values: object) -> Sequence[Mapping[str, Any]]: ...
    async def fetchval(self, query: str, *values: object) -> object: ...
    async def prepare(self, query: str) -> Any: ...
    async def set_type_codec(self, name: str, **options: object) -> None: ...


class PostgresPages:
    """See `Pages`. `timeout` is in seconds, for one page."""

    def __init__(self, url: str, *, timeout: float) -> None:
        parts = _split(url)
        user, _, place = parts.netloc.rpartition("@")
        fields = parse_qsl(parts.query)
        given = [user.partition(":")[2], *(value for name, value in fields if name == "password")]
        self._secrets = {form for word in given for form in (word, unquote(word)) if form}
        self._where = f"PostgreSQL at {place or 'localhost'}{parts.path}"
        self._url = url
        self._timeout = checked_timeout(timeout)
        self._connection: _Connection | None = None

    async def open(self, context: Context) -> None:
        """Connect."""
        self._name = f"thalweg {context.graph}/{context.node}"
        async with self._asking():
            pass

    async def columns(self, selection: Selection) -> list[str]:
        """See `Pages`."""
        async with self._asking() as connection:
            statement = await connection.prepare(selection.sql("*", "true", " LIMIT 0"))
            return [attribute.name for attribute in statement.get_attributes()]

    async def page(self, selection: Selection, after: object, through: object, count: int) -> Page:
        """See `Pages`."""
        values = list(selection.values)
        marks: list[str] = []
        for value in (after, through):
            if value is not None:
                values.append(value)
            marks.append("" if value is None else f"${len(values)}")
        sql = selection.page(marks[0], marks[1], str(count))
        async with self._asking() as connection:
            rows = await connection.fetch(sql, *values)
        return Page(list(map(dict, rows)), {})

    async def value(self, selection: Selection, sql: str) -> object:
        """See `Pages`."""
        async with self._asking() as connection:
            return await connection.fetchval(sql, *selection.values)

    async def primary_key(self, table: Sequence[str]) -> list[str] | None:
        """See `Pages`."""
        name = quoted(*table)
        async with self._asking() as connection:
            if await connection.fetchval("SELECT to_regclass($1::text)::text", name) is None:
                return None
            rows = await connection.fetch(
                "SELECT attname::text AS name FROM pg_index JOIN pg_attribute"
                " ON attrelid = indrelid AND attnum = ANY (indkey)"
                " WHERE indrelid = to_regclass($1::text) AND indisprimary"
                " ORDER BY array_position(indkey, attnum)",
                name,
            )
        return [row["name"] for row in rows]

    async def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            # Whatever it says: from here on nobody needs it.
            with suppress(Exception):
                await connection.close(timeout=_CLOSE)
            connection.terminate()

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[_Connection]:
        """The connection, in a transaction; after an error it is made anew."""
        began = time.monotonic()
        try:
            connection = await self._connected()
            # For the transaction, not for the session, which a proxy may hand on to others.
            limit = math.ceil(1000 * self._timeout)
            await connection.execute(f"BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}")
            yield connection
            await connection.execute("COMMIT")
        except BaseException as error:
            used, self._connection = self._connection, None
            lost = used is None or used.is_closed()
            if used is not None:
                used.terminate()
            told = self._told(error, time.monotonic() - began, lost=lost)
            if told is None:
                raise
            if any(secret in str(error) for secret in self._secrets):
                raise told from None
            raise told from error

    async def _connected(self) -> _Connection:
        if self._connection is not None and self._connection.is_closed():
            self._connection = None
        if self._connection is None:
            try:
                import asyncpg
            except ImportError:
                raise MissingExtra("reading from PostgreSQL", "postgres") from None
            connect = cast(Any, asyncpg.connect)  # pyright: ignore[reportUnknownMemberType]
            self._connection = connection = cast(
                _Connection,
                await connect(
                    self._url,
                    timeout=_CONNECT,
                    command_timeout=self._timeout + _GRACE,
                    # A proxy that hands out connections by the transaction knows no prepared ones.
                    statement_cache_size=0,
                    server_settings={"application_name": self._name[:63]},
                ),
            )
            for name in ("json", "jsonb"):
                await connection.set_type_codec(
                    name, schema="pg_catalog", encoder=str, decoder=orjson.loads
                )
        return self._connection

    def _told(self, error: BaseException, seconds: float, *, lost: bool) -> ThalwegError | None:
        """The error in our words; None for one that is not about the database."""
        if isinstance(error, ThalwegError) or not isinstance(error, Exception):
            return None
        said = f"{type(error).__name__}: {error}"
        if any(secret in said for secret in self._secrets):
            said = type(error).__name__
        if isinstance(error, TimeoutError):
            return UnavailableError(f"{self._where} did not answer in time")
        if isinstance(error, ssl.SSLCertVerificationError):
            return MisconfiguredError(f"{self._where} is not trusted: {said}")
        if isinstance(error, OSError):
            return UnavailableError(f"{self._where} cannot be reached: {said}")
        import asyncpg

        if isinstance(error, asyncpg.PostgresError):
            code = str(getattr(error, "sqlstate", ""))
            if code == _CANCELLED and seconds >= self._timeout:
                return MisconfiguredError(
                    f"a page of {self._where} took longer than timeout={self._timeout:g} s: let "
                    "an index be on the key, ask for fewer rows, or allow for more time"
                )
            if code.startswith(_MAY_PASS):
                return UnavailableError(f"{self._where} cannot do it now: {said} ({code})")
            return MisconfiguredError(f"{self._where} refuses: {said} ({code})")
        if isinstance(error, ValueError | OverflowError):
            # About the URL or the values, or what Python has no value for, such as a far date.
            return MisconfiguredError(f"{self._where} cannot be used so: {said}")
        if isinstance(error, asyncpg.InternalClientError):
            lost = True
        elif not isinstance(error, asyncpg.InterfaceError):
            return None
        if lost:
            return UnavailableError(f"the connection to {self._where} was lost: {said}")
        return MisconfiguredError(f"{self._where} cannot be used so: {said}")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        # An error that shows the URL would show the password.
        raise ValueError(
            "the URL of the database cannot be read: in postgresql://user:password@host:port/name "
            "write '@' of a password as %40, '/' as %2F, '?' as %3F, '#' as %23 and '[' as %5B"
        )
    return parts
