"""One connection to PostgreSQL, made again when it is lost."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, cast

from ..errors import MissingExtra, StateDamaged, StateError, StateUnavailable, ThalwegError
from .masking import masked, secrets_of

__all__ = ["Connection", "PostgresLink"]

_CONNECT = 10.0
_CLOSE = 2.0
"""Seconds for a connection to end in good order, after which it is cut."""
_MAY_PASS = ("08", "40", "53", "55", "57", "58", "25006", "25P03", "XX000")
"""Beginnings of the codes of what may pass: no connection, a conflict, no room, busy, shut down,
a fault of its machine, a standby, a transaction that stood still, a fault of its own."""
_DAMAGED = ("XX001", "XX002")
_FULL = "53100"


class Connection(Protocol):
    """What is used of a connection of asyncpg."""

    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...
    def transaction(
        self, *, isolation: str, readonly: bool = False
    ) -> AbstractAsyncContextManager[object]: ...
    async def close(self, *, timeout: float) -> None: ...
    async def execute(self, query: str, *values: object) -> str: ...
    async def executemany(self, query: str, rows: Iterable[Sequence[object]]) -> None: ...
    async def fetch(self, query: str, *values: object) -> Sequence[Mapping[str, Any]]: ...
    async def fetchrow(self, query: str, *values: object) -> Mapping[str, Any] | None: ...
    async def fetchval(self, query: str, *values: object) -> Any: ...


class _Connect(Protocol):
    async def __call__(
        self, dsn: str, /, *, timeout: float, command_timeout: float, statement_cache_size: int
    ) -> Connection: ...


class PostgresLink:
    """A connection for one at a time, with errors that show no secret.

    Parameters: `url`; `patience`, how many seconds a statement may take.
    """

    def __init__(self, url: str, *, patience: float) -> None:
        self.where = masked(url)
        self._url = url
        self._secrets = secrets_of(url)
        self._patience = patience
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Connection, None]:
        """The connection, when it is free; after an error in the block it is made anew.

        Raises MissingExtra without asyncpg, StateUnavailable for what may pass, StateDamaged for
        what the server finds damaged, and a plain StateError for what it refuses.
        """
        async with self._turn:
            try:
                yield await self._connected()
            except BaseException as error:
                await self.close()
                told = self._told(error)
                if told is None:
                    raise
                if any(secret in str(error) for secret in self._secrets):
                    raise told from None
                raise told from error

    async def _connected(self) -> Connection:
        if self._connection is not None and self._connection.is_closed():
            self._connection = None
        if self._connection is None:
            try:
                import asyncpg
            except ImportError:
                raise MissingExtra("a store in PostgreSQL", "postgres") from None
            # It has no types of its own.
            connect = cast("_Connect", asyncpg.connect)  # pyright: ignore[reportUnknownMemberType]
            self._connection = await connect(
                self._url,
                timeout=_CONNECT,
                command_timeout=self._patience,
                # A proxy that hands out connections by the transaction knows no prepared ones.
                statement_cache_size=0,
            )
        return self._connection

    def _told(self, error: BaseException) -> StateError | None:
        """The error in the words of a store; None for one that is not about the connection."""
        if isinstance(error, ThalwegError) or not isinstance(error, Exception):
            return None
        said = f"{type(error).__name__}: {error}"
        if any(secret in said for secret in self._secrets):
            said = type(error).__name__
        match error:
            case TimeoutError():
                return StateUnavailable(f"{self.where} did not answer in time")
            case ssl.SSLCertVerificationError():
                return StateError(f"{self.where} is not trusted: {said}")
            case OSError():
                return StateUnavailable(f"{self.where} cannot be reached: {said}")
            case _:
                pass
        import asyncpg

        match error:
            case asyncpg.PostgresError():
                return self._answered(str(getattr(error, "sqlstate", "")), said)
            case ValueError():  # Of its own kinds, too, those about the URL.
                return StateError(f"{self.where} cannot be used: {said}")
            case asyncpg.InterfaceError() | asyncpg.InternalClientError():
                return StateUnavailable(f"the connection to {self.where} was lost: {said}")
            case _:
                return None

    def _answered(self, code: str, said: str) -> StateError:
        if code == _FULL:
            return StateUnavailable(f"the disk of {self.where} is full: make room ({said})")
        if code.startswith(_MAY_PASS):
            return StateUnavailable(f"{self.where} cannot do it now: {said} ({code})")
        if code in _DAMAGED:
            return StateDamaged(f"{self.where} is damaged: {said} ({code})")
        return StateError(f"{self.where} refuses: {said} ({code})")

    async def close(self) -> None:
        """Let the connection go; a later use makes another."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                # Whatever it says: from here on nobody needs it.
                with suppress(Exception):
                    await connection.close(timeout=_CLOSE)
            finally:
                connection.terminate()
