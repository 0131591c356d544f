"""Several calls at once: order, the window, slow calls, time limits and signals as fences."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from thalweg import BatchFunction, DataError, DeadLetter, Graph, JobFailed, Operator, State
from thalweg.runtime.progress import Progress
from thalweg.runtime.signals import Watermark
from thalweg.testing import PAUSE, CollectingSink, MemoryStore, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def _run(graph: Graph, *, seed: int | None = None) -> Progress:
    async def main() -> Progress:
        async with graph.start() as job:
            await job.wait()
        return job.progress()

    return run_virtual(main, seed=seed)


class Gauge:
    """How many calls run, and how many are begun beyond the first that has not come out."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.seconds = seconds
        self.running = self.most_running = 0
        self.begun = 0

    async def __call__(self, number: int) -> int:
        self.running += 1
        self.begun += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.seconds(number))
        finally:
            self.running -= 1
        return number


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", [None, 1])
def test_as_many_calls_run_as_allowed_and_the_order_is_as_told(
    ordered: bool, seed: int | None
) -> None:
    gauge = Gauge(lambda number: 1.0 / (1 + number % 7))
    graph, out = Graph("calls", max_batch_size=10), CollectingSink[int]()
    numbers = graph.read("numbers", scripted(*range(100)))
    numbers.map(gauge, max_in_flight=5, ordered=ordered).to("out", out)
    _run(graph, seed=seed)
    assert sorted(out.records) == list(range(100))
    assert (out.records == list(range(100))) is ordered
    assert gauge.most_running == 5


@pytest.mark.parametrize("ordered", [True, False])
def test_the_window_is_four_times_as_wide_as_what_runs(ordered: bool) -> None:
    gauge = Gauge(lambda number: 50.0 if number == 0 else 0.1)
    graph, out = Graph("window", max_batch_size=7), CollectingSink[int]()
    numbers = graph.read("numbers", scripted(*range(200)))
    numbers.map(gauge, max_in_flight=3, ordered=ordered).to("out", out)

    async def main() -> tuple[int, int]:
        async with graph.start() as job:
            await asyncio.sleep(49)
            begun = gauge.begun
            held = job.progress().node("map_1").in_flight
            await job.wait()
        return begun, held

    begun, held = run_virtual(main)
    if ordered:
        # All that came after the slow one waits for it, and nothing more is begun.
        assert begun == 12
        assert held <= 12 + 7
    else:
        assert begun == 200
        assert held == 1


def test_batches_of_a_function_keep_to_the_window_too() -> None:
    begun = 0

    async def slow_first(records: list[int]) -> list[int]:
        nonlocal begun
        begun += 1
        await asyncio.sleep(50.0 if records[0] == 0 else 0.1)
        return records

    graph, out = Graph("window"), CollectingSink[int]()
    numbers = graph.read("numbers", scripted(*range(200)))
    numbers.batch(5).map_batch(slow_first, max_in_flight=2).to("out", out)

    async def main() -> int:
        async with graph.start() as job:
            await asyncio.sleep(49)
            count = begun
            await job.wait()
        return count

    assert run_virtual(main) == 8
    assert out.records == list(range(200))


