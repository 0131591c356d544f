"""The model server of the benches of `score`: as little as can answer, so that it is no limit.

It speaks HTTP/1.1 with connections that stay, takes requests for a Watson Machine Learning
deployment, and answers with a row for each of their rows. The command line says how its ports
behave, one each, and the ports are its first line of output, as JSON. It ends with its input.

A number is a delay in milliseconds: requests are decoded, and each row gets the species by the
length of its petal. Text is faults in the words of `thalweg serve`, of which `latency`, `per_row`
and `workers` are done, by the same sum of who works when; PUT and PATCH to `/faults` change them.
There rows are only counted, and all get the same answer, made once for each number of rows.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from time import monotonic
from typing import Any, cast

import orjson
import uvloop

from thalweg.deploy.serve.faults import Faults
from thalweg.deploy.serve.workers import Workers

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
        self._received = bytearray()
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        # A large request comes in many pieces: its head is not looked for in each of them.
        while len(self._received) > self._needed:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end])
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            whole = end + 4 + length
            if len(self._received) < whole:
                self._needed = whole - 1
                return
            self._needed = 0
            body = bytes(self._received[end + 4 : whole])
            del self._received[:whole]
            self._asked(head, body)

    def _asked(self, head: bytes, body: bytes) -> None:
        answer = answered(body)
        if self._delay:
            self._loop.call_later(self._delay, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


class Pace:
    """How slow the server is just now, shared by all connections of a port."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._workers = Workers(faults.workers, now=monotonic())

    def change(self, faults: Faults) -> None:
        """Be so slow from now on."""
        if faults.workers != self.faults.workers:
            self._workers.resize(faults.workers, now=monotonic())
        self.faults = faults

    def done_at(self, rows: int) -> float:
        """When a request for so many rows is done that comes now."""
        seconds = self.faults.latency + self.faults.per_row * rows
        return self._workers.done_at(monotonic(), seconds)


class PacedConnection(Connection):
    """One connection to a port with faults."""

    def __init__(self, pace: Pace, answers: dict[int, bytes]) -> None:
        super().__init__(0.0)
        self._pace = pace
        self._answers = answers

    def _asked(self, head: bytes, body: bytes) -> None:
        method, path = head.split(b" ", 2)[:2]
        if path == b"/faults":
            if method != b"GET":
                before = self._pace.faults if method == b"PATCH" else Faults()
                self._pace.change(before.changed(orjson.loads(body)))
            said = orjson.dumps(self._pace.faults.as_dict())
            self._write(HEAD % len(said) + said)
            return
        rows = body.count(b"],[") + 1
        self._write_at(self._pace.done_at(rows), rows)

    def _write_at(self, moment: float, rows: int) -> None:
        left = moment - monotonic()
        if left > 0:
            # uvloop counts in milliseconds, from when its turn began: it may be early.
            self._loop.call_later(math.ceil(left * 1000.0) / 1000.0, self._write_at, moment, rows)
            return
        answer = self._answers.get(rows)
        if answer is None:
            answer = self._answers[rows] = made_of([ROWS["setosa"]] * rows)
        self._write(answer)


def answered(body: bytes) -> bytes:
    """The whole answer to a request."""
    rows: Any = orjson.loads(body)["input_data"][0]["values"]
    return made_of(
        [
            ROWS["setosa" if row[2] < 2.5 else "versicolor" if row[2] < 4.9 else "virginica"]
            for row in rows
        ]
    )


def made_of(values: list[Any]) -> bytes:
    """The whole answer with these rows."""
    made = orjson.dumps({"predictions": [{"fields": FIELDS, "values": values}]})
    return HEAD % len(made) + made


async def serve(ports: list[str]) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    numbers: list[int] = []
    for said in ports:
        server = await loop.create_server(connections(said), "127.0.0.1", 0)
        numbers.append(server.sockets[0].getsockname()[1])
    print(json.dumps(numbers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def connections(said: str) -> Any:
    """What makes the connections of a port that is to behave so."""
    if "=" in said:
        pace, answers = Pace(Faults.parsed(said)), dict[int, bytes]()
        return lambda: PacedConnection(pace, answers)
    return lambda: Connection(float(said) / 1000.0)


def main() -> None:
    """Serve a port for each delay, in milliseconds, or faults that the command line gives."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1:]))
