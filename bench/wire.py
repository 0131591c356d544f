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
from typing import Any

import uvloop
from measure import Report, arguments, interleaved, spread
from peers.flowers import (
    BATCH,
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
from wire_works import Decode, bodies_of, decode_tensors, encoder_of_tensors, post_all

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
