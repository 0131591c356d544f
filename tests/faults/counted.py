"""A graph that counts, into a file: what comes of it tells what was lost, and what came twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from thalweg import Context, Graph, KeyedState, Operator, Source, State
from thalweg.operators import sinks
from thalweg.testing import run_virtual

__all__ = ["Counting", "Number", "counted", "expected", "lines", "run"]

Number = dict[str, int]


class Counting(Operator[int, Number]):
    """Numbers the records, and remembers how many of each there were."""

    def __init__(self) -> None:
        self.counts: KeyedState[int, int] = KeyedState()

    async def open(self, context: Context) -> None:
        self.number = 0

    def process(self, record: int) -> Iterator[Number]:
        self.counts[record % 7] = count = self.counts.get(record % 7, 0) + 1
        self.number += 1
        yield {"n": record, "number": self.number, "count": count}

    def snapshot(self) -> bytes:
        return str(self.number).encode()

    def restore(self, data: bytes) -> None:
        self.number = int(data)


def counted(source: Source[int], out: Path, operator: Operator[int, Number] | None = None) -> Graph:
    graph = Graph("counted", max_batch_size=8)
    numbers = graph.read("numbers", source).via("count", operator or Counting())
    numbers.to("out", sinks.ndjson(out))
    return graph


def expected(count: int) -> list[Number]:
    return [{"n": n, "number": n + 1, "count": n // 7 + 1} for n in range(count)]


def lines(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def run(graph: Graph, state: State) -> str:
    """Run the graph to its end on virtual time; the state of the job."""

    async def main() -> str:
        async with graph.start(state=state) as job:
            await job.wait()
        return job.state

    return run_virtual(main)