def test_a_slow_call_in_a_hundred_does_not_idle_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As shares of the rate of calls that never wait for one another."""
    chance = random.Random(1)
    slow = {number for number in range(5_000) if chance.random() < 0.01}

    def share() -> float:
        gauge = Gauge(lambda number: 0.1 if number in slow else 0.01)
        graph, out = Graph("slow"), CollectingSink[int]()
        numbers = graph.read("numbers", scripted(*range(5_000)))
        numbers.map(gauge, max_in_flight=16).to("out", out)
        seconds = _run(graph).seconds
        assert out.records == list(range(5_000))
        return ((5_000 - len(slow)) * 0.01 + len(slow) * 0.1) / 16 / seconds

    wide = share()
    monkeypatch.setattr("thalweg.runtime.actors.window._AHEAD", 1)
    narrow = share()
    assert wide > 0.6
    assert wide > 1.25 * narrow


@pytest.mark.parametrize("kind", ["map", "map_batch", "function"])
@pytest.mark.parametrize("swallows", [False, True])
def test_a_call_that_never_returns_is_named_and_the_others_go_on(kind: str, swallows: bool) -> None:
    async def stuck(number: int) -> int:
        if number != 5:
            return number
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not swallows:
                raise
        await asyncio.sleep(1000)
        return -1

    async def stuck_batch(records: list[int]) -> list[int]:
        return [await stuck(record) for record in records]

    class Stuck(BatchFunction[int, int]):
        timeout = 2.0

        async def call(self, records: Sequence[int]) -> list[int]:
            return await stuck_batch(list(records))

    graph, out = Graph("stuck", max_batch_size=3), CollectingSink[int]()
    failed = CollectingSink[DeadLetter]()
    numbers = graph.read("numbers", scripted(*range(12)))
    match kind:
        case "map":
            stream = numbers.map(stuck, name="calls", timeout=2.0)
        case "map_batch":
            stream = numbers.map_batch(stuck_batch, name="calls", timeout=2.0)
        case _:
            stream = numbers.via("calls", Stuck())
    stream.to("out", out)
    graph.failed.to("failed", failed)
    progress = _run(graph)
    bad = [5] if kind == "map" else [3, 4, 5]
    assert out.records == [number for number in range(12) if number not in bad]
    assert [str(letter) for letter in failed.records] == [
        f"calls on numbers, record {number}: TimeoutError: the call has not returned within 2 s "
        "(timeout=…)"
        for number in bad
    ]
    assert progress.seconds < 20


def test_a_call_that_never_returns_fails_a_job_without_a_failed_port_by_name() -> None:
    async def stuck(number: int) -> int:
        await asyncio.Event().wait()
        return number

    graph = Graph("stuck")
    graph.read("numbers", scripted(1, 2)).map(stuck, name="calls", timeout=2.0).to(
        "out", CollectingSink()
    )
    with pytest.raises(JobFailed, match=r"calls on numbers, record 0: TimeoutError.* 2 s") as info:
        _run(graph)
    assert info.value.node == "calls"


def test_a_call_that_is_cancelled_from_inside_is_an_error_of_its_record() -> None:
    async def broken(number: int) -> int:
        if number == 3:
            inner = asyncio.ensure_future(asyncio.sleep(10))
            asyncio.get_running_loop().call_soon(inner.cancel)
            await inner
        return number

    graph, out, failed = Graph("inner"), CollectingSink[int](), CollectingSink[DeadLetter]()
    graph.read("numbers", scripted(*range(10))).map(broken, max_in_flight=2).to("out", out)
    graph.failed.to("failed", failed)
    progress = _run(graph)
    assert out.records == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert [letter.record for letter in failed.records] == [3]
    assert progress.seconds < 1


def test_dead_letters_of_batches_name_the_bad_record_and_keep_the_others() -> None:
    class Odd(BatchFunction[int, int]):
        repeatable = True
        max_in_flight = 3

        async def call(self, records: Sequence[int]) -> list[int]:
            await asyncio.sleep(0.1 / (1 + records[0]))
            for record in records:
                if record % 7 == 6:
                    raise DataError(f"{record} is odd")
            return [-record for record in records]

    graph, out, failed = Graph("odd"), CollectingSink[int](), CollectingSink[DeadLetter]()
    numbers = graph.read("numbers", scripted(*range(50)))
    numbers.filter(lambda n: n % 2 == 0).batch(8).via("odd", Odd()).to("out", out)
    graph.failed.to("failed", failed)
    _run(graph)
    bad = [6, 20, 34, 48]
    assert out.records == [-n for n in range(0, 50, 2) if n not in bad]
    origins = [letter.origin for letter in failed.records]
    assert [origin.position for origin in origins if origin] == bad
    assert [letter.attempts > 1 for letter in failed.records] == [True, True, True, False]


# Signals


class Noting(Operator[int, str]):
    """Makes of signals records that one can see."""

    async def open(self, context: object) -> None:
        self.seen: list[str] = []

    def process(self, record: int) -> Iterator[str]:
        yield str(record)

    def on_watermark(self, at: float) -> Iterator[str]:
        yield f"watermark {at:g}"

    def on_end(self) -> Iterator[str]:
        yield "end"

    def snapshot(self) -> bytes:
        return b""


@pytest.mark.parametrize("kind", ["map", "map_batch", "function"])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_signals_are_fences_even_where_results_may_overtake(
    kind: str, ordered: bool, seed: int | None
) -> None:
    async def jittered(number: int) -> int:
        await asyncio.sleep((0.5, 0.1, 0.0, 0.3)[number % 4])
        return number

    async def jittered_batch(numbers: list[int]) -> list[int]:
        await jittered(numbers[0])
        return numbers

    class Jittered(BatchFunction[int, int]):
        max_in_flight = 4

        async def call(self, records: Sequence[int]) -> list[int]:
            return await jittered_batch(list(records))

    values: list[int | Watermark] = []
    for number in range(30):
        values.append(number)
        if number % 5 == 4:
            values.append(Watermark(float(number)))
    graph, out = Graph("fences", max_batch_size=2), CollectingSink[str]()
    numbers = graph.read("numbers", scripted(*values))
    function = Jittered()
    function.ordered = ordered
    match kind:
        case "map":
            stream = numbers.map(jittered, max_in_flight=4, ordered=ordered)
        case "map_batch":
            stream = numbers.map_batch(jittered_batch, max_in_flight=4, ordered=ordered)
        case _:
            stream = numbers.via("calls", function)
    stream.via("noting", Noting(), volatile=True).to("out", out)

    async def main() -> None:
        async with graph.start() as job:
            await job.wait()

    run_virtual(main, seed=seed)
    assert out.records[-1] == "end"
    seen: list[str] = []
    for number in range(0, 30, 5):
        part = out.records[len(seen) : len(seen) + 5]
        assert sorted(part, key=int) == [str(n) for n in range(number, number + 5)]
        if ordered:
            assert part == sorted(part, key=int)
        seen += part
        assert out.records[len(seen)] == f"watermark {number + 4}"
        seen.append("watermark")


def test_watermarks_take_no_room_among_the_calls_and_the_last_of_several_stands_for_all() -> None:
    started: list[tuple[float, int]] = []

    async def one_is_slow(number: int) -> int:
        started.append((asyncio.get_running_loop().time(), number))
        await asyncio.sleep(10.0 if number == 0 else 0.5)
        return number

    values: list[int | Watermark] = []
    for number in range(20):
        values += [number, Watermark(number - 0.5), Watermark(float(number))]
    graph, out = Graph("marks", max_batch_size=1), CollectingSink[str]()
    numbers = graph.read("numbers", scripted(*values)).map(one_is_slow, max_in_flight=2)
    numbers.via("noting", Noting(), volatile=True).to("out", out)
    _run(graph)
    # Four times as many as run may be started and not emitted, however many marks stand between.
    assert len([number for at, number in started if at < 10.0]) == 8
    lines = [line for n in range(20) for line in (f"{n}", f"watermark {n}")]
    assert [line for line in out.records if not line.endswith(".5")] == [*lines, "end"]
    assert len([line for line in out.records if line.endswith(".5")]) < 5


def test_a_barrier_waits_behind_work_in_flight() -> None:
    taken: list[tuple[float, int]] = []
    finished: list[float] = []

    async def slow(number: int) -> int:
        await asyncio.sleep(10.0)
        finished.append(asyncio.get_running_loop().time())
        return number

    class Saving(Noting):
        def snapshot(self) -> bytes:
            taken.append((asyncio.get_running_loop().time(), len(finished)))
            return b""

    graph, out = Graph("barrier"), CollectingSink[str]()
    numbers = graph.read("numbers", scripted(1, 2, 3, PAUSE(1), 4, PAUSE(100), 5))
    numbers.map(slow, max_in_flight=2).via("noting", Saving()).to("out", out)

    async def main() -> None:
        async with graph.start(state=State(MemoryStore(), interval=1000.0)) as job:
            await asyncio.sleep(0.5)
            await job.checkpoint()
            await job.wait()

    run_virtual(main)
    # 1 and 2 run, then 3 and 4: the barrier passes when 3 is done.
    ((at, done),) = taken
    assert at == 20.0
    assert 2 <= done <= 4
    assert finished[:4] == [10.0, 10.0, 20.0, 20.0]


def test_results_of_a_call_leave_at_once_and_not_when_the_next_input_comes() -> None:
    async def quick(number: int) -> int:
        await asyncio.sleep(0.1)
        return number

    arrived: list[float] = []

    async def note(number: int) -> int:
        arrived.append(asyncio.get_running_loop().time())
        return number

    graph = Graph("prompt")
    numbers = graph.read("numbers", scripted(1, 2, PAUSE(100), 3))
    numbers.map(quick, max_in_flight=2).map(note).to("out", CollectingSink())
    _run(graph)
    assert arrived == pytest.approx([0.1, 0.1, 100.1])
