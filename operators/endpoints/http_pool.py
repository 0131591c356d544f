"""Connections to servers, opened when they are needed and kept while they are of use."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from .http_connection import Connection
from .http_response import Response

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Place", "Pool"]

_KEPT = 15.0
"""Seconds: servers close what is idle for a while, and a request sent just then would be lost."""

_SECOND_FAMILY = 0.25
"""Seconds after which the next address of a name is tried beside one that does not answer yet
(RFC 8305)."""

_GOODBYE = 1.0
"""Seconds that closing waits for connections to be gone."""

_Address: TypeAlias = tuple[int, int, int, str, tuple[str | int, ...]]


class Place(NamedTuple):
    """Where a server answers; `tls` says whether connections are encrypted."""

    host: str
    port: int
    tls: bool


class Pool:
    """As many connections as there are requests at once, which whoever asks has to limit.

    Parameters: `max_answer_bytes`, the largest answer that is read; `tls`, whom to trust (needed
    for a place with TLS).
    """

    def __init__(self, *, max_answer_bytes: int, tls: SSLContext | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._max_answer_bytes = max_answer_bytes
        self._tls = tls
        self._is_closed = False
        self._idle: dict[Place, list[Connection]] = {}
        self.connected: set[Connection] = set()
        """The connections that are there, in use or idle."""

    async def ask(self, place: Place, head: bytes, body: bytes | None) -> Response:
        """Send a request there, and wait for the answer. Raises OSError where none comes."""
        connection = self._kept(place) or await self._connect(place)
        asked = connection.ask(head, body)
        del head, body
        response = await asked
        if connection.usable:
            self._idle.setdefault(place, []).append(connection)
        return response

    async def close(self) -> None:
        """Close all connections, those in use as well; one that is being made ends when it is."""
        self._is_closed = True
        self._idle.clear()
        for connection in tuple(self.connected):
            connection.abort()
        closing = [connection.closed for connection in self.connected]
        if closing:
            await asyncio.wait(closing, timeout=_GOODBYE)

    def _kept(self, place: Place) -> Connection | None:
        """The connection that was used last, if it still is of use."""
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop()
            if connection.usable:
                if self._loop.time() - connection.used_at < _KEPT and connection.is_quiet:
                    return connection
                connection.abort()
        return None

    async def _connect(self, place: Place) -> Connection:
        made = await self._reach(place)
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop, self._max_answer_bytes),
                sock=made,
                ssl=self._tls if place.tls else None,
                server_hostname=place.host.rstrip(".") if place.tls else None,
            )
        except BaseException:
            made.close()
            raise
        self.connected.add(connection)
        connection.closed.add_done_callback(lambda _: self.connected.discard(connection))
        if self._is_closed:
            connection.abort()
            raise ConnectionAbortedError("the client was closed while it connected")
        return connection

    async def _reach(self, place: Place) -> socket.socket:
        from aiohappyeyeballs import (
            start_connection,  # pyright: ignore[reportUnknownVariableType]
        )

        try:
            return await start_connection(
                await self._addresses(place),
                happy_eyeballs_delay=_SECOND_FAMILY,
                interleave=1,
                loop=self._loop,
            )
        except OSError as error:
            number = error.errno
            # The number of a name that is not found is none of the system's.
            known = number is not None and not isinstance(error, socket.gaierror)
            why = os.strerror(number) if known and number else error.strerror or str(error)
            raise ConnectionError(f"cannot connect: {why}") from error

    async def _addresses(self, place: Place) -> Sequence[_Address]:
        with suppress(ValueError):
            family = socket.AF_INET if ip_address(place.host).version == 4 else socket.AF_INET6
            return [(family, socket.SOCK_STREAM, 0, "", (place.host, place.port))]
        found = await self._loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        return [(*each[:4], cast("tuple[str | int, ...]", each[4])) for each in found]
