"""The model server of `scoring.py`: as little as can answer, so that it is not the limit.

It speaks HTTP/1.1 with connections that stay, decodes each request of a Watson Machine Learning
deployment, and answers with a row for each of its rows: the species by the length of the petal.
A port for each delay; the ports are its first line of output, as JSON. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, cast

import orjson
import uvloop

__all__ = ["main"]

ROWS = {
    "setosa": ["setosa", [0.97, 0.02, 0.01]],
    "versicolor": ["versicolor", [0.03, 0.9, 0.07]],
    "virginica": ["virginica", [0.01, 0.11, 0.88]],
}
FIELDS = ["prediction", "probability"]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out, `delay` seconds later."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        while self._received:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(rest) < length:
                return
            self._received = rest[length:]
            answer = answered(rest[:length])
            if self._delay:
                self._loop.call_later(self._delay, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


def answered(body: bytes) -> bytes:
    """The whole answer to a request."""
    rows: Any = orjson.loads(body)["input_data"][0]["values"]
    values = [
        ROWS["setosa" if row[2] < 2.5 else "versicolor" if row[2] < 4.9 else "virginica"]
        for row in rows
    ]
    made = orjson.dumps({"predictions": [{"fields": FIELDS, "values": values}]})
    return HEAD % len(made) + made


async def serve(delays: list[float]) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    ports: list[int] = []
    for delay in delays:
        server = await loop.create_server(lambda d=delay: Connection(d), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve with each delay, in milliseconds, that the command line gives."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve([float(given) / 1000.0 for given in sys.argv[1:]]))
