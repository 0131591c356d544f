"""The works of `wire.py` in this process: a loop on a `Protocol`, and a relay that notes bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import uvloop
from peers.flowers import FIELDS, HEADERS, IN_FLIGHT, Delivery, Flower
from scoring_works import score_all

__all__ = ["Decode", "bodies_of", "decode_tensors", "encoder_of_tensors", "post_all"]

Decode = Callable[[Sequence[Flower], bytes], list[Flower]]


def decode_tensors(batch: Sequence[Flower], answer: bytes) -> list[Flower]:
    """Each flower with what the tensors of an answer hold for it."""
    columns: list[Any] = []
    names: list[str] = []
    for output in orjson.loads(answer)["outputs"]:
        width = len(output["data"]) // len(batch)
        data = output["data"]
        names.append(output["name"])
        columns.append(
            data if width == 1 else [data[i : i + width] for i in range(0, len(data), width)]
        )
    return [
        {**flower, **dict(zip(names, values, strict=True))}
        for flower, *values in zip(batch, *columns, strict=True)
    ]


def encoder_of_tensors(body: bytes) -> Callable[[Sequence[Flower]], bytes]:
    """Encodes batches as this one was: a tensor for each field."""
    said = orjson.loads(body)
    fields = {theirs: ours for ours, theirs in FIELDS.items()}
    inputs = [(one, fields[one["name"]]) for one in said["inputs"]]

    def encoded(batch: Sequence[Flower]) -> bytes:
        tensors = [
            {**one, "shape": [len(batch), 1], "data": [flower[field] for flower in batch]}
            for one, field in inputs
        ]
        return orjson.dumps({"id": said["id"], "inputs": tensors})

    return encoded


class Relay:
    """Stands between a client and a server, and takes down what the client sends."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._sent: list[bytearray] = []

    async def listen(self) -> int:
        """Begin, and return the port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop."""
        self._server.close()
        await self._server.wait_closed()

    async def _connected(self, ours: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        theirs, on = await asyncio.open_connection(self._host, self._port)
        sent = bytearray()
        self._sent.append(sent)

        async def pump(
            source: asyncio.StreamReader, to: asyncio.StreamWriter, note: bytearray | None
        ) -> None:
            while data := await source.read(65536):
                if note is not None:
                    note += data
                to.write(data)
            to.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pump(ours, on, sent))
            tasks.create_task(pump(theirs, back, None))

    def bodies(self) -> list[bytes]:
        """What was POSTed."""
        found: list[bytes] = []
        for sent in self._sent:
            rest = bytes(sent)
            while rest:
                head, _, rest = rest.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
                if head.startswith(b"POST"):
                    found.append(rest[:length])
                rest = rest[length:]
        return found


def bodies_of(endpoint: str, url: str, flowers: Sequence[Flower]) -> list[bytes]:
    """The bodies that `score` sends for these flowers."""

    async def main() -> list[bytes]:
        relay = Relay(url)
        port = await relay.listen()
        parts = urlsplit(url)
        through = endpoint.replace(str(parts.netloc), f"127.0.0.1:{port}")
        await score_all(through, flowers, Delivery(checked=False))
        await relay.close()
        return relay.bodies()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


class Posting(asyncio.Protocol):
    """One connection that posts, one request after the other, as long as there are any."""

    def __init__(self, url: str, work: Any, take: Callable[[Any, bytes], None]) -> None:
        parts = urlsplit(url)
        headers = {"Host": parts.netloc, **HEADERS}
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {said}" for name, said in headers.items())]
        self._head = ("\r\n".join(lines) + "\r\nContent-Length: %d\r\n\r\n").encode()
        self._work = work
        self._take = take
        self._received = b""
        self._batch: Any = None
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered {head[:40]!r}")
        self._received = b""
        self._take(self._batch, body)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or RuntimeError("the server closed the connection"))

    def _next(self) -> None:
        for batch, body in self._work:
            self._batch = batch
            self._transport.write(self._head % len(body) + body)
            return
        self.done.set_result(None)
        self._transport.close()


def post_all(url: str, work: Any, take: Callable[[Any, bytes], None]) -> None:
    """Post pairs of a batch and its body over 16 connections, and hand on what is answered."""

    async def main() -> None:
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        shared = iter(work)
        made = [
            await loop.create_connection(
                lambda: Posting(url, shared, take), parts.hostname, parts.port
            )
            for _ in range(IN_FLIGHT)
        ]
        for _, posting in made:
            await posting.done

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
