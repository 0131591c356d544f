"""`score` left to tune itself, against the design of streamsx.wml at its defaults.

    python bench/bundles.py

The server waits 20 ms and then answers, however many ask. The other design is two threads with
`requests` that take bundles of up to 100 from one list (`peers/bundles_requests.py`); ours is given
`tune=Throughput(p99=0.2)` and nothing else, and begins with batches of 64, 8 in flight. Its rate is
taken from its first second on, with all that it tries until it knows. Records are numbered, and
who delivers one out of order is told.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import statistics
import sys
from collections.abc import Iterator, Sequence

import uvloop
from environments import PeerMissing, Worker, prepare
from measure import Report, arguments, interleaved, spread
from peers.flowers import COLLECTOR, FIELDS, Flower, make
from servers import LightServer

from thalweg import Graph, Sink
from thalweg.operators import Throughput, score, sources

DELAY = 20.0
TIMES = 10.0
THEIRS = "2 threads with requests, bundles of 100"
OURS = "thalweg, tuning itself"


class InOrder(Sink[Flower]):
    """Counts, and sees whether records come in order."""

    def __init__(self) -> None:
        self.count = 0
        self.ordered = True

    async def write(self, records: Sequence[Flower]) -> None:
        for record in records:
            self.ordered = self.ordered and record["n"] == self.count
            self.count += 1


def itself(url: str, seconds: float, p99: float) -> tuple[float, bool, str]:
    """Records a second, whether they came in order, and what was found."""
    some = make(50_000)
    delivered: list[InOrder] = []

    class Delivered(InOrder):
        async def write(self, records: Sequence[Flower]) -> None:
            if not delivered:
                delivered.append(self)  # A job works with copies of what is in its graph.
            await super().write(records)

    def endless() -> Iterator[Flower]:
        for n in itertools.count():
            yield {**some[n % len(some)], "n": n}

    graph = Graph("bundles")
    asked = score(f"wml+{url}", fields=FIELDS, tune=Throughput(p99=p99))
    stream = graph.read("flowers", sources.records(endless)).batch(64, linger=0.05)
    stream.via("score", asked).to("delivered", Delivered())

    async def main() -> tuple[float, str]:
        loop = asyncio.get_running_loop()
        async with graph.start() as job:
            began = loop.time()
            await asyncio.sleep(seconds)
            calls = job.progress().node("score").calls
            assert calls is not None
            await job.drain()
            took = loop.time() - began
        found = f"{calls.max_in_flight} in flight, batches of {calls.max_batch_size}"
        return took, found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        took, found = runner.run(main())
    (sink,) = delivered
    return sink.count / took, sink.ordered, found


def main() -> int:
    parser = arguments("What tunes itself, against bundles of 100 in two threads.")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--p99", type=float, default=0.2, help="the bound on calls, in seconds")
    parser.add_argument("--peers", nargs="*", default=["requests"], choices=["requests", "none"])
    options = parser.parse_args()
    report = Report(f"bundles: a server that answers after {DELAY:g} ms")
    gc.set_threshold(*COLLECTOR)
    ordered: dict[str, bool] = {}
    found: list[str] = []
    server = LightServer([DELAY])
    worker: Worker | None = None
    url = server.urls[DELAY]

    def ours() -> float:
        rate, in_order, setting = itself(url, options.seconds, options.p99)
        ordered[OURS] = ordered.get(OURS, True) and in_order
        found.append(setting)
        return rate

    def theirs() -> float:
        assert worker is not None
        rate, in_order = worker.measure("bundles", url, options.seconds)
        ordered[THEIRS] = ordered.get(THEIRS, True) and in_order
        return float(rate)

    contenders = {OURS: ours}
    try:
        if "requests" in options.peers:
            try:
                worker = Worker("requests", prepare("requests"), "bundles_requests", [])
                contenders[THEIRS] = theirs
            except PeerMissing as missing:
                report.figure(f"at least {TIMES:g} times {THEIRS}", str(missing), reached=False)
        rates = interleaved(contenders, options.rounds, "20 ms")
    finally:
        if worker is not None:
            worker.close()
        server.close()
    report.table(
        f"{options.seconds:g} s from the first record on",
        ["", "1,000 records/s", "in order"],
        [
            [name, spread([rate / 1000 for rate in its], "{:.1f}"),
             "yes" if ordered[name] else "no"]
            for name, its in rates.items()
        ],
    )  # fmt: skip
    report.note(f"found: {'; '.join(found)}")
    if THEIRS in rates:
        shares = [own / other for own, other in zip(rates[OURS], rates[THEIRS], strict=True)]
        report.figure(
            f"at least {TIMES:g} times {THEIRS}",
            spread(shares, "{:.1f}"),
            reached=statistics.median(shares) >= TIMES,
        )
    report.figure("in order", "yes" if ordered[OURS] else "no", reached=ordered[OURS])
    report.numbers["records a second"] = rates
    report.numbers["found"] = found
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
