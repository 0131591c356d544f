"""The types of the public language, as a type checker infers them.

Nothing here is run: `mypy` and `basedpyright` read it, and each fails when it infers another type
than the one that stands here, or accepts what is marked as an error.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict, TypeGuard, assert_type

from thalweg import (
    BatchFunction,
    DeadLetter,
    Graph,
    Operator,
    Outcome,
    Read,
    Sink,
    Source,
    Stream,
    setting,
)
from thalweg.operators import (
    Prediction,
    aggregate,
    aggregates,
    fold,
    score,
    sinks,
    sources,
    window,
    windows,
)
from thalweg.operators.aggregates import Aggregate
from thalweg.operators.windows import Window
from thalweg.runtime.job import Job
from thalweg.runtime.progress import Progress
from thalweg.runtime.stream import Split, Through, Written
from thalweg.testing import PAUSE, CollectingSink, ScriptedSource, scripted


@dataclass(frozen=True)
class Flower:
    name: str
    petal: float


class Row(TypedDict):
    n: int
    petal: float


class Text(Operator[object, str]):
    def process(self, record: object) -> Iterator[str]:
        yield str(record)


class Lengths(BatchFunction[Sequence[object], int]):
    async def call(self, records: Sequence[Sequence[object]]) -> list[int] | Outcome[int]:
        return [len(record) for record in records]


class Everything(Sink[object]):
    async def write(self, records: Sequence[object]) -> None: ...


class Numbers(Source[int]):
    async def read(self, limit: int) -> Sequence[int] | Read[int] | None: ...


def is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def is_short(value: str) -> bool:
    return len(value) < 3


async def fetch(number: int) -> bytes:
    return bytes(number)


async def fetch_all(numbers: list[int]) -> list[bytes]:
    return [bytes(number) for number in numbers]


async def count_up() -> AsyncIterator[int]:
    yield 1


def what_is_read(graph: Graph, path: Path) -> None:
    assert_type(graph.read("numbers", Numbers()), Stream[int])
    assert_type(graph.read("records", sources.records([1, 2])), Stream[int])
    assert_type(graph.read("lazy", sources.records(lambda: iter(["a"]))), Stream[str])
    assert_type(graph.read("generated", sources.generate(count_up)), Stream[int])
    assert_type(graph.read("scripted", scripted("a", PAUSE(1), "b")), Stream[str])
    rows = graph.read("rows", sources.csv_records(path))
    assert_type(rows.map(lambda row: row["n"]), Stream[Any])
    pushed: Stream[Flower] = graph.read("pushed", sources.push())
    assert_type(pushed.map(lambda flower: flower.petal), Stream[float])


def maps(numbers: Stream[int]) -> None:
    assert_type(numbers.map(str), Stream[str])
    assert_type(numbers.map(lambda n: n / 2, name="half", fail_after=None), Stream[float])
    assert_type(numbers.map(lambda n: (n, str(n))), Stream[tuple[int, str]])
    assert_type(numbers.map(fetch), Stream[bytes])
    assert_type(numbers.map(fetch, max_in_flight=8, ordered=False, timeout=1.0), Stream[bytes])
    numbers.map(len)  # type: ignore[arg-type]


def filters(numbers: Stream[int], things: Stream[object]) -> None:
    assert_type(numbers.filter(lambda n: n % 2), Stream[int])
    assert_type(numbers.filter(fetch, max_in_flight=2), Stream[int])
    assert_type(things.filter(is_text), Stream[str])
    assert_type(things.filter(is_text).filter(is_short), Stream[str])
    numbers.filter(is_short)  # type: ignore[arg-type]


def flat_maps(numbers: Stream[int], lists: Stream[list[str]]) -> None:
    async def two(number: int) -> list[int]:
        return [number, number]

    def lazily(number: int) -> Iterator[str]:
        yield str(number)

    assert_type(numbers.flat_map(range), Stream[int])
    assert_type(numbers.flat_map(lambda n: [str(n)] * n), Stream[str])
    assert_type(numbers.flat_map(lazily), Stream[str])
    assert_type(numbers.flat_map(two, max_in_flight=2), Stream[int])
    assert_type(lists.flat_map(lambda words: words), Stream[str])


def map_batches(numbers: Stream[int]) -> None:
    assert_type(numbers.map_batch(lambda batch: [sum(batch)]), Stream[int])
    assert_type(numbers.map_batch(lambda batch: map(str, batch)), Stream[str])
    assert_type(numbers.map_batch(fetch_all, max_in_flight=2), Stream[bytes])


def splits(numbers: Stream[int], things: Stream[object]) -> None:
    assert_type(numbers.split(lambda n: n < 10), Split[int, int])
    small, large = numbers.split(lambda n: n < 10)
    assert_type(small, Stream[int])
    assert_type(large, Stream[int])
    texts, others = things.split(is_text)
    assert_type(texts, Stream[str])
    assert_type(others, Stream[object])


def unions_and_batches(numbers: Stream[int], words: Stream[str]) -> None:
    assert_type(numbers.union(numbers.map(abs)), Stream[int])
    assert_type(numbers.batch(10, linger=None), Stream[int])
    numbers.union(words)  # type: ignore[arg-type]


def operators(numbers: Stream[int], words: Stream[str]) -> None:
    assert_type(numbers.via("text", Text()), Through[int, str])
    assert_type(words.via("text", Text(), volatile=True), Through[str, str])
    assert_type(numbers.via("text", Text()).map(len), Stream[int])
    assert_type(words.via("lengths", Lengths()), Stream[int])
    assert_type(words.via("lengths", Lengths()).failed, Stream[DeadLetter])
    numbers.via("lengths", Lengths())  # type: ignore[arg-type]


@dataclass(frozen=True)
class Reading:
    device: str
    at: datetime
    value: float


class Mean(Aggregate[Reading, tuple[int, float], float]):
    def create(self) -> tuple[int, float]:
        return 0, 0.0

    def add(self, accumulator: tuple[int, float], record: Reading) -> tuple[int, float]:
        return accumulator[0] + 1, accumulator[1] + record.value

    def result(self, accumulator: tuple[int, float]) -> float:
        return accumulator[1] / accumulator[0]


def times_and_keys(readings: Stream[Reading], numbers: Stream[int]) -> None:
    timed = readings.event_time(lambda r: r.at, lateness="5min", idle_after=None)
    assert_type(timed, Through[Reading, Reading])
    assert_type(timed.late, Stream[Reading])
    assert_type(timed.late.map(lambda r: r.value), Stream[float])
    assert_type(numbers.event_time(float, unit="ms", zone="UTC").late, Stream[int])
    assert_type(numbers.late, Stream[Any])
    assert_type(timed.key_by(lambda r: r.device), Stream[tuple[str, Reading]])
    assert_type(
        numbers.key_by(lambda n: (n, n > 3), version=2), Stream[tuple[tuple[int, bool], int]]
    )
    numbers.event_time(lambda n: [n])  # type: ignore[arg-type,return-value]
    numbers.event_time(float, unit="min")  # type: ignore[arg-type]
    numbers.key_by(lambda n: n.name)  # type: ignore[attr-defined]


def keyed_values(keyed: Stream[tuple[str, Reading]], numbers: Stream[int]) -> None:
    total = keyed.via("total", fold(float, lambda so_far, r: so_far + r.value))
    assert_type(total, Through[tuple[str, Reading], tuple[str, float]])
    count = keyed.via("count", aggregate(aggregates.counting(), emit="end"))
    assert_type(count, Through[tuple[str, Reading], tuple[str, int]])
    assert_type(keyed.via("mean", aggregate(Mean())).map(lambda pair: pair[1]), Stream[float])
    numbers.via("count", aggregate(aggregates.counting()))  # type: ignore[arg-type]


def windowed_values(keyed: Stream[tuple[str, Reading]]) -> None:
    minute = windows.tumbling("1min")
    counts = keyed.via("counts", window(minute, aggregates.counting()))
    assert_type(counts, Through[tuple[str, Reading], Window[str, int]])
    assert_type(counts.late, Stream[tuple[str, Reading]])
    assert_type(counts.map(lambda w: (w.key, w.start, w.value)), Stream[tuple[str, float, int]])
    lists = keyed.via("lists", window(windows.session(60), aggregates.collect(), emit="update"))
    assert_type(lists.map(lambda w: w.value), Stream[list[Reading]])
    sums = keyed.via(
        "sums",
        window(minute, aggregates.fold(float, lambda so_far, r: so_far + r.value)),
    )
    assert_type(sums.map(lambda w: w.value), Stream[float])
    means = keyed.via("means", window(minute, Mean(), emit=windows.every(5), clock="processing"))
    assert_type(means.map(lambda w: w.value), Stream[float])
    last = keyed.via(
        "last", window(windows.count(3), aggregates.reduce(lambda earlier, later: later))
    )
    assert_type(last.map(lambda w: w.value.device), Stream[str])
    keyed.via("counts", window(aggregates.counting(), minute))  # type: ignore[arg-type]


def scores(
    rows: Stream[dict[str, float]], typed: Stream[Row], mixed: Stream[dict[str, str | int]]
) -> None:
    fields = {"petal": "Petal.Length"}
    model = score("onnx:iris.onnx", fields=fields, max_in_flight=2)
    assert_type(model, BatchFunction[Mapping[str, object], dict[str, object]])
    assert_type(rows.via("score", model), Stream[dict[str, object]])
    assert_type(typed.via("score", model), Stream[dict[str, object]])
    assert_type(
        mixed.via("score", score("onnx:iris.onnx", fields=fields)), Stream[dict[str, object]]
    )

    def joined(row: Row, prediction: Prediction) -> tuple[int, object]:
        return row["n"], prediction["species"]

    named = typed.via("score", score("onnx:iris.onnx", fields=fields, join=joined))
    assert_type(named, Stream[tuple[int, object]])
    by_lambda = rows.via(
        "score", score("onnx:iris.onnx", fields=fields, join=lambda row, _: row["petal"])
    )
    assert_type(by_lambda, Stream[float])
    assert_type(by_lambda.failed, Stream[DeadLetter])


def ends(numbers: Stream[int], words: Stream[str], path: Path) -> None:
    seen: list[int] = []
    anything: list[object] = []
    assert_type(numbers.to("seen", sinks.collect(seen)), Written)
    collected = sinks.collect(anything)
    assert_type(numbers.to("anything", collected), Written)
    assert_type(numbers.to("file", sinks.ndjson(path), on_failure="isolate"), Written)
    assert_type(numbers.to("everything", Everything()), Written)
    assert_type(numbers.to("printed", sinks.each(print)), Written)
    assert_type(numbers.to("fetched", sinks.each(fetch)).failed, Stream[DeadLetter])
    assert_type(numbers.to("kept", CollectingSink()), Written)
    words.to("seen", sinks.collect(seen))  # type: ignore[arg-type]


def dead_letters(graph: Graph, numbers: Stream[int]) -> None:
    assert_type(graph.failed, Stream[DeadLetter])
    assert_type(numbers.failed, Stream[DeadLetter])
    assert_type(numbers.failed.map(lambda letter: letter.error.message), Stream[str])
    assert_type(graph.failed.union(numbers.failed).to("failed", Everything()), Written)


def variance(numbers: Source[int], everything: Sink[object], text: Operator[object, str]) -> None:
    things: Source[object] = numbers
    letters: Sink[DeadLetter] = everything
    objects: Operator[int, object] = text
    lengths: BatchFunction[str, object] = Lengths()
    outcome: Outcome[object] = Outcome[int]([1])
    read: Read[object] = Read[int]([1], [0])
    script: Source[object] = ScriptedSource([1])
    too_narrow: Source[bool] = numbers  # type: ignore[assignment]
    _ = (things, letters, objects, lengths, outcome, read, script, too_narrow)


def settings(home: Path) -> None:
    assert_type(setting("endpoint", "onnx:iris.onnx", choices=["onnx:iris.onnx"]), str)
    assert_type(setting("max_in_flight", 8, "requests at a time", minimum=1), int)
    assert_type(setting("linger", 0.05), float)
    assert_type(setting("loud", False), bool)
    assert_type(setting("home", home), Path)
    setting("rows", [1, 2])  # type: ignore[type-var]


async def jobs(graph: Graph) -> None:
    async with graph.start() as job:
        assert_type(job, Job)
        delivery = await job.push("words", ["a", "b"])
        waiting: Awaitable[None] = delivery
        assert_type(await waiting, None)
        await delivery
        assert_type(job.progress(), Progress)
        await job.drain(timeout=5)
    assert_type(graph.run(), Progress)


def lambdas_know_their_record(flowers: Stream[Flower], unknown: Stream[Any]) -> None:
    named = flowers.filter(lambda f: f.petal > 1).map(lambda f: f.name).filter(lambda n: n != "")
    assert_type(named, Stream[str])
    assert_type(unknown.map(lambda value: str(value)), Stream[str])
    flowers.map(lambda flower: flower.colour)  # type: ignore[attr-defined]
