from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import pytest
import pytest_asyncio

from thalweg.runtime.context import Context
from thalweg.runtime.counters import Counters

T = TypeVar("T")


async def in_thread(function: Callable[[], T], /) -> T:
    return await asyncio.to_thread(function)


@pytest.fixture
def context() -> Context:
    """What the runtime would give to an operator that it opens."""
    return Context("graph", "node", thread=in_thread, counters=Counters())


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Script:
    """A server that writes the next of `answers` for each request, byte by byte as they stand.

    The last answer stays. None breaks the connection with a reset; `b""` is silence. An answer
    with `Connection: close` is followed by the end of the connection.
    """

    url: str = ""
    answers: list[bytes | None] = field(default_factory=list[bytes | None])
    requests: list[Request] = field(default_factory=list[Request])
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, status: int, body: object = b"", **headers: str) -> None:
        """One more answer; what is not bytes is sent as JSON, `_` in a header's name is `-`."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        told = {"Content-Length": str(len(data)), "Content-Type": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value)
        self.answers.append(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                headers = {
                    name.lower(): value
                    for name, _, value in (line.partition(": ") for line in lines)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split(" ")
                self.requests.append(Request(method, path, headers, body))
                self.arrived.set()
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    writer.transport.abort()
                    return
                writer.write(answer)
                await writer.drain()
                if b"Connection: close" in answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1"
) -> AsyncGenerator[Script, None]:
    """A script on a port of its own."""
    script = Script()
    server = await asyncio.start_server(script.serve, host, 0, ssl=tls)
    async with server:
        scheme = "http" if tls is None else "https"
        script.url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}"
        yield script


@pytest_asyncio.fixture
async def script() -> AsyncIterator[Script]:
    async with serving() as script:
        yield script
