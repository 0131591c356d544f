"""The work of `analytics.py` on bytewax, set up as well as it can be.

Two processes with half of the files each; whole batches of lines are parsed and summed up at once,
and only the sums go from one to the other.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import socket
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]
import msgspec  # type: ignore[import-not-found]
from bytewax._bytewax import cluster_main  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.inputs import DynamicSource, StatelessSourcePartition  # type: ignore[import-not-found]
from bytewax.outputs import DynamicSink, StatelessSinkPartition  # type: ignore[import-not-found]

from peers.activity_files import COLLECTOR, Answers, Partial, answers_of, files_in

LINES = 8192
Sums = list[Partial]


class Reading(msgspec.Struct):  # type: ignore[misc]
    """The columns that are asked for."""

    Device: str
    gt: str
    Model: str
    x: float
    y: float
    z: float


decode = msgspec.json.Decoder(Reading).decode


class Lines(StatelessSourcePartition):  # type: ignore[misc]
    """Lines of one file after the other."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = iter(paths)
        self.file: Any = None

    def next_batch(self) -> list[list[bytes]]:
        while True:
            if self.file is None:
                path = next(self.paths, None)
                if path is None:
                    raise StopIteration
                self.file = open(path, "rb")  # noqa: SIM115
            lines = list(islice(self.file, LINES))
            if lines:
                return [lines]
            self.file.close()
            self.file = None


class Source(DynamicSource):  # type: ignore[misc]
    def __init__(self, folder: str) -> None:
        self.paths = files_in(folder)

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Lines:
        return Lines(self.paths[worker_index::worker_count])


class Taking(StatelessSinkPartition):  # type: ignore[misc]
    def __init__(self, taken: list[tuple[str, Sums]]) -> None:
        self.taken = taken

    def write_batch(self, items: list[tuple[str, Sums]]) -> None:
        self.taken += items


class Sink(DynamicSink):  # type: ignore[misc]
    def __init__(self, taken: list[tuple[str, Sums]]) -> None:
        self.taken = taken

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Taking:
        return Taking(self.taken)


def summed(batches: list[list[bytes]]) -> Iterable[tuple[str, Sums]]:
    """The groups of some lines, one beside the other: they are few."""
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for lines in batches:
        for reading in map(decode, lines):
            key = reading.Device, reading.gt, reading.Model
            group = groups.get(key)
            if group is None:
                group = groups[key] = [0, 0.0, 0.0, 0.0]
            group[0] += 1
            group[1] += reading.x
            group[2] += reading.y
            group[3] += reading.z
    yield "all", [(*key, *sums) for key, sums in groups.items()]


def put_together(earlier: Sums, later: Sums) -> Sums:
    groups = {part[:3]: part for part in earlier}
    for part in later:
        before = groups.get(part[:3])
        if before is not None:
            part = (*part[:3], *(a + b for a, b in zip(before[3:], part[3:], strict=True)))
        groups[part[:3]] = part
    return list(groups.values())


def run(folder: str, addresses: list[str], number: int) -> Answers:
    taken: list[tuple[str, Sums]] = []
    flow = Dataflow("activity")
    sums = op.flat_map_batch("sum", op.input("in", flow, Source(folder)), summed)
    op.output("out", op.reduce_final("all", sums, put_together), Sink(taken))
    cluster_main(flow, addresses, number, worker_count_per_proc=1)
    return answers_of(taken[0][1]) if taken else {}


def free_ports(count: int) -> list[int]:
    several = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in several]
    for one in several:
        one.close()
    return ports


def main() -> None:
    """Run both processes; the one that has the sums tells them."""
    gc.set_threshold(*COLLECTOR)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    reading, writing = os.pipe()
    other = os.fork()
    answers = run(sys.argv[1], addresses, 0 if other else 1)
    if not other:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            json.dump(answers, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answers = answers or json.load(pipe)
    os.waitpid(other, 0)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    megabytes += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"answers": answers, "megabytes": megabytes}))


main()
