"""How an Operator is run: records, timers, signals, memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from thalweg import Context, DeadLetter, Graph, JobFailed, KeyedState, Operator, State
from thalweg.runtime.contracts import LateError
from thalweg.runtime.job import Job
from thalweg.runtime.memory import Memory
from thalweg.runtime.progress import Progress
from thalweg.runtime.signals import Watermark
from thalweg.testing import (
    CHECKPOINT,
    CRASH,
    PAUSE,
    CollectingSink,
    MemoryStore,
    ScriptedSource,
    run_virtual,
    scripted,
)

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


def _run(job: Job | Graph, *, seed: int | None = None) -> Progress:
    async def main() -> Progress:
        async with job.start() if isinstance(job, Graph) else job as running:
            await running.wait()
        return running.progress()

    return run_virtual(main, seed=seed)


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
    store = MemoryStore()

    def start(*words: Any) -> list[tuple[str, int]]:
        graph, out = Graph("saved", max_batch_size=2), CollectingSink[tuple[str, int]]()
        graph.read("words", scripted(*words)).via("counting", Counting()).to("out", out)
        _run(graph.start(state=State(store, interval=1000.0)))
        return out.records

    before, then = ("a", "b", "a"), ("b", "c")
    with pytest.raises(JobFailed):
        start(*before, CHECKPOINT, *then, CRASH)
    assert start(*before, *then, "a")[-2:] == [("a", 3), ("total", 6)]
    store = MemoryStore()
    with pytest.raises(JobFailed):
        start(*before, CHECKPOINT, *then, CHECKPOINT, "d", CRASH)
    assert start(*before, *then, "a") == [("a", 3), ("total", 6)]


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


# Loops of an operator's own


class Looping(Operator[int, str]):
    """Works in a loop of its own; records below 0 are bad, and 7 makes several."""

    async def open(self, context: Context) -> None:
        self.calls = 0

    def process(self, record: int) -> Iterator[str]:
        raise TypeError("process_each is called")

    def process_each(self, records: Iterator[int], emit: Callable[[str], object]) -> None:
        self.calls += 1
        for record in records:
            if record % 3:
                emit(f"{record}")
            if record == 7:
                emit("7 again")
                emit("7 again")
            if record < 0:
                raise ValueError(f"{record} is negative")
            if record % 3 == 0:
                emit(f"{record}!")


def _looped(
    records: Sequence[int], *, max_batch_size: int, operator: Operator[int, str] | None = None
) -> tuple[list[str], list[DeadLetter], list[DeadLetter]]:
    graph = Graph("loop", max_batch_size=max_batch_size)
    out, failed = CollectingSink[str](), CollectingSink[DeadLetter]()
    refused = CollectingSink[DeadLetter]()

    def refuse(record: str) -> str:
        raise ValueError(record)

    made = graph.read("numbers", scripted(*records)).via("loop", operator or Looping())
    made.to("out", out)
    made.failed.to("failed", failed)
    # What each output came from shows in the dead letters of the next node.
    refuses = made.map(refuse, name="refuse", fail_after=None)
    refuses.to("none", CollectingSink())
    refuses.failed.to("refused", refused)
    _run(graph)
    return out.records, failed.records, refused.records


@pytest.mark.parametrize("max_batch_size", [1, 2, 5, 1000])
def test_a_loop_goes_on_behind_a_bad_record_and_tells_which_record_made_what(
    max_batch_size: int,
) -> None:
    records = [1, 2, -3, 7, 9, -4, -6, 8, 7, -9]
    out, failed, refused = _looped(records, max_batch_size=max_batch_size)
    made = {
        position: [f"{record}"] * bool(record % 3)
        + ["7 again"] * (2 * (record == 7))
        + [f"{record}!"] * (record >= 0 and record % 3 == 0)
        for position, record in enumerate(records)
    }
    assert out == [text for texts in made.values() for text in texts]
    assert [letter.record for letter in failed] == [-3, -4, -6, -9]
    assert [one.origin and one.origin.position for one in failed] == [2, 5, 6, 9]
    assert [one.error.message for one in failed] == [f"{n} is negative" for n in (-3, -4, -6, -9)]
    assert [(one.record, one.origin and one.origin.position) for one in refused] == [
        (text, position) for position, texts in made.items() for text in texts
    ]


def test_a_loop_may_make_more_than_a_batch_holds() -> None:
    class Doubled(Looping):
        def process_each(self, records: Iterator[int], emit: Callable[[str], object]) -> None:
            for record in records:
                for _ in range(5):
                    emit(str(record))

    out, _, refused = _looped(range(100), max_batch_size=16, operator=Doubled())
    assert out == [str(n) for n in range(100) for _ in range(5)]
    assert [one.origin and one.origin.position for one in refused] == [
        n for n in range(100) for _ in range(5)
    ]


def test_a_loop_that_leaves_records_over_is_a_fault_of_the_operator() -> None:
    class Leaving(Looping):
        def process_each(self, records: Iterator[int], emit: Callable[[str], object]) -> None:
            emit(str(next(records)))

    with pytest.raises(JobFailed, match="'loop' has taken 1 of 2 records: its loop must go on"):
        _looped([1, 2], max_batch_size=2, operator=Leaving())


def test_a_loop_that_fails_with_no_record_in_its_hands_fails_the_job() -> None:
    class Broken(Looping):
        def process_each(self, records: Iterator[int], emit: Callable[[str], object]) -> None:
            raise KeyError("before the first")

    with pytest.raises(JobFailed, match="before the first"):
        _looped([1, 2], max_batch_size=2, operator=Broken())


# Times and late records


class Aged(Operator[int, tuple[int, float]]):
    """Makes pairs of records and their times; even numbers are late, above 90 they are bad."""

    def process(self, record: int) -> Iterator[tuple[int, float]]:
        raise TypeError("process_at is called")

    def process_at(self, record: int, at: float) -> Iterator[tuple[int, float]]:
        if record > 90:
            raise ValueError("large")
        if record % 2 == 0:
            raise LateError("even")
        yield record, at


class AgedInALoop(Aged):
    def process_each_at(
        self, pairs: Iterator[tuple[int, float]], emit: Callable[[tuple[int, float]], object]
    ) -> None:
        for record, at in pairs:
            for one in self.process_at(record, at):
                emit(one)


@pytest.mark.parametrize("max_batch_size", [1, 3, 1000])
@pytest.mark.parametrize("operator", [Aged(), AgedInALoop()])
def test_each_record_is_counted_late_or_bad_and_keeps_its_origin(
    operator: Aged, max_batch_size: int
) -> None:
    graph = Graph("aged", max_batch_size=max_batch_size)
    out, late = CollectingSink[tuple[int, float]](), CollectingSink[DeadLetter]()

    def refuse(record: int) -> int:
        raise ValueError("late")

    timed = graph.read("numbers", scripted(*range(100))).event_time(lambda n: n + 0.5, unit="s")
    aged = timed.filter(lambda n: n % 3).via("aged", operator)
    aged.to("out", out)
    aged.late.map(refuse, name="refuse", fail_after=None).to("none", CollectingSink())
    graph.failed.to("failed", late)
    progress = _run(graph)
    assert out.records == [(n, n + 0.5) for n in range(91) if n % 3 and n % 2]
    found = {(one.node, one.record, one.origin and one.origin.position) for one in late.records}
    assert found == {
        ("aged" if n > 90 else "refuse", n, n)
        for n in range(100)
        if n % 3 and (n > 90 or not n % 2)
    }
    assert progress.node("aged").late == len([n for n in range(91) if n % 3 and not n % 2])
    assert progress.node("aged").dead_letters == len([n for n in range(91, 100) if n % 3])
    assert progress.read == progress.settled == 100


def test_late_records_that_go_nowhere_are_dropped_and_settled() -> None:
    graph = Graph("dropped")
    timed = graph.read("numbers", scripted(*range(50))).event_time(float, unit="s")
    timed.via("aged", Aged()).to("out", CollectingSink())
    progress = _run(graph)
    assert progress.node("aged").late == 25
    assert progress.dead_letters == 0
    assert progress.read == progress.settled == 50


def test_late_is_an_error_like_others_where_no_times_are_asked_for() -> None:
    class Strict(Operator[int, int]):
        def process(self, record: int) -> list[int]:
            raise LateError("always")

    graph, failed = Graph("strict"), CollectingSink[DeadLetter]()
    graph.read("numbers", scripted(1)).via("strict", Strict()).to("out", CollectingSink())
    graph.failed.to("failed", failed)
    progress = _run(graph)
    assert [one.error.type for one in failed.records] == ["LateError"]
    assert progress.node("strict").late == 0


def test_by_the_clock_of_the_runtime_the_time_is_that_of_the_coming() -> None:
    class Coming(Operator[int, tuple[int, float]]):
        clock = "processing"

        def process(self, record: int) -> list[tuple[int, float]]:
            raise TypeError("process_at is called")

        def process_at(self, record: int, at: float) -> list[tuple[int, float]]:
            return [(record, at)]

    graph, out = Graph("coming"), CollectingSink[tuple[int, float]]()
    source = scripted(1, PAUSE(60), 2, 3, PAUSE(3600), 4)
    graph.read("numbers", source).via("coming", Coming()).to("out", out)
    _run(graph)
    began = out.records[0][1]
    assert [(n, at - began) for n, at in out.records] == [
        (1, 0.0),
        (2, pytest.approx(60)),
        (3, pytest.approx(60)),
        (4, pytest.approx(3660)),
    ]


def test_a_watermark_that_says_nothing_new_of_the_time_is_none_for_an_operator() -> None:
    class Marks(Operator[int, str]):
        def process(self, record: int) -> list[str]:
            return [str(record)]

        def on_watermark(self, at: float) -> list[str]:
            return [f"mark {at:g}"]

        def snapshot(self) -> bytes:
            return b""

    graph, out = Graph("marks"), CollectingSink[str]()
    values = (
        Watermark(float("-inf"), idle=True), 1, Watermark(5.0), Watermark(5.0, idle=True),
        Watermark(5.0), 2, Watermark(4.0), Watermark(6.0),
    )  # fmt: skip
    graph.read("numbers", scripted(*values)).via("marks", Marks(), volatile=True).to("out", out)
    _run(graph)
    assert out.records == ["1", "mark 5", "2", "mark 6"]


# Memory that grows old


class Remembering(Operator[str, tuple[str, list[str]]]):
    """Tells which words are remembered when one comes, and looks at each for a while."""

    def __init__(self) -> None:
        self.words: KeyedState[str, int] = KeyedState(ttl=10.0)

    def process(self, record: str) -> Iterator[tuple[str, list[str]]]:
        known = [one for one, count in self.words.items() if one in self.words and count]
        self.words[record] = 1
        yield record, known

    def on_end(self) -> Iterator[tuple[str, list[str]]]:
        yield "end", list(self.words)


def test_keys_grow_old_by_the_clock_of_the_job() -> None:
    out: CollectingSink[tuple[str, list[str]]] = CollectingSink()
    graph = Graph("aging")
    words = graph.read("words", scripted("a", PAUSE(6), "b", PAUSE(6), "c", PAUSE(6)))
    words.via("remember", Remembering(), volatile=True).to("out", out)
    _run(graph)
    assert out.records == [("a", []), ("b", ["a"]), ("c", ["b"]), ("end", ["c"])]


def test_no_key_grows_too_old_while_a_record_is_worked_on() -> None:
    """Real time goes on within a record; that of the keys does not."""
    ticks = iter(range(1_000_000))
    operator = Remembering()
    memory = Memory("remember", operator)
    memory.begin(lambda: float(next(ticks)))
    assert [known for _, known in operator.process("a")] == [[]]
    memory.look()
    for _ in range(30):
        assert "a" in operator.words
        assert operator.words["a"] == 1
        assert list(operator.words.items()) == [("a", 1)]
    for _ in range(10):
        memory.look()
    assert list(operator.words.values()) == []


class Noting(Operator[int, int]):
    """Keeps a record until the next has come, and tells how many keys have changed."""

    def __init__(self) -> None:
        self.values: KeyedState[int, int] = KeyedState()

    def process(self, record: int) -> Iterator[int]:
        self.values[record] = record
        if record:
            del self.values[record - 1]
        yield len(self.values.changed())


@pytest.mark.parametrize(("state", "told"), [(None, [0, 0, 0]), (State(MemoryStore()), [1, 2, 3])])
def test_changes_are_noted_only_where_there_is_a_store_for_them(
    state: State | None, told: list[int]
) -> None:
    graph, out = Graph("noting"), CollectingSink[int]()
    source = scripted(0, 1, 2)
    graph.read("numbers", source).via("noting", Noting(), volatile=state is None).to("out", out)
    _run(graph.start() if state is None else graph.start(state=state))
    assert out.records == told
