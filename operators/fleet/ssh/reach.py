"""Whether a machine answers at all: a name resolved, a port that opens."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import select
import socket
from concurrent.futures import ThreadPoolExecutor

from .ping import ping

__all__ = ["Reacher", "is_numeric"]

_RESOLVERS = 32

Place = tuple[int, tuple[str, int]]
"""A family of addresses, and an address of it with a port."""


class Reacher:
    """Opens TCP connections, and is not fooled by a loop that is late.

    A limit of time that passes may only mean that this process was busy; so before a machine is
    called silent the socket itself is asked, which the kernel has connected meanwhile if it could.
    """

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._turns = asyncio.Semaphore(_RESOLVERS)

    async def resolve(self, host: str, port: int) -> list[Place]:
        """The families and addresses of a name, best first. Raises OSError where it has none.

        Each look-up has a thread of its own, and begins only when it has one: many names that a
        slow server does not know keep no other one waiting beyond its limit.
        """
        numeric = is_numeric(host)
        if numeric is not None:
            family = socket.AF_INET if numeric == 4 else socket.AF_INET6
            return [(family, (host, port))]
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="thalweg-resolve")
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [(family, (str(place[0]), port)) for family, _, _, _, place in found]

    @property
    def turns(self) -> asyncio.Semaphore:
        """Who resolves a name holds one of these."""
        return self._turns

    async def ping(self, addresses: list[Place], seconds: float) -> list[Place]:
        """The first of these that answers a ping, alone. Raises as `connect` does."""
        problem: OSError = TimeoutError()
        for family, address in addresses:
            try:
                await ping(family, address[0], seconds / len(addresses))
            except OSError as error:
                problem = error
            else:
                return [(family, address)]
        raise problem

    async def connect(self, addresses: list[Place], seconds: float) -> socket.socket:
        """A connection to the first of these that answers, or the OSError of the last one.

        Raises TimeoutError where nothing answered within so many seconds.
        """
        problem: OSError = TimeoutError()
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        for index, (family, address) in enumerate(addresses):
            left = max(0.0, until - clock()) / (len(addresses) - index)
            try:
                return await _connect(family, address, left)
            except OSError as error:
                problem = error
        raise problem

    def close(self) -> None:
        """Let go of the threads; one that still waits for a name server is left to itself."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def is_numeric(host: str) -> int | None:
    """4 or 6 for an address, None for a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


async def _connect(family: int, address: tuple[str, int], seconds: float) -> socket.socket:
    loop = asyncio.get_running_loop()
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        begun = connection.connect_ex(address)
        if begun == errno.EINPROGRESS:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_writer(connection, _wake, ready)
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await ready
            finally:
                loop.remove_writer(connection)
            if not _has_answered(connection):
                raise TimeoutError
            begun = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if begun:
            raise OSError(begun, os.strerror(begun))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _has_answered(connection: socket.socket) -> bool:
    poller = select.poll()
    poller.register(connection, select.POLLOUT)
    return bool(poller.poll(0))
