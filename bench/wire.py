"""`score` on the wire: records a second against `wrk`, with the same bodies to the same server.

    python bench/wire.py                    # needs wrk (`apt-get install wrk`)

Batches of 64, 16 connections, and servers that do not wait: the light one of the benches, and
`thalweg serve` with the model of the iris, over Watson's protocol and over the Open Inference
Protocol. The bodies are those that `score` itself sends, taken down by a relay in between before
anything is measured. `wrk` is C: it sends them and only counts what comes back. Beside it stand two
bare loops on asyncio, a `Protocol` for each connection and nothing but: one sends those bodies too
and counts, the other encodes each batch, decodes the answer and joins it to its records, as `score`
does on top of windows, retries, limits and order.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import uvloop
from measure import Report, arguments, interleaved, spread
from peers.flowers import (
    BATCH,
    FIELDS,
    HEADERS,
    IN_FLIGHT,
    Delivery,
    Flower,
    batches,
    decode,
    encode,
    make,
    timed,
)
from scoring_works import score_all
from servers import LightServer, ServedModel

WANTED = 0.60
SCRIPT = """
local bodies = { %s }
local n = 0
wrk.method = "POST"
%s
request = function()
  n = n %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[n])
end
done = function(summary)
  local e = summary.errors
  io.write(string.format('{"requests": %%d, "microseconds": %%d, "errors": %%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
"""
"""What has `wrk` send the bodies in turn, and tell in JSON what came of it."""

Decode = Callable[[Sequence[Flower], bytes], list[Flower]]


@dataclass(frozen=True, slots=True)
class Wire:
    """A server and a protocol: what `score` is told, and how a bare loop speaks it."""

    name: str
    endpoint: str
    url: str
    encode: Callable[[Sequence[Flower]], bytes]
    decode: Decode
    scores: bool = True
    """Whether there is a model behind it, as there is behind what people score against."""


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


def wrk(url: str, bodies: Sequence[bytes], seconds: float) -> float:
    """Records a second that `wrk` gets answers for, with one thread and 16 connections."""
    said = ",\n".join(f"[==[{body.decode()}]==]" for body in bodies)
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in HEADERS.items())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(SCRIPT % (said, headers))
        lasts = f"-d{max(1, round(seconds))}s"
        done = subprocess.run(
            ["wrk", "-t1", f"-c{IN_FLIGHT}", lasts, "-s", str(script), url],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    if told["errors"]:
        raise RuntimeError(f"wrk had {told['errors']} errors of {told['requests']} requests")
    return float(1e6 * BATCH * told["requests"] / told["microseconds"])


def compare(report: Report, wire: Wire, bodies: Sequence[bytes], options: Any) -> None:
    """Everyone in turns over one protocol to one server."""
    flowers = make(options.records)
    cut = batches(flowers)
    beforehand = [(batch, bodies[n % len(bodies)]) for n, batch in enumerate(cut)]

    def counting(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
        post_all(url, beforehand, lambda batch, answer: delivery.take(batch))

    def bare(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
        work = ((batch, wire.encode(batch)) for batch in cut)
        post_all(url, work, lambda batch, answer: delivery.take(wire.decode(batch, answer)))

    def ours(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(score_all(wire.endpoint, flowers, delivery))

    works = {"bare loop, bodies beforehand": counting, "bare loop": bare, "thalweg": ours}
    cpu: dict[str, list[float]] = {}

    def rate_of(name: str) -> Callable[[], float]:
        measure = timed(works[name], flowers)

        def rate() -> float:
            wall, spent = measure(wire.url, len(flowers), False)
            cpu.setdefault(name, []).append(1e6 * spent / len(cut))
            return len(flowers) / wall

        return rate

    contenders: dict[str, Callable[[], float]] = {}
    if shutil.which("wrk"):
        contenders["wrk"] = lambda: wrk(wire.url, bodies, options.seconds)
    contenders |= {name: rate_of(name) for name in works}
    rates = interleaved(contenders, options.rounds, wire.name)
    tell(report, wire, rates, cpu)


def tell(
    report: Report, wire: Wire, rates: Mapping[str, list[float]], cpu: Mapping[str, list[float]]
) -> None:
    """A table, and the figure, where there is a wrk."""
    theirs = rates.get("wrk")
    shares = {
        name: [own / other for own, other in zip(its, theirs, strict=True)] if theirs else []
        for name, its in rates.items()
    }
    report.table(
        f"{wire.name}: batches of {BATCH}, {IN_FLIGHT} in flight",
        ["", "1,000 records/s", "share of wrk's", "client CPU µs a request"],
        [
            [
                name,
                spread([rate / 1000 for rate in its], "{:.1f}"),
                spread(shares[name], "{:.3f}") if shares[name] else "-",
                spread(cpu[name], "{:.0f}") if name in cpu else "-",
            ]
            for name, its in rates.items()
        ],
    )
    report.numbers[wire.name] = {"records a second": rates, "client CPU microseconds": cpu}
    if not shares["thalweg"]:
        report.note("no share is judged: there is no wrk here (apt-get install wrk)")
    elif wire.scores:
        ours = statistics.median(shares["thalweg"])
        report.figure(
            f"{wire.name}: share of wrk's rate, at least {WANTED:.2f}",
            spread(shares["thalweg"], "{:.3f}"),
            reached=ours >= WANTED,
        )
    else:
        bare = statistics.median(shares["bare loop"])
        report.note(
            f"{wire.name}: it answers without a model, so that clients are all that is measured: "
            f"not judged, since a loop that encodes and decodes is at {bare:.3f} of wrk's rate"
        )


def main() -> int:
    parser = arguments("Records scored over HTTP, against wrk with the same bodies.")
    parser.add_argument("--records", type=int, default=200_000, help="of each run, light server")
    parser.add_argument("--few", type=int, default=100_000, help="of each run, thalweg serve")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    options = parser.parse_args()
    report = Report("wire: records scored over HTTP, on loopback, without delay; uvloop")
    light = LightServer([0.0])
    served = ServedModel("latency=0ms")
    sample = make(64 * BATCH)
    try:
        address = light.urls[0.0]
        wires = [
            Wire("light server, WML", f"wml+{address}", address, encode, decode, scores=False),
            Wire("thalweg serve, WML", f"wml+{served.wml}", served.wml, encode, decode),
        ]
        for wire in wires:
            compare(report, wire, bodies_of(wire.endpoint, wire.url, sample), options)
            options.records = min(options.records, options.few)
        endpoint, url = f"oip+{served.infer}", f"{served.infer}/infer"
        bodies = bodies_of(endpoint, url, sample)
        compare(
            report,
            Wire("thalweg serve, v2 REST", endpoint, url, encoder_of_tensors(bodies[0]),
                 decode_tensors),
            bodies,
            options,
        )  # fmt: skip
    finally:
        light.close()
        served.close()
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
