"""How an Operator is run: records, timers, signals, memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from thalweg import Context, DeadLetter, Graph, JobFailed, KeyedState, Operator
from thalweg.runtime.job import Job
from thalweg.runtime.signals import Barrier, Watermark
from thalweg.testing import PAUSE, CollectingSink, ScriptedSource, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Reminder(Operator[float, str]):
    """Says a record again so many seconds after it came."""

    def __init__(self, wall: list[float]) -> None:
        self.wall = wall

    async def open(self, context: Context) -> None:
        self.due: list[float] = []
        self.loop = asyncio.get_running_loop()

    def process(self, record: float) -> Iterator[str]:
        now = self.wall[0] + self.loop.time()
        self.due = sorted([*self.due, now + record])
        yield f"{self.loop.time():g}: got {record:g}"

    def wake_at(self) -> float | None:
        return self.due[0] if self.due else None

    def on_wake(self, now: float) -> Iterator[str]:
        assert now >= self.due[0]
        self.due.pop(0)
        yield f"{self.loop.time():.1f}: woken"

    def on_end(self) -> Iterator[str]:
        yield f"end with {len(self.due)} due"

    def snapshot(self) -> bytes:
        return b""


def _run(job: Job | Graph, *, seed: int | None = None) -> None:
    async def main() -> None:
        async with job.start() if isinstance(job, Graph) else job as running:
            await running.wait()

    run_virtual(main, seed=seed)


def test_timers_fire_on_time_and_before_records_that_come_later() -> None:
    wall = [0.0]
    graph, out = Graph("timers"), CollectingSink[str]()
    source = scripted(3.0, PAUSE(1), 1.0, PAUSE(7), 0.5, 2.0)
    graph.read("numbers", source).via("reminder", Reminder(wall), volatile=True).to("out", out)

    async def main() -> None:
        async with graph.start() as job:
            clock = job._clock  # pyright: ignore[reportPrivateUsage]
            assert clock is not None
            wall[0] = clock.started
            await job.wait()

    run_virtual(main)
    assert out.records == [
        "0: got 3",
        "1: got 1",
        "2.0: woken",
        "3.0: woken",
        "8: got 0.5",
        "8: got 2",
        "end with 2 due",
    ]


def test_an_hour_of_timers_takes_as_many_wake_ups() -> None:
    class Ticking(Operator[int, float]):
        async def open(self, context: Context) -> None:
            self.at: float | None = None
            self.ticks = 0

        def process(self, record: int) -> list[float]:
            return []

        def wake_at(self) -> float | None:
            return self.at if self.at is not None else 0.0

        def on_wake(self, now: float) -> list[float]:
            self.ticks += 1
            self.at = now + 60
            return [now]

        def snapshot(self) -> bytes:
            return b""

    graph, out = Graph("ticks"), CollectingSink[float]()
    numbers = graph.read("numbers", scripted(0, PAUSE(3599), 1))
    numbers.via("ticks", Ticking(), volatile=True).to("out", out)
    _run(graph)
    assert len(out.records) == 60
    steps = [b - a for a, b in zip(out.records, out.records[1:], strict=False)]
    assert steps == pytest.approx([60.0] * 59)


def test_a_failure_of_a_timer_fails_the_job_and_names_the_line() -> None:
    class Broken(Operator[int, int]):
        def process(self, record: int) -> list[int]:
            return [record]

        def on_end(self) -> Iterator[int]:
            raise KeyError("lost")

        def snapshot(self) -> bytes:
            return b""

    graph = Graph("broken")
    graph.read("numbers", scripted(1)).via("op", Broken(), volatile=True).to(
        "out", CollectingSink()
    )
    with pytest.raises(JobFailed, match=r"'op' failed.*KeyError.*test_operator_actor.py:\d+ in on"):
        _run(graph)


class Counting(Operator[str, tuple[str, int]]):
    """Two kinds of memory."""

    def __init__(self) -> None:
        self.counts: KeyedState[str, int] = KeyedState()

    async def open(self, context: Context) -> None:
        self.total = 0

    def process(self, record: str) -> Iterator[tuple[str, int]]:
        self.counts[record] = self.counts.get(record, 0) + 1
        self.total += 1
        yield record, self.counts[record]

    def on_end(self) -> Iterator[tuple[str, int]]:
        yield "total", self.total

    def snapshot(self) -> bytes:
        return str(self.total).encode()

    def restore(self, data: bytes) -> None:
        self.total = int(data)


def test_what_is_saved_at_a_barrier_is_there_after_a_restore() -> None:
    saved: dict[int, dict[str, bytes]] = {}
    graph, out = Graph("saved", max_batch_size=2), CollectingSink[tuple[str, int]]()
    source = scripted("a", "b", "a", Barrier(1), "b", "c", Barrier(2), "a")
    graph.read("words", source).via("counting", Counting(), volatile=True).to("out", out)

    def save(epoch: int, node: str, memory: dict[str, bytes]) -> None:
        assert node == "counting"
        assert set(memory) == {"counts", "operator"}
        saved[epoch] = memory

    _run(Job(graph.plan(), on_snapshot=save))
    assert out.records[-1] == ("total", 6)

    after: list[tuple[str, int]] = []
    for epoch, words in ((1, ["b", "c", "a"]), (2, ["a"])):
        graph, out = Graph("restored"), CollectingSink[tuple[str, int]]()
        graph.read("words", scripted(*words)).via("counting", Counting(), volatile=True).to(
            "out", out
        )
        _run(Job(graph.plan(), restored={"counting": saved[epoch]}))
        after = out.records
        assert after[-1] == ("total", 6)
        assert after[-2] == ("a", 3)


def test_each_job_has_keyed_memory_of_its_own() -> None:
    graph, out = Graph("own"), CollectingSink[tuple[str, int]]()
    operator = Counting()
    graph.read("words", scripted("a", "b", "a")).via("counting", operator, volatile=True).to(
        "out", out
    )
    _run(graph)
    _run(graph)
    assert out.records[:4] == out.records[4:]
    assert dict(operator.counts) == {}


def test_watermarks_and_the_end_reach_an_operator_in_their_place() -> None:
    class Noting(Operator[int, str]):
        def process(self, record: int) -> list[str]:
            return [str(record)]

        def on_watermark(self, at: float) -> list[str]:
            return [f"mark {at:g}"]

        def on_end(self) -> list[str]:
            return ["end"]

        def snapshot(self) -> bytes:
            return b""

    graph, out = Graph("marks"), CollectingSink[str]()
    numbers = graph.read("numbers", scripted(1, Watermark(1.0), 2, 3, Watermark(2.0)))
    numbers.via("noting", Noting(), volatile=True).to("out", out)
    _run(graph)
    assert out.records == ["1", "mark 1", "2", "3", "mark 2", "end"]


@pytest.mark.parametrize("max_batch_size", [1, 2, 100])
def test_a_record_that_fails_half_way_keeps_what_it_made_and_becomes_a_dead_letter(
    max_batch_size: int,
) -> None:
    class Half(Operator[int, tuple[int, int]]):
        def process(self, record: int) -> Iterator[tuple[int, int]]:
            for index in range(5):
                if record == 2 and index == 3:
                    raise ValueError("enough")
                yield record, index

    graph = Graph("half", max_batch_size=max_batch_size)
    out, failed = CollectingSink[tuple[int, int]](), CollectingSink[DeadLetter]()
    graph.read("numbers", scripted(1, 2, 3)).via("half", Half()).to("out", out)
    graph.failed.to("failed", failed)
    _run(graph)
    assert out.records == [(n, i) for n in (1, 2, 3) for i in range(5) if (n, i) < (2, 3) or n == 3]
    assert [(one.record, one.origin and one.origin.position) for one in failed.records] == [(2, 1)]


def test_one_record_may_make_any_number_in_batches_of_the_limit() -> None:
    sizes: list[int] = []

    class Many(Operator[int, int]):
        def process(self, record: int) -> Iterator[int]:
            yield from range(10_000)

    class Sizes(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            sizes.append(len(records))

    graph = Graph("many", max_batch_size=64)
    graph.read("numbers", scripted(1, 2)).via("many", Many()).to("out", Sizes())
    _run(graph)
    assert sum(sizes) == 20_000
    assert max(sizes) == 64


def test_memory_settles_what_it_absorbs_and_plain_operators_owe_it_on() -> None:
    class Keeping(Operator[int, int]):
        def process(self, record: int) -> list[int]:
            return []

        def snapshot(self) -> bytes:
            return b""

    class Passing(Operator[int, int]):
        def process(self, record: int) -> list[int]:
            return [record]

    class Never(CollectingSink[int]):
        async def write(self, records: object) -> None:
            await asyncio.Event().wait()

    async def main(operator: Operator[int, int], source: ScriptedSource[int]) -> int:
        graph = Graph("owed")
        numbers = graph.read("numbers", source)
        numbers.via("op", operator, volatile=True).to("out", Never())
        job = graph.start()
        await job.__aenter__()
        await asyncio.sleep(5)
        settled = job.progress().settled
        await job.cancel()
        return settled

    assert run_virtual(lambda: main(Keeping(), scripted(1, 2, PAUSE(100)))) == 2
    assert run_virtual(lambda: main(Passing(), scripted(1, 2, PAUSE(100)))) == 0
