"""Flowers scored by a server in batches of 64, 16 requests at once, against a bare loop.

    python bench/scoring.py                 # with all peers, in environments of their own
    python bench/scoring.py --peers none

The server (`scoring_server.py`) is a process of its own and waits 0, 5 or 20 ms before it answers.
The bare loop is 16 coroutines that share an iterator of batches, on the same client with the same
settings and on uvloop; each encodes a batch, posts it, reads and decodes the answer and joins it
to the flowers. A second one sends bodies that were encoded before. Other libraries are judged in
their usual way, on asyncio's own loop; beside it stands what they do on uvloop. Everyone is
checked first: each flower must get its own answer. What counts is the rate on the wall; the CPU
time that the client spends on a request stands beside it, since it is steadier on a busy machine.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from environments import PeerMissing, Worker, prepare
from measure import Report, arguments, interleaved, progress, spread
from peers.flowers import (
    BATCH,
    IN_FLIGHT,
    Delivery,
    Flower,
    Work,
    batches,
    encode,
    make,
    timed,
)
from scoring_works import through_a_loop, through_a_loop_encoded_beforehand, through_thalweg
from servers import LightServer

PEERS = {
    "bytewax": ("bytewax", "bytewax, uvloop"),
    "streamz": ("streamz", "streamz, uvloop"),
    "requests": ("requests in 16 threads",),
    "httpx": ("httpx",),
}
"""Each in its usual way first: that is what is judged."""
SLOW = ("requests", "httpx")
FIGURES = {0.0: 0.85, 5.0: 0.95, 20.0: 0.95}
CHECKED = 960
"""Records of the run that looks at every result."""

Took = tuple[float, float]
"""Seconds on the wall and seconds of CPU time."""


class Contender:
    """One way to do it: rates and CPU times, collected while the rounds go on."""

    def __init__(self, name: str, run: Callable[[int, bool], Took], records: int) -> None:
        self.name = name
        self.records = records
        self.cpu: list[float] = []
        self._run = run

    def check(self) -> None:
        """See that every flower gets its own answer."""
        self._run(min(CHECKED, self.records), True)

    def rate(self) -> float:
        """Records a second in one run; the CPU time a request is kept."""
        wall, cpu = self._run(self.records, False)
        self.cpu.append(1e6 * cpu / -(-self.records // BATCH))
        return self.records / wall


def contenders(url: str, flowers: Sequence[Flower]) -> list[Contender]:
    """Those that run in this process."""
    bodies = [encode(batch) for batch in batches(flowers)]

    def beforehand(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
        count = len(batches(flowers))
        through_a_loop_encoded_beforehand(url, flowers, delivery, bodies[:count])

    works: dict[str, Work] = {
        "bare loop": through_a_loop,
        "thalweg": through_thalweg,
        "bare loop, bodies encoded beforehand": beforehand,
    }

    return [
        Contender(name, partial(timed(work, flowers), url), len(flowers))
        for name, work in works.items()
    ]


def peer(worker: Worker, name: str, url: str, records: int) -> Contender:
    """One that runs in a process of its own."""

    def run(count: int, checked: bool) -> Took:
        wall, cpu = worker.measure(name, url, count, checked)
        return wall, cpu

    return Contender(name, run, records)


def compare(
    report: Report, delay: float, everyone: Sequence[Contender], rounds: int, server: LightServer
) -> None:
    """Measure everyone in turns with one delay of the server."""
    spent: dict[str, list[float]] = {one.name: [] for one in everyone}

    def rate(one: Contender) -> float:
        before = server.cpu_seconds()
        per_second = one.rate()
        spent[one.name].append(1e6 * (server.cpu_seconds() - before) / -(-one.records // BATCH))
        return per_second

    able: list[Contender] = []
    for one in everyone:
        progress(f"{delay:g} ms: checking the results of {one.name}")
        try:
            one.check()
        except PeerMissing as missing:
            report.figure(f"{delay:g} ms: ahead of {one.name}", str(missing), reached=False)
        else:
            able.append(one)
    everyone = able
    rates = interleaved(
        {one.name: (lambda one=one: rate(one)) for one in everyone}, rounds, f"{delay:g} ms"
    )
    base = rates["bare loop"]
    shares = {name: ratios(values, base) for name, values in rates.items()}
    cpu = {one.name: one.cpu for one in everyone}
    report.table(
        f"server delay {delay:g} ms, batches of {BATCH}, {IN_FLIGHT} in flight",
        ["", "records", "1,000 records/s", "rate, share of the bare loop's", "client CPU µs",
         "CPU, ratio to the bare loop's", "server CPU µs"],
        [
            [
                one.name,
                f"{one.records:,}",
                spread([value / 1000 for value in rates[one.name]], "{:.1f}"),
                spread(shares[one.name], "{:.3f}"),
                spread(one.cpu, "{:.0f}"),
                spread(ratios(one.cpu, cpu["bare loop"]), "{:.2f}"),
                f"{statistics.median(spent[one.name]):.0f}",
            ]
            for one in everyone
        ],
    )  # fmt: skip
    ours = statistics.median(shares["thalweg"])
    needed = FIGURES.get(delay)
    if needed is not None:
        report.figure(
            f"{delay:g} ms: share of the bare loop, at least {needed:.2f}",
            f"{ours:.3f}",
            reached=ours >= needed,
        )
    beforehand = statistics.median(
        ratios(rates["thalweg"], rates["bare loop, bodies encoded beforehand"])
    )
    report.note(f"thalweg to the bare loop with bodies encoded beforehand: {beforehand:.3f}")
    for one in everyone:
        if one.name in [names[0] for names in PEERS.values()]:
            theirs = statistics.median(shares[one.name])
            report.figure(
                f"{delay:g} ms: ahead of {one.name}",
                f"{ours:.3f} to {theirs:.3f}",
                reached=ours > theirs,
            )
    report.numbers[f"{delay:g} ms"] = {
        "records a second": rates,
        "client CPU microseconds a request": cpu,
        "server CPU microseconds a request": spent,
        "thalweg to bodies encoded beforehand": beforehand,
    }


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Value over base, round by round."""
    return [value / its for value, its in zip(values, base, strict=True)]


