"""A simulation finds what is wrong with a graph's recovery, and nothing where nothing is."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from thalweg import (
    Bookmark,
    Context,
    Graph,
    GraphError,
    JobFailed,
    Operator,
    Source,
)
from thalweg.operators import aggregates, sinks, sources, windows
from thalweg.runtime.checkpoints.recovery import Restored
from thalweg.testing import OutOfReach, Report, broker, simulate


class Listed(Source[int]):
    """The numbers from 0 on; goes on where it was."""

    def __init__(self, count: int = 100) -> None:
        self.count = count

    async def open(self, context: Context) -> None:
        self.next = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        self.next = bookmarks[""].last + 1

    async def read(self, limit: int) -> Sequence[int] | None:
        numbers = list(range(self.next, min(self.next + limit, self.count)))
        self.next += len(numbers)
        return numbers or None


class OffByOne(Listed):
    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        self.next = bookmarks[""].last


class Skipping(Listed):
    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        self.next = bookmarks[""].last + 2


class Summing(Operator[int, int]):
    """The sum so far."""

    async def open(self, context: Context) -> None:
        self.total = 0

    def process(self, record: int) -> Iterator[int]:
        self.total += record
        yield self.total

    def snapshot(self) -> bytes:
        return str(self.total).encode()

    def restore(self, data: bytes) -> None:
        self.total = int(data)


class Forgetful(Summing):
    def restore(self, data: bytes) -> None:
        pass


def graph_of(
    source: Callable[[], Source[int]] = Listed,
    operator: Callable[[], Operator[int, int]] | None = None,
) -> Callable[[], Graph]:
    def make() -> Graph:
        graph = Graph("simulated")
        numbers = graph.read("numbers", source())
        if operator is not None:
            numbers = numbers.via("operator", operator())
        numbers.to("out", sinks.ndjson("out.ndjson"))
        numbers.map(lambda n: -n).to("plain", sinks.collect([]))
        return graph

    return make


def seeds(make: Callable[[], Graph], count: int = 40, **options: Any) -> list[Report]:
    return [simulate(make, seed=seed, **options) for seed in range(count)]


def test_a_graph_that_recovers_comes_through() -> None:
    for report in seeds(graph_of(operator=Summing)):
        assert report.ok, report
        assert not report.not_compared
        assert report.records == 200


@pytest.mark.parametrize(
    "make",
    [
        graph_of(OffByOne),
        graph_of(Skipping),
        graph_of(operator=Forgetful),
    ],
    ids=["reads once more", "skips", "forgets"],
)
def test_what_is_wrong_is_found_and_told(make: Callable[[], Graph]) -> None:
    found = [report for report in seeds(make) if not report.ok]
    assert len(found) >= 4
    for report in found:
        assert report.faults
        assert {*report.differences} <= {"out", "plain"}
        text = str(report)
        assert f"seed {report.seed}: not as without faults" in text
        assert "at " in text
    # Faults that were not needed have been left out.
    assert sum(len(report.faults) for report in found) < 2 * len(found)
    assert any("(the same without" in str(report) for report in found)


def test_a_start_after_the_end_must_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Restored, node: str) -> bool:
        return False

    monkeypatch.setattr(Restored, "ended", never)

    class AtTheEnd(Summing):
        def on_end(self) -> Iterator[int]:
            yield -self.total

    found = [one for one in seeds(graph_of(operator=AtTheEnd), 5) if not one.ok]
    assert any("a start after the end has changed" in str(one) for one in found)


def test_the_same_seed_does_the_same_and_another_does_not() -> None:
    make = graph_of(operator=Forgetful)
    first, again = seeds(make, 20), seeds(make, 20)
    assert [one.as_dict() for one in first] == [one.as_dict() for one in again]
    assert len({str(one.faults) for one in first}) > 15


def test_only_what_was_asked_for_goes_wrong() -> None:
    told = {
        "process": "the process is killed",
        "clock": "the clock of the machine jumps",
        "store": "the store",
        "suspend": "the job is suspended",
        "delay": " takes ",
    }
    for kind, words in told.items():
        faults = [fault for one in seeds(graph_of(), 10, faults=[kind]) for fault in one.faults]
        assert faults
        assert all(words in fault.what for fault in faults), kind
    assert not simulate(graph_of(), seed=1, faults=[]).faults


def test_an_endless_source_is_cut() -> None:
    for seed in range(10):
        report = simulate(graph_of(lambda: Listed(10**9)), seed=seed, records=50)
        assert report.ok, report
        assert report.records == 100


def test_a_source_that_falls_silent_has_ended() -> None:
    class Tailing(Listed):
        async def read(self, limit: int) -> Sequence[int] | None:
            while True:
                numbers = await super().read(limit)
                if numbers is not None:
                    return numbers
                await asyncio.sleep(1.0)

    for seed in range(5):
        report = simulate(graph_of(Tailing), seed=seed)
        assert report.ok, report
        assert report.records == 200


def pushed() -> Graph:
    graph = Graph("pushed")
    orders: Any = graph.read("orders", sources.push(), lossy=True)
    orders.to("out", sinks.ndjson("out.ndjson"))
    return graph


def test_a_source_that_cannot_be_read_again_needs_samples() -> None:
    with pytest.raises(OutOfReach, match=r"'orders' \(Push\) cannot be read again.*samples"):
        simulate(pushed, seed=0)
    report = simulate(pushed, seed=0, samples={"orders": [{"n": n} for n in range(20)]})
    assert report.ok
    assert report.records == 20
    with pytest.raises(ValueError, match=r"not for 'order'.*Did you mean 'orders'"):
        simulate(pushed, seed=0, samples={"order": []})


@pytest.mark.parametrize("identity", [True, False])
def test_what_a_broker_delivers_twice_counts_once_where_it_has_an_identity(identity: bool) -> None:
    source = broker([{"n": n} for n in range(60)], prefetch=7)

    def make() -> Graph:
        graph = Graph("delivered")
        named = graph.read("orders", source, identity=(lambda r: r["n"]) if identity else None)
        named.to("out", sinks.ndjson("out.ndjson"))
        named.map(lambda r: r["n"]).via("sum", Summing()).to("sums", sinks.collect([]))
        return graph

    for report in seeds(make, 20):
        assert report.ok, report
        assert ("sums" in report.not_compared) is not identity


def test_what_depends_on_the_schedule_is_not_compared() -> None:
    def make() -> Graph:
        graph = Graph("random")
        numbers = graph.read("numbers", Listed())
        numbers.map(lambda n: (n, random.random())).to("out", sinks.ndjson("out.ndjson"))
        numbers.to("rest", sinks.ndjson("rest.ndjson"))
        return graph

    report = simulate(make, seed=3)
    assert report.ok
    assert report.not_compared == {"out": "it is not the same in each run without faults"}
    assert "out is not compared: it is not the same" in str(report)


def test_what_is_emitted_by_the_clock_is_not_compared() -> None:
    def make() -> Graph:
        graph = Graph("timed")
        numbers = graph.read("numbers", Listed()).key_by(lambda n: n % 3)
        every = windows.window(windows.tumbling("1s"), aggregates.counting(), clock="processing")
        numbers.via("windows", every).to("counts", sinks.collect([]))
        return graph

    for report in seeds(make, 10):
        assert report.ok, report
        assert "counts" in report.not_compared


def test_windows_of_several_lanes_are_not_compared() -> None:
    def make() -> Graph:
        graph = Graph("lanes")
        one = graph.read("one", Listed()).event_time(float, unit="s", max_ahead=None)
        other = graph.read("other", Listed()).event_time(float, unit="s", max_ahead=None)
        keyed = one.union(other).key_by(lambda n: n % 3)
        minutes = windows.window(windows.tumbling("10s"), aggregates.counting())
        keyed.via("windows", minutes).to("counts", sinks.collect([]))
        return graph

    report = simulate(make, seed=0)
    assert report.ok
    assert "several lanes" in report.not_compared["counts"]


def test_what_asks_for_the_network_is_told() -> None:
    async def fetch(n: int) -> int:
        await asyncio.open_connection("127.0.0.1", 9)
        return n

    def make() -> Graph:
        graph = Graph("fetching")
        graph.read("numbers", Listed()).map(fetch, name="fetch").to("out", sinks.collect([]))
        return graph

    with pytest.raises(OutOfReach, match=r"fetch asked for a connection to '127\.0\.0\.1'"):
        simulate(make, seed=0)


def test_a_source_that_asks_for_the_network_is_told() -> None:
    class Remote(Listed):
        async def open(self, context: Context) -> None:
            await super().open(context)
            await asyncio.open_connection("127.0.0.1", 9)

    with pytest.raises(OutOfReach, match=r"asked for a connection to '127\.0\.0\.1'"):
        simulate(graph_of(Remote), seed=0)


def test_a_source_may_be_frozen() -> None:
    @dataclass(frozen=True)
    class Frozen(Source[int]):
        numbers: list[int]
        left: list[int] = field(default_factory=list[int])

        async def open(self, context: Context) -> None:
            self.left[:] = self.numbers

        async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
            del self.left[: bookmarks[""].last + 1]

        async def read(self, limit: int) -> Sequence[int] | None:
            taken = self.left[:limit]
            del self.left[:limit]
            return taken or None

    for seed in range(5):
        assert simulate(graph_of(lambda: Frozen(list(range(50)))), seed=seed).ok


def test_threads_run_in_line() -> None:
    import threading

    seen: set[str] = set()

    async def in_thread(n: int) -> int:
        def work() -> int:
            seen.add(threading.current_thread().name)
            if n == 7:
                raise ValueError("seven")
            return 2 * n

        return await asyncio.to_thread(work)

    def make() -> Graph:
        graph = Graph("threads")
        graph.read("numbers", Listed(30)).map(in_thread).to("out", sinks.ndjson("out.ndjson"))
        graph.failed.to("failed", sinks.ndjson("failed.ndjson"))
        return graph

    for report in seeds(make, 10):
        assert report.ok, report
        assert report.records == 30
    assert seen == {threading.current_thread().name}


def test_a_graph_that_fails_by_itself_raises() -> None:
    def make() -> Graph:
        graph = Graph("failing")
        numbers = graph.read("numbers", Listed())
        numbers.map(lambda n: 1 // (n - 50)).to("out", sinks.collect([]))
        return graph

    with pytest.raises(JobFailed, match="numbers, record 50: ZeroDivisionError"):
        simulate(make, seed=0)


def test_a_failure_that_nothing_explains_is_told() -> None:
    starts: list[int] = []

    class FailsWhenRestarted(Summing):
        async def open(self, context: Context) -> None:
            await super().open(context)

        def restore(self, data: bytes) -> None:
            starts.append(1)
            raise KeyError("what was saved is not understood")

    found = [one for one in seeds(graph_of(operator=FailsWhenRestarted)) if not one.ok]
    assert starts
    assert found
    assert any("nothing that was done to it explains that" in str(report) for report in found)


def test_the_clock_of_the_machine_is_a_simulated_one() -> None:
    now: list[float] = []

    class Clocked(Summing):
        clock = "processing"

        def process_at(self, record: int, at: float) -> Iterator[int]:
            now.append(at)
            return self.process(record)

    before = time.time()
    report = simulate(graph_of(operator=Clocked), seed=1, faults=["clock"])
    assert report.ok
    assert now[0] == pytest.approx(1_767_225_600, abs=60)
    assert abs(before - time.time()) < 60


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"faults are process, .*, not 'fire'"):
        simulate(graph_of(), seed=0, faults=["fire"])
    with pytest.raises(ValueError, match=r"a list of names, such as \['process'\]"):
        simulate(graph_of(), seed=0, faults="process")
    with pytest.raises(ValueError, match="records is 1 or more, not 0"):
        simulate(graph_of(), seed=0, records=0)


def test_a_graph_that_cannot_run_is_refused() -> None:
    def dangling() -> Graph:
        graph = Graph("dangling")
        graph.read("numbers", Listed())
        return graph

    with pytest.raises(GraphError, match="goes nowhere"):
        simulate(dangling, seed=0)


def test_nothing_is_left_open() -> None:
    import os

    make = graph_of(operator=Summing)
    seeds(make, 3)
    before = len(os.listdir("/proc/self/fd"))
    seeds(make, 20)
    assert len(os.listdir("/proc/self/fd")) <= before
