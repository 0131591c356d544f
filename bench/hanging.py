"""A model server that answers, hangs for a minute, and answers again: does anything pile up?

    python bench/hanging.py

`thalweg serve` on a real socket, told by its `/faults` to keep connections without an answer, and
then to answer again. Records come as fast as they are taken, a kilobyte each. A request is given up
after 5 s and repeated, so that connections too are made anew all the time. Resident memory of the
client is taken every tenth of a second; at the end every record must have been scored, in order.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import uvloop
from measure import Report, arguments, progress
from memory import resident_mib
from peers.flowers import COLLECTOR, FIELDS, IN_FLIGHT, Flower, make
from servers import ServedModel, change_faults

from thalweg import Graph, Sink
from thalweg.operators import score, sources
from thalweg.runtime.progress import Progress

PAYLOAD = 1024
FLAT = 2.0
"""MiB that resident memory may still grow by once the channels are full."""


@dataclass(slots=True)
class Seen:
    """What was seen of the job: resident MiB by second, and when the server hung."""

    resident: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    read: int = 0
    written: int = 0
    ordered: bool = True
    retries: int = 0
    hung_at: float = 0.0
    healed_at: float = 0.0
    over: list[str] = field(default_factory=list[str])

    def look(self, progress: Progress) -> None:
        """Compare the inboxes with their bounds."""
        for node in progress.nodes:
            inbox = node.inbox
            if inbox is not None and inbox.batches > 1 and (
                inbox.batches > inbox.max_batches or inbox.records > inbox.max_records
            ):  # fmt: skip
                self.over.append(f"{node.node}: {inbox}")


async def hang(server: ServedModel, seconds: float, calm: float, timeout: float) -> Seen:
    """Run the job: so many calm seconds, a hanging server for so many, and calm again."""
    seen = Seen()
    some = make(1000)
    stopped = False

    class InOrder(Sink[Flower]):
        async def write(self, records: Sequence[Flower]) -> None:
            for record in records:
                seen.ordered = seen.ordered and record["n"] == seen.written
                seen.written += 1

    def endless() -> Iterator[Flower]:
        for n in itertools.count():
            if stopped:
                return
            seen.read += 1
            yield {**some[n % len(some)], "n": n, "payload": n.to_bytes(8, "big") * (PAYLOAD // 8)}

    graph = Graph("hanging")
    asked = score(f"wml+{server.wml}", fields=FIELDS, max_in_flight=IN_FLIGHT, timeout=timeout)
    scored = graph.read("flowers", sources.records(endless)).batch(64).via("score", asked)
    scored.to("delivered", InOrder())
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def take_memory() -> None:
        while True:
            seen.resident.append((loop.time() - began, resident_mib()))
            seen.look(job.progress())
            await asyncio.sleep(0.1)

    async with graph.start() as job:
        taking = asyncio.create_task(take_memory())
        await asyncio.sleep(calm)
        await asyncio.to_thread(change_faults, server.root, hang=1)
        seen.hung_at = loop.time() - began
        progress(f"the server hangs for {seconds:g} s")
        await asyncio.sleep(seconds)
        await asyncio.to_thread(change_faults, server.root, hang=0)
        seen.healed_at = loop.time() - began
        before = seen.written
        while seen.written == before:  # noqa: ASYNC110 - until it has noticed
            await asyncio.sleep(0.1)
        await asyncio.sleep(calm)
        stopped = True
        await job.wait()
        seen.retries = job.progress().node("score").retries
        taking.cancel()
    return seen


def main() -> int:
    parser = arguments("Memory with a model server that hangs.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which it hangs")
    parser.add_argument("--calm", type=float, default=5.0, help="seconds before, and after")
    parser.add_argument("--timeout", type=float, default=5.0, help="of a request, in seconds")
    options = parser.parse_args()
    report = Report(f"hanging: a model server that does not answer for {options.seconds:g} s")
    gc.set_threshold(*COLLECTOR)
    server = ServedModel("latency=0ms")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            seen = runner.run(hang(server, options.seconds, options.calm, options.timeout))
    finally:
        server.close()
    settled = seen.hung_at + min(5.0, options.seconds / 2)
    parts = {
        "before": [mib for at, mib in seen.resident if at < seen.hung_at],
        "while it hangs, channels full": [
            mib for at, mib in seen.resident if settled <= at < seen.healed_at
        ],
        "after": [mib for at, mib in seen.resident if at >= seen.healed_at],
    }
    report.table(
        f"{seen.read:,} records read, {seen.written:,} scored, {seen.retries:,} requests repeated",
        ["resident MiB", "first", "least", "median", "most", "last"],
        [
            [name, *(f"{mib:.1f}" for mib in
                     (its[0], min(its), statistics.median(its), max(its), its[-1]))]
            for name, its in parts.items()
        ],
    )  # fmt: skip
    flat = parts["while it hangs, channels full"]
    growth = max(flat) - flat[0]
    report.figure(
        f"resident memory flat (within {FLAT:g} MiB) while the server hangs",
        f"{growth:+.2f} MiB in {seen.healed_at - settled:.0f} s",
        reached=growth <= FLAT,
    )
    report.figure(
        "channels never above their bounds",
        seen.over[0] if seen.over else f"{len(seen.resident):,} looks, none above",
        reached=not seen.over,
    )
    whole = seen.ordered and seen.read == seen.written
    report.figure(
        "every record scored, in order",
        f"{seen.written:,} of {seen.read:,}, {'in' if seen.ordered else 'out of'} order",
        reached=whole,
    )
    report.numbers["resident MiB by second"] = seen.resident
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
