"""`event_time`: the time of each record, what is late, and up to when all have come."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from thalweg import (
    Context,
    DeadLetter,
    Graph,
    JobFailed,
    KeyedState,
    Operator,
    Origin,
    Read,
    Source,
    State,
    Stream,
)
from thalweg.runtime.contracts import LateError, Watermark
from thalweg.runtime.job import Job
from thalweg.runtime.progress import Progress
from thalweg.testing import (
    CHECKPOINT,
    CRASH,
    PAUSE,
    CollectingSink,
    MemoryStore,
    run_virtual,
    scripted,
)

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Lines(Operator[Any, str]):
    """Makes records of what it hears: records with their times, watermarks, the end."""

    def __init__(self) -> None:
        self.heard: KeyedState[str, int] = KeyedState()

    def process(self, record: Any) -> Iterable[str]:
        raise TypeError("process_at is called")

    def process_at(self, record: Any, at: float) -> Iterable[str]:
        return [f"{record} at {at:g}"]

    def on_watermark(self, at: float) -> Iterable[str]:
        return [f"mark {at:g}"]

    def on_end(self) -> Iterable[str]:
        return ["end"]


class Laned(Source[Any]):
    """Hands out reads of several lanes, with a pause before each that has one."""

    def __init__(self, *reads: tuple[str, Sequence[Any]] | float) -> None:
        self.reads = reads

    async def open(self, context: Context) -> None:
        self.left: list[tuple[str, Sequence[Any]] | float] = list(self.reads)
        self.next = dict.fromkeys((read[0] for read in self.reads if isinstance(read, tuple)), 0)

    async def read(self, limit: int) -> Read[Any] | None:
        while self.left:
            read = self.left.pop(0)
            if not isinstance(read, tuple):
                await asyncio.sleep(read)
                continue
            lane, records = read
            first = self.next[lane]
            self.next[lane] += len(records)
            return Read(records, range(first, first + len(records)), lane)
        return None


def _run(graph: Graph | Job, *, seed: int | None = None) -> Progress:
    async def main() -> Progress:
        async with graph.start() if isinstance(graph, Graph) else graph as job:
            await job.wait()
        return job.progress()

    return run_virtual(main, seed=seed)


def _lines(
    values: Iterable[Any], *, max_batch_size: int = 1024, **options: Any
) -> tuple[list[str], list[Any], list[DeadLetter], Progress]:
    graph = Graph("lines", max_batch_size=max_batch_size)
    out, late, failed = CollectingSink[str](), CollectingSink[Any](), CollectingSink[DeadLetter]()
    options = {"unit": "s"} | options
    timed = graph.read("numbers", scripted(*values)).event_time(lambda n: n, name="time", **options)
    timed.via("lines", Lines(), volatile=True).to("out", out)
    timed.late.to("late", late)
    timed.failed.to("failed", failed)
    progress = _run(graph)
    return out.records, late.records, failed.records, progress


@pytest.mark.parametrize("max_batch_size", [1, 2, 3, 1024])
def test_times_late_records_and_the_watermark(max_batch_size: int) -> None:
    values = (10, 12, 8, 5, PAUSE(1), 30, 24, 25, PAUSE(1), 26)
    out, late, failed, progress = _lines(values, lateness=5, max_batch_size=max_batch_size)
    assert [line for line in out if not line.startswith("mark")] == [
        *(f"{n} at {n}" for n in (10, 12, 8, 30, 25, 26)),
        "end",
    ]
    assert late == [5, 24]
    assert failed == []
    assert progress.node("time").late == 2
    assert progress.node("time").records_in == 8
    assert progress.node("time").records_out == 6
    assert progress.read == progress.settled == 8
    # The watermark comes as often as it may, and at the latest when there is nothing to read.
    marks = [line for line in out if line.startswith("mark")]
    assert marks[-1] == "mark 25"
    assert "mark 7" in marks
    assert out.index("mark 7") < out.index("30 at 30")


def test_the_function_may_return_datetimes_and_text_too() -> None:
    graph, out = Graph("typed"), CollectingSink[str]()
    began = datetime(2015, 2, 23, 10, 18, 55, tzinfo=UTC)

    def when(number: int) -> datetime | str | float:
        at = began + timedelta(seconds=number)
        return (at, at.isoformat(), at.timestamp() * 1000)[number % 3]

    numbers = graph.read("numbers", scripted(*range(6)))
    numbers.event_time(when, unit="ms").via("lines", Lines(), volatile=True).to("out", out)
    _run(graph)
    assert [line for line in out.records if " at " in line] == [
        f"{n} at {began.timestamp() + n:g}" for n in range(6)
    ]


def test_a_late_record_keeps_its_origin_and_its_claim() -> None:
    graph = Graph("late", max_batch_size=4)
    late = CollectingSink[DeadLetter]()
    timed = graph.read("numbers", scripted(10, 11, 3, 12, 4, 5, 13)).event_time(float, unit="s")

    def refuse(number: int) -> None:
        raise ValueError("late")

    timed.to("out", CollectingSink())
    timed.late.map(refuse, name="refuse").to("none", CollectingSink())
    graph.failed.to("failed", late)
    progress = _run(graph)
    assert [letter.record for letter in late.records] == [3, 4, 5]
    assert [letter.origin for letter in late.records] == [
        Origin("numbers", "", position) for position in (2, 4, 5)
    ]
    assert progress.read == progress.settled == 7


def test_late_records_that_go_nowhere_are_counted_and_settled() -> None:
    graph, out = Graph("dropped"), CollectingSink[float]()
    timed = graph.read("numbers", scripted(10, 3, 4, 12)).event_time(float, unit="s", name="time")
    timed.to("out", out)
    progress = _run(graph)
    assert out.records == [10, 12]
    assert progress.node("time").late == 2
    assert progress.dead_letters == 0
    assert progress.read == progress.settled == 4


def test_a_batch_of_late_records_alone_makes_no_empty_batch() -> None:
    out, late, _, progress = _lines((10, PAUSE(1), 3, 4, PAUSE(1), 12))
    assert [line for line in out if " at " in line] == ["10 at 10", "12 at 12"]
    assert late == [3, 4]
    assert progress.settled == 4


# Lanes


def test_each_lane_is_judged_by_itself_and_the_slowest_holds_the_watermark() -> None:
    graph, out, late = Graph("lanes"), CollectingSink[str](), CollectingSink[Any]()
    source = Laned(("b", [50, 55]), ("a", [100, 101]), 1.0, ("a", [200, 99]), 1.0, ("b", [49, 60]))
    timed = graph.read("laned", source).event_time(float, unit="s")
    timed.via("lines", Lines(), volatile=True).to("out", out)
    timed.late.to("late", late)
    _run(graph)
    assert late.records == [99, 49]
    marks = [line for line in out.records if line.startswith("mark")]
    assert marks == ["mark 55", "mark 60"]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_what_is_late_does_not_depend_on_cuts_or_on_how_lanes_are_mixed(size: int) -> None:
    """Also where one batch holds records of several lanes."""
    records = {lane: [(lane, (n * 7919 + 13 * k) % 500) for n in range(300)] for k, lane in
               enumerate("abc")}  # fmt: skip

    def lates(order: Callable[[dict[str, list[Any]]], Iterator[tuple[str, list[Any]]]]) -> Any:
        graph, late = Graph("mixed", max_batch_size=64), CollectingSink[Any]()
        source = graph.read("laned", Laned(*order(records)))
        timed = (
            source.batch(size, linger=None)
            .filter(lambda r: r[1] % 10)
            .event_time(lambda r: r[1], unit="s", lateness=100)
        )
        timed.to("out", CollectingSink())
        timed.late.to("late", late)
        _run(graph)
        return {lane: [r for r in late.records if r[0] == lane] for lane in "abc"}

    def in_turn(lanes: dict[str, list[Any]]) -> Iterator[tuple[str, list[Any]]]:
        yield from lanes.items()

    def mixed(lanes: dict[str, list[Any]]) -> Iterator[tuple[str, list[Any]]]:
        for start in range(0, 300, 20):
            for lane, rows in lanes.items():
                yield lane, rows[start : start + 20]

    expected: dict[str, list[Any]] = {}
    for lane, rows in records.items():
        newest = -math.inf
        expected[lane] = []
        for row in rows:
            if row[1] % 10:
                if row[1] < newest - 100:
                    expected[lane].append(row)
                newest = max(newest, row[1])
    assert lates(in_turn) == lates(mixed) == expected
    assert sum(map(len, expected.values())) > 100


# Idle


def test_a_quiet_source_holds_nobody_up_for_longer_than_it_may() -> None:
    graph, out = Graph("idle"), CollectingSink[str]()
    busy: list[Any] = [100]
    for number in range(1, 30):
        busy += [PAUSE(5), 100 + 5 * number]
    first = graph.read("busy", scripted(*busy)).event_time(float, unit="s", idle_after=40)
    quiet = graph.read("quiet", scripted(90, PAUSE(90), 170, PAUSE(100)))
    second = quiet.event_time(float, unit="s", idle_after=40)
    marks: list[tuple[float, str]] = []

    class Noting(Lines):
        def on_watermark(self, at: float) -> Iterable[str]:
            marks.append((asyncio.get_running_loop().time(), f"{at:g}"))
            return ()

    first.union(second).via("lines", Noting(), volatile=True).to("out", out)
    _run(graph)
    # For 40 s both are waited for, then the other goes on alone; from 90 s on, again both.
    assert marks[0] == (0.0, "90")
    assert {at for at, _ in marks[1:] if at < 130} == {40.0 + 5 * number for number in range(10)}
    assert all(at - 5 <= float(mark) - 100 <= at for at, mark in marks[1:])
    assert [at for at, _ in marks if at >= 130][:3] == [130.0, 130.0, 135.0]


def test_a_source_from_which_nothing_ever_comes_is_not_waited_for_for_ever() -> None:
    graph, out = Graph("silent"), CollectingSink[str]()
    first = graph.read("first", scripted(1, PAUSE(10), 2, PAUSE(100))).event_time(float, unit="s")
    second = graph.read("second", scripted(PAUSE(200), 5)).event_time(float, unit="s")
    first.union(second).via("lines", Lines(), volatile=True).to("out", out)
    _run(graph)
    assert out.records == ["1 at 1", "2 at 2", "mark 2", "5 at 5", "mark 5", "end"]


def test_without_a_limit_it_is_waited_for() -> None:
    graph, out = Graph("silent"), CollectingSink[str]()
    first = graph.read("first", scripted(1, PAUSE(10), 2, PAUSE(1e6)))
    second = graph.read("second", scripted(PAUSE(2e6), 5))
    streams = [s.event_time(float, unit="s", idle_after=None) for s in (first, second)]
    streams[0].union(streams[1]).via("lines", Lines(), volatile=True).to("out", out)
    _run(graph)
    assert out.records == ["1 at 1", "2 at 2", "5 at 5", "mark 5", "end"]


def test_back_pressure_makes_no_lane_idle() -> None:
    """While a sink takes hours, both lanes have something to say and nobody to hear it."""

    class Slow(CollectingSink[Any]):
        timeout = 10_000.0

        async def write(self, records: Sequence[Any]) -> None:
            await asyncio.sleep(3600)

    graph, out = Graph("slow", max_batch_size=2000, channel_batches=1), CollectingSink[str]()
    reads: list[Any] = []
    for number in range(20):
        # So many that the watermark is told before the other lane is heard.
        reads += [("a", [1000 + number] * 1500), ("b", [number])]
    timed = graph.read("laned", Laned(*reads)).event_time(float, unit="s", idle_after=10)
    lines = timed.via("lines", Lines(), volatile=True)
    lines.filter(lambda line: line.startswith("mark")).to("out", out)
    timed.to("slow", Slow())
    _run(graph)
    # The first read alone was known at first; after that the slower lane is waited for.
    assert [line for line in out.records if line != "mark 1000"] == []


def test_a_drain_goes_through_an_idle_wait() -> None:
    async def main() -> list[str]:
        graph, out = Graph("drained"), CollectingSink[str]()
        numbers = graph.read("numbers", scripted(1, PAUSE(1e6), 2))
        numbers.event_time(float, unit="s").via("lines", Lines(), volatile=True).to("out", out)
        async with graph.start() as job:
            await asyncio.sleep(100)
            await job.drain()
        assert asyncio.get_running_loop().time() == 100
        return out.records

    assert run_virtual(main) == ["1 at 1", "mark 1", "end"]


# The guard, units and zones, and errors


def test_one_record_from_the_future_moves_nothing() -> None:
    out, late, failed, _ = _lines((10, 4_000_000_000, 11, PAUSE(1), 12))
    assert [line for line in out if " at " in line] == ["10 at 10", "11 at 11", "12 at 12"]
    assert late == []
    (letter,) = failed
    assert (letter.record, letter.origin) == (4_000_000_000, Origin("numbers", "", 1))
    assert letter.error.type == "DataError"
    assert "2096-10-02T07:06:40Z is" in letter.error.message
    assert "ahead of the clock of this machine" in letter.error.message


def test_how_far_ahead_a_record_may_be_can_be_said() -> None:
    out, _, failed, _ = _lines((10, 4_000_000_000), max_ahead=None)
    assert "4000000000 at 4e+09" in out
    assert failed == []
    now = datetime.now(UTC).timestamp()
    for ahead, refused in ((3500, 0), (3700, 1)):
        _, _, failed, _ = _lines((now, now + ahead), max_ahead="1h")
        assert len(failed) == refused


def test_a_unit_that_is_wrong_from_the_start_fails_the_job() -> None:
    with pytest.raises(JobFailed) as info:
        _lines((1424686735090, 1424686735292))
    assert (
        "'time' cannot tell the time on numbers, record 0: MisconfiguredError: 1424686735090 read "
        "as s is in the year 47116; as ms it is 2015-02-23T10:18:55Z: say unit='ms'"
        in str(info.value)
    )
    assert f"{__file__}:" in str(info.value)


def test_a_number_without_a_unit_fails_the_job() -> None:
    with pytest.raises(JobFailed, match="does not say its unit; as s it is 2015"):
        _lines((1424686735,), unit=None)


def test_a_unit_that_is_wrong_in_one_record_is_that_records_fault() -> None:
    values = (1424686735, 1424686736092, 1424686737)
    out, _, failed, _ = _lines(values)
    assert [line for line in out if " at " in line] == [f"{n} at {n:g}" for n in values[::2]]
    assert "say unit='ms'" in failed[0].error.message


def test_bad_records_before_the_first_good_one_hide_no_wrong_unit() -> None:
    with pytest.raises(JobFailed, match="say unit='ms'"):
        _lines((None, math.nan, 1424686735090))


@pytest.mark.parametrize("max_batch_size", [1, 3, 100])
def test_what_is_no_time_is_a_dead_letter_and_each_record_is_asked_once(
    max_batch_size: int,
) -> None:
    asked: list[Any] = []

    def when(value: Any) -> Any:
        asked.append(value)
        if value == "broken":
            raise KeyError("at")
        return value

    graph = Graph("bad", max_batch_size=max_batch_size)
    values = [1, math.nan, "broken", None, 2, True, "broken", 3, math.inf, 1]
    out, failed, late = CollectingSink[Any](), CollectingSink[DeadLetter](), CollectingSink[Any]()
    timed = graph.read("values", scripted(*values)).event_time(when, unit="s")
    timed.to("out", out)
    timed.late.to("late", late)
    graph.failed.to("failed", failed)
    progress = _run(graph)
    assert out.records == [1, 2, 3]
    assert late.records == [1]
    assert [one.origin and one.origin.position for one in failed.records] == [1, 2, 3, 5, 6, 8]
    assert [one.error.type for one in failed.records] == [
        "DataError", "KeyError", "DataError", "DataError", "KeyError", "DataError",
    ]  # fmt: skip
    assert len(asked) == len(values)
    assert progress.read == progress.settled == 10


def test_when_nothing_has_a_time_it_is_not_the_data() -> None:
    with pytest.raises(JobFailed, match="60 records in a row have failed"):
        _lines([0, *([None] * 60)], fail_after=50)


# Watermarks cost little


def test_small_batches_that_wait_together_get_one_watermark() -> None:
    graph, out = Graph("small", max_batch_size=1), CollectingSink[str]()
    numbers = graph.read("numbers", scripted(*range(5000)))
    numbers.event_time(float, unit="s").via("lines", Lines(), volatile=True).to("out", out)
    _run(graph)
    marks = [line for line in out.records if line.startswith("mark")]
    assert marks[-1] == "mark 4999"
    assert len(marks) < 500
    assert [line for line in out.records if " at " in line] == [f"{n} at {n}" for n in range(5000)]


def test_a_watermark_of_the_source_is_not_that_of_the_time_that_is_told_here() -> None:
    out, _, _, _ = _lines((10, Watermark(1e9), 12, PAUSE(1)))
    assert [line for line in out if line.startswith("mark")] == ["mark 10", "mark 12"]


# Where times go


def _through(build: Callable[[Stream[int]], Stream[Any]], *, fuse: bool = True) -> list[str]:
    graph, out = Graph("through", max_batch_size=7, fuse=fuse), CollectingSink[str]()
    timed = graph.read("numbers", scripted(*range(40))).event_time(float, unit="s", lateness=100)
    build(timed).via("lines", Lines(), volatile=True).to("out", out)
    _run(graph)
    return [line for line in out.records if " at " in line]


async def _later(number: int) -> int:
    await asyncio.sleep(0.01 * (number % 3))
    return number


THROUGH: list[Callable[[Stream[int]], Stream[int]]] = [
    lambda s: s.map(lambda n: n).filter(lambda n: n % 3).map(lambda n: n),
    lambda s: s.flat_map(lambda n: [n] * (n % 4)),
    lambda s: s.filter(lambda n: n % 2).flat_map(lambda n: [n] * (n % 4)).filter(bool),
    lambda s: s.batch(5).filter(lambda n: n % 3).batch(11, linger=None),
    lambda s: s.map(_later, max_in_flight=4),
    lambda s: s.map(_later, max_in_flight=4, ordered=False),
    lambda s: s.filter(_later, max_in_flight=2).batch(3),
    lambda s: (lambda p: p.matching.union(p.rest))(s.split(lambda n: n % 3 == 0)),
    lambda s: s.union(s.map(lambda n: n)).filter(lambda n: n % 5),
]


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("build", THROUGH, ids=range(9))
def test_a_record_keeps_its_time_through_everything(
    build: Callable[[Stream[int]], Stream[Any]], fuse: bool
) -> None:
    lines = _through(build, fuse=fuse)
    assert len(lines) >= 20
    assert all(line.split(" at ")[0] == line.split(" at ")[1] for line in lines)


def test_what_memory_makes_has_a_time_again_below_another_event_time() -> None:
    class Echo(Operator[int, int]):
        """Says a record again, later: from its memory, so no source stands behind it."""

        def __init__(self) -> None:
            self.kept: KeyedState[int, int] = KeyedState()

        def process(self, record: int) -> Iterable[int]:
            self.kept[record] = record
            return ()

        def on_end(self) -> Iterator[int]:
            yield from self.kept.values()

    graph, out, failed = Graph("echo"), CollectingSink[str](), CollectingSink[DeadLetter]()
    late = CollectingSink[int]()
    numbers = graph.read("numbers", scripted(3, 9, 1, 12))

    def when(record: int) -> float:
        if record == 9:
            raise ValueError("nine")
        return record

    again = numbers.via("echo", Echo(), volatile=True).event_time(when, unit="s")
    again.via("lines", Lines(), volatile=True).to("out", out)
    again.late.to("late", late)
    graph.failed.to("failed", failed)
    _run(graph)
    assert out.records == ["3 at 3", "12 at 12", "mark 12", "end"]
    assert late.records == [1]
    assert [(letter.record, letter.origin) for letter in failed.records] == [(9, None)]


# Across a restart


def _restarted(store: MemoryStore, source: Any, **options: Any) -> tuple[list[str], list[Any]]:
    graph, out, late = Graph("kept"), CollectingSink[str](), CollectingSink[Any]()
    options = {"unit": "s"} | options
    timed = graph.read("numbers", source).event_time(float, name="time", **options)
    timed.via("lines", Lines()).to("out", out)
    timed.late.to("late", late)
    job = graph.start(state=State(store, interval=1000.0))

    async def main() -> None:
        async with job:
            await job.wait()

    with contextlib.suppress(JobFailed):
        run_virtual(main)
    return out.records, late.records


def test_how_far_each_lane_has_come_is_part_of_an_epoch() -> None:
    store = MemoryStore()
    source = scripted(10, 50, 44, CHECKPOINT, CRASH, 44, 46, PAUSE(1), 60)
    _, late = _restarted(store, source, lateness=5)
    assert late == [44]
    lines, late = _restarted(store, source, lateness=5)
    assert late == [44]
    # What was told before is told again, for who reads several streams.
    assert lines == ["mark 45", "46 at 46", "60 at 60", "mark 55", "end"]


def test_suspending_is_not_ending_and_an_operator_goes_on_by_the_same_watermark() -> None:
    class Late(Operator[float, str]):
        """Refuses what is older than the watermark it has heard, also before a restart."""

        async def open(self, context: Context) -> None:
            self.reached = -math.inf

        def process(self, record: float) -> Iterable[str]:
            raise TypeError("process_at is called")

        def process_at(self, record: float, at: float) -> Iterable[str]:
            if at < self.reached:
                raise LateError("late")
            return [f"{record:g}"]

        def on_watermark(self, at: float) -> Iterable[str]:
            self.reached = max(self.reached, at)
            return [f"mark {at:g}"]

        def on_end(self) -> Iterable[str]:
            return ["end"]

        def snapshot(self) -> bytes:
            return str(self.reached).encode()

        def restore(self, data: bytes) -> None:
            self.reached = float(data)

    store = MemoryStore()
    out, late = CollectingSink[str](), CollectingSink[float]()

    def build() -> Graph:
        graph = Graph("suspended")
        # Two lanes; b is not known before the restart, and older than what was told.
        source = Seeking(("a", [100, 110]), PAUSE_HERE, ("b", [20, 130]), ("a", [120]))
        timed = graph.read("laned", source).event_time(float, unit="s", lateness=5)
        op = timed.via("op", Late())
        op.to("out", out)
        op.late.to("late", late)
        return graph

    async def first() -> None:
        async with build().start(state=State(store, interval=1000.0)):
            await asyncio.sleep(5)

    async def second() -> None:
        async with build().start(state=State(store, interval=1000.0)) as job:
            await job.wait()

    run_virtual(first)
    assert out.records == ["100", "110", "mark 105"]
    run_virtual(second)
    assert late.records == [20]
    assert out.records[3:] == ["mark 105", "130", "120", "mark 115", "end"]


PAUSE_HERE = 1e6
"""Longer than the first job lives."""


class Seeking(Laned):
    """Goes on behind the reads that were read before, with no pause."""

    async def seek(self, bookmarks: Any) -> None:
        left: list[tuple[str, Sequence[Any]] | float] = []
        for read in self.left:
            if isinstance(read, tuple):
                lane, records = read
                mark = bookmarks.get(lane)
                first = self.next[lane]
                if mark is not None and mark.last >= first + len(records) - 1:
                    self.next[lane] += len(records)
                    continue
                left.append(read)
        self.left = left
