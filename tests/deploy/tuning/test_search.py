"""Settings searched for against a simulated server, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from thalweg import (
    BatchFunction,
    Context,
    DataError,
    Graph,
    JobFailed,
    MisconfiguredError,
    Outcome,
    Read,
    Sink,
    Source,
)
from thalweg.deploy.tuning.candidates import Untunable, chosen
from thalweg.deploy.tuning.findings import Findings
from thalweg.deploy.tuning.session import tune
from thalweg.deploy.tuning.watching import Load
from thalweg.operators import Throughput, sinks, sources
from thalweg.runtime.contracts import KeyedState, Operator
from thalweg.testing import run_virtual

from ...runtime.tuning.workers import Asking, Workers

GOAL = Throughput(p99=0.2, max_batch_size=2048)


class Untouched(Sink[object]):
    """Must not be opened, let alone be written to."""

    async def open(self, context: Context) -> None:
        raise AssertionError("a real sink was opened")

    async def write(self, records: Sequence[object]) -> None:
        raise AssertionError("a real sink was written to")


class Queue(Source[int]):
    """Delivers what is not acked again, and notes what it is told."""

    redelivers = True

    def __init__(self, told: list[object]) -> None:
        self._told = told

    async def open(self, context: Context) -> None:
        self._next = 40

    async def read(self, limit: int) -> Read[int]:
        await asyncio.sleep(0.001)
        start, self._next = self._next, self._next + 10
        return Read(list(range(start, self._next)), range(start, self._next), lane="mine")

    async def ack(self, lane: str, position: int) -> None:
        self._told.append(("ack", lane, position))

    async def nack(self, lane: str, position: int) -> None:
        self._told.append(("nack", lane, position))

    async def close(self) -> None:
        self._told.append("closed")


def _graph(
    asking: BatchFunction[int, int], source: Source[int] | None = None, batch: int | None = 64
) -> Graph:
    graph = Graph("scoring", max_batch_size=4096)
    numbers = graph.read("numbers", source or sources.records(list(range(100))))
    if batch is not None:
        numbers = numbers.batch(batch, linger=0.05)
    numbers.via("ask", asking).to("out", Untouched())
    return graph


def _tuned(
    graph: Graph,
    goal: Throughput = GOAL,
    *,
    seconds: float = 60.0,
    given: Mapping[str, Sequence[object]] | None = None,
    lines: list[Load] | None = None,
    stop_after: float | None = None,
) -> Findings:
    async def main() -> Findings:
        stop = asyncio.Event()
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, stop.set)
        heard: list[Load] = [] if lines is None else lines
        return await tune(
            graph,
            chosen(graph, None),
            goal,
            seconds=seconds,
            most=1000,
            given=given or {},
            say=heard.append,
            stop=stop,
        )

    return run_virtual(main)


def test_it_finds_the_best_setting_and_measures_what_lies_around_it() -> None:
    lines: list[Load] = []
    found = _tuned(_graph(Asking(Workers(), None, 8)), lines=lines)
    best = found.best
    assert best is not None
    assert best.rate is not None
    # 8 workers, and the largest batch that 0.2 s allow: 5 ms and 0.2 ms a record.
    assert best.rate >= 0.95 * 8 * 975 / 0.2
    assert best.within(GOAL)
    assert best.confirmed
    assert found.seconds < 61.0
    sizes = [p for p in found.points if p.max_in_flight == best.max_in_flight]
    calls = [p for p in found.points if p.max_batch_size == best.max_batch_size]
    assert len(sizes) >= 4
    assert len(calls) >= 2
    assert (found.points[0].max_batch_size, found.points[0].max_in_flight) == (64, 8)
    assert [round(load.seconds) for load in lines[:3]] == [5, 10, 15]
    assert all(load.rate > 10_000 and load.limited_by for load in lines)
    assert str(lines[0]).startswith("  5 s  ")
    assert found.settings == [
        f".batch({best.max_batch_size}, linger={found.linger:g})",
        f"Asking(…, max_in_flight={best.max_in_flight})",
    ]
    text = found.text()
    (row,) = (line for line in text.splitlines() if line.startswith("*"))
    assert row.endswith("best")
    assert "as it is" in text


def test_what_was_found_is_there_when_it_is_stopped() -> None:
    found = _tuned(_graph(Asking(Workers(), None, 8)), stop_after=6.0)
    assert found.best is not None
    assert 5.0 < found.seconds < 7.0
    assert found.error is None


def test_no_source_is_told_that_anything_has_arrived() -> None:
    told: list[object] = []
    found = _tuned(_graph(Asking(Workers(), None, 8), Queue(told)), seconds=5.0)
    assert len(found.sample.records) == 1000
    assert not found.sample.ended
    assert told == [("nack", "mine", 40), "closed"]


def test_a_single_record_is_enough() -> None:
    found = _tuned(_graph(Asking(Workers(), None, 8), sources.records([7])), seconds=20.0)
    assert found.sample.ended
    assert found.best is not None
    assert found.best.max_batch_size > 64
    assert "with 1 record, again and again" in found.text()


def test_without_a_batch_in_the_graph_one_is_proposed() -> None:
    found = _tuned(_graph(Asking(Workers(), None, 8), batch=None), seconds=20.0)
    assert found.points[0].max_batch_size == 64
    assert found.settings[0].startswith(".batch(")


def test_the_linger_is_the_time_in_which_a_batch_fills_at_the_graphs_own_pace() -> None:
    source = sources.records(list(range(100)), rate=4_000.0)
    found = _tuned(_graph(Asking(Workers(), None, 8), source), Throughput(p99=2.0), seconds=20.0)
    assert found.best is not None
    assert found.sample.arrives == 4_000.0
    assert found.linger == pytest.approx(
        min(0.5, 1.2 * found.best.max_batch_size / 4_000.0), abs=1e-4
    )
    assert "the graph itself reads 4,000 records/s: less than" in found.text()


def test_nothing_is_proposed_that_the_other_side_refuses() -> None:
    workers = Workers(workers=16, most=10)
    found = _tuned(_graph(Asking(workers, None, 8)), Throughput(p99=0.5, max_batch_size=512))
    assert found.best is not None
    assert found.best.max_in_flight <= 10
    assert sum(point.refused for point in found.points) > 0
    assert "refused" in found.text()


class Picky(Asking):
    """Refuses the records that it is told to refuse."""

    def __init__(self, workers: Workers, bad: Callable[[int], bool]) -> None:
        super().__init__(workers, None, 8)
        self._bad = bad

    async def call(self, records: Sequence[int]) -> Any:
        answered = await super().call(records)
        rejected = {i: DataError(f"no {n}") for i, n in enumerate(records) if self._bad(n)}
        return Outcome([n for n in answered if not self._bad(n)], dict(rejected))


def test_a_bad_record_is_counted_and_not_sent_again() -> None:
    found = _tuned(_graph(Picky(Workers(), lambda n: n == 13)), seconds=20.0)
    assert found.best is not None
    assert len(found.sample.records) == 99
    assert found.points[0].rejected == len(found.rejected) == 1
    assert "1 record was given up, and not sent again: DataError: no 13" in found.text()


def test_where_every_record_is_bad_that_is_said() -> None:
    found = _tuned(_graph(Picky(Workers(), lambda n: True)), seconds=20.0)
    assert found.best is None
    assert found.error is not None
    assert "DataError: no " in found.error
    assert "it ended before its time: " in found.text()


def test_a_bound_that_no_setting_keeps_is_told_with_the_quickest() -> None:
    found = _tuned(_graph(Asking(Workers(), None, 8)), Throughput(p99=0.001), seconds=20.0)
    assert found.best is None
    assert found.settings == []
    assert "no setting kept to the bound: the quickest had a p99 of 5.2 ms, with 1 " in found.text()


def test_a_server_that_is_down_is_told() -> None:
    found = _tuned(_graph(Asking(Workers(down=True), None, 8)), seconds=15.0)
    assert found.best is None
    assert "nothing was measured" in found.text()
    assert "what limits: server: connection refused" in found.text()


class Nowhere(Asking):
    """There is no such model."""

    async def call(self, records: Sequence[int]) -> Sequence[int]:
        raise MisconfiguredError("there is no model 'iirs' there\x1b[2J")


def test_a_wrong_address_ends_it_with_the_reason() -> None:
    found = _tuned(_graph(Nowhere(Workers(), None, 8)), seconds=15.0)
    assert found.error is not None
    assert "there is no model 'iirs' there" in found.error
    assert found.seconds < 2.0
    assert "'iirs' there [2J" in found.text()
    assert "\x1b" not in found.text()


class Counted(Operator[int, int]):
    """Has memory, and would need a store."""

    def __init__(self) -> None:
        self.seen: KeyedState[int, int] = KeyedState()

    def process(self, record: int) -> Iterator[int]:
        yield record


def test_all_that_stands_above_runs_once_and_nothing_beside_it() -> None:
    beside: list[int] = []
    called: list[int] = []

    def halved(number: int) -> int:
        called.append(number)
        return 100 // (number - 5)

    graph = Graph("scoring", max_batch_size=4096)
    numbers = graph.read("numbers", sources.records(list(range(100))))
    numbers.to("copy", sinks.each(beside.append))
    odd, even = numbers.split(lambda n: n % 2 == 1, name="parity")
    even.map(beside.append, name="aside").to("evens", Untouched())
    counted = odd.map(halved, name="halved").via("counted", Counted())
    counted.batch(64).via("ask", Asking(Workers(), None, 8)).to("out", Untouched())
    found = _tuned(graph, seconds=10.0)
    assert beside == []
    assert called == list(range(1, 100, 2))
    assert found.sample.failed == 1
    assert found.best is not None
    assert "1 more failed before it" in found.text()


def test_a_source_that_gives_nothing_is_told_with_what_to_do() -> None:
    graph = Graph("pushed")
    words = graph.read("words", sources.push())
    words.batch(4).via("ask", Asking(Workers(), None, 8)).to("out", Untouched())
    with pytest.raises(Untunable, match=r"none has come within 10 s\. Give some: --source words="):
        _tuned(graph)
    with pytest.raises(Untunable, match="its sources have ended"):
        _tuned(_graph(Asking(Workers(), None, 8), sources.records([])))


def test_records_may_be_given_in_the_place_of_a_source() -> None:
    graph = Graph("pushed")
    words = graph.read("words", sources.push())
    words.batch(4).via("ask", Asking(Workers(), None, 8)).to("out", Untouched())
    found = _tuned(graph, given={"words": [1, 2, 3]}, seconds=10.0)
    assert found.sample.records == [1, 2, 3]
    assert found.best is not None


def test_a_function_above_that_breaks_is_a_failure_of_the_job() -> None:
    class Broken(Source[int]):
        async def read(self, limit: int) -> list[int]:
            raise OSError("the disk is gone")

    with pytest.raises(JobFailed, match="the disk is gone"):
        _tuned(_graph(Asking(Workers(), None, 8), Broken()))


def test_the_same_search_gives_the_same_answer() -> None:
    found = [_tuned(_graph(Asking(Workers(), None, 8)), seconds=15.0).settings for _ in range(2)]
    assert found[0] == found[1]


def test_which_operator_is_meant() -> None:
    graph = Graph("two")
    numbers = graph.read("numbers", sources.records([1]))
    numbers.map(partial(max, 0), name="floor").to("out", sinks.collect([]))
    with pytest.raises(Untunable, match="graph 'two' has nothing to tune"):
        chosen(graph, "floor")
    for name in ("first", "second"):
        numbers.via(name, Asking(Workers(), None, 8)).to(f"{name}_out", sinks.collect([]))
    with pytest.raises(Untunable, match="--operator says which one to tune: first, second"):
        chosen(graph, None)
    with pytest.raises(
        Untunable, match=r"no operator 'frist'\. Did you mean 'first'\? .*: first, "
    ):
        chosen(graph, "frist")
    with pytest.raises(Untunable, match="'floor' is a map whose calls are not measured"):
        chosen(graph, "floor")
    assert chosen(graph, "second").name == "second"