@contextlib.contextmanager
def workers(
    report: Report, peers: Sequence[str], records: Mapping[str, int]
) -> Iterator[Mapping[str, Worker]]:
    """The processes of the peers; one that cannot be had is a figure not reached."""
    started: dict[str, Worker] = {}
    try:
        for name in peers:
            try:
                python = prepare(name)
                started[name] = Worker(name, python, f"scoring_{name}", [str(records[name])])
            except PeerMissing as missing:
                report.figure(f"ahead of {name}", str(missing), reached=False)
        yield started
    finally:
        for worker in started.values():
            worker.close()


def main() -> int:
    parser = arguments("Throughput of scoring over HTTP.")
    parser.add_argument("--records", type=int, default=200_000, help="records of each run")
    parser.add_argument(
        "--few", type=int, default=50_000, help=f"records of each run of {' and '.join(SLOW)}"
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument(
        "--delays", type=float, nargs="+", default=[0.0, 5.0, 20.0], help="of the server, in ms"
    )
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=[*PEERS, "none"], help="who else runs"
    )
    options = parser.parse_args()
    report = Report("scoring: a model behind HTTP, on loopback; uvloop")
    flowers = make(options.records)
    peers = [peer for peer in options.peers if peer != "none"]
    few = min(options.few, options.records)
    for_peers = {name: few if name in SLOW else options.records for name in peers}
    server = LightServer(options.delays)
    try:
        with workers(report, peers, for_peers) as processes:
            for delay, url in server.urls.items():
                everyone = contenders(url, flowers) + [
                    peer(worker, contender, url, for_peers[name])
                    for name, worker in processes.items()
                    for contender in PEERS[name]
                ]
                compare(report, delay, everyone, options.rounds, server)
    finally:
        server.close()
    report.note(f"medians of {options.rounds} rounds (least … greatest); CPU times are for one")
    report.note("request, of the whole process; each share compares two runs of one round")
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
