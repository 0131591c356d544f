"""How `batch` cuts a stream anew: by records, bytes, time, at signals, when sources starve."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from thalweg import Context, Graph, Operator, Sink, Source, State
from thalweg.runtime.job import Job
from thalweg.runtime.progress import Progress
from thalweg.runtime.signals import Watermark
from thalweg.testing import (
    CHECKPOINT,
    PAUSE,
    CollectingSink,
    MemoryStore,
    run_virtual,
    scripted,
)

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Arrivals(Sink[int]):
    """When what arrived, batch by batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, list[int]]] = []

    async def write(self, records: Sequence[int]) -> None:
        at = round(asyncio.get_running_loop().time(), 6)
        self.batches.append((at, list(records)))


def _run(graph: Graph | Job, *, seed: int | None = None) -> Progress:
    async def main() -> Progress:
        async with graph.start() if isinstance(graph, Graph) else graph as job:
            await job.wait()
        return job.progress()

    return run_virtual(main, seed=seed)


def test_a_partial_last_batch_goes_out_once_and_in_order() -> None:
    graph, out = Graph("end"), Arrivals()
    graph.read("numbers", scripted(*range(10))).batch(4, linger=None).to("out", out)
    _run(graph)
    assert [records for _, records in out.batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("max_batch_size", [1, 2, 5, 100])
@pytest.mark.parametrize("size", [1, 3, 7, 50, 5000])
def test_full_batches_do_not_depend_on_how_the_input_was_cut(
    max_batch_size: int, size: int
) -> None:
    graph, out = Graph("cut", max_batch_size=max_batch_size), Arrivals()
    graph.read("numbers", scripted(*range(100))).batch(size, linger=None).to("out", out)
    _run(graph)
    assert [records for _, records in out.batches] == [
        list(range(start, min(start + size, 100))) for start in range(0, 100, size)
    ]


def test_bytes_cut_a_batch_and_a_large_record_goes_alone() -> None:
    texts = ["a" * 100, "b" * 100, "c" * 100, "d" * 5000, "e" * 100, "f" * 100]

    class Texts(Sink[str]):
        batches: list[str] = []  # noqa: RUF012

        async def write(self, records: Sequence[str]) -> None:
            self.batches.append("".join(record[0] for record in records))

    graph, out = Graph("bytes"), Texts()
    out.batches.clear()
    graph.read("texts", scripted(*texts)).batch(max_batch_bytes=400, linger=None).to("out", out)
    _run(graph)
    assert out.batches == ["ab", "c", "d", "ef"]


def test_a_batch_lingers_from_its_first_record_on() -> None:
    graph, out = Graph("linger"), Arrivals()
    values: list[int | PAUSE] = []
    for number in range(8):
        values += [number, PAUSE(0.3)]
    graph.read("numbers", scripted(*values)).batch(100, linger=1.0).to("out", out)
    _run(graph)
    # 0 comes at 0.0 and 4 at 1.2: each later record does not prolong the time.
    assert out.batches == [(1.0, [0, 1, 2, 3]), (2.2, [4, 5, 6, 7])]


def test_a_batch_that_fills_before_its_time_begins_the_next_time_anew() -> None:
    graph, out = Graph("linger"), Arrivals()
    values = (0, PAUSE(0.9), 1, PAUSE(0.3), 2, PAUSE(5), 3)
    graph.read("numbers", scripted(*values)).batch(2, linger=1.0).to("out", out)
    _run(graph)
    assert out.batches == [(0.9, [0, 1]), (2.2, [2]), (6.2, [3])]


@pytest.mark.parametrize("seed", range(8))
def test_time_and_size_at_the_same_moment_send_each_record_once(seed: int) -> None:
    graph, out = Graph("race"), Arrivals()
    values: list[int | PAUSE] = []
    for number in range(60):
        # Every record comes at a moment at which a batch's time is up.
        values += [number, PAUSE(0.5)]
    graph.read("numbers", scripted(*values)).batch(2, linger=0.5).to("out", out)
    progress = _run(graph, seed=seed)
    assert [record for _, records in out.batches for record in records] == list(range(60))
    assert all(len(records) <= 2 for _, records in out.batches)
    assert progress.read == progress.settled == 60


def test_time_is_kept_while_input_never_stops() -> None:
    """On real time: with input always there, nothing may rely on waiting for it."""

    class Firehose(Source[int]):
        async def open(self, context: Context) -> None:
            self.until = time.monotonic() + 60

        async def read(self, limit: int) -> list[int] | None:
            enough = len(Times.written) >= 3 or time.monotonic() > self.until
            return None if enough else [0] * limit

    class Times(Sink[int]):
        written: list[float] = []  # noqa: RUF012

        async def write(self, records: Sequence[int]) -> None:
            self.written.append(time.monotonic())

    graph, out = Graph("firehose"), Times()
    out.written.clear()
    graph.read("numbers", Firehose()).batch(10**9, linger=0.05).to("out", out)
    graph.run()
    assert len(out.written) >= 3


def test_a_barrier_flushes_the_part_before_it() -> None:
    graph, out = Graph("barrier"), Arrivals()
    numbers = graph.read("numbers", scripted(1, 2, 3, CHECKPOINT, PAUSE(50), 4))
    numbers.batch(100, linger=None).to("out", out)
    _run(graph.start(state=State(MemoryStore(), interval=1000.0)))
    assert out.batches == [(0.0, [1, 2, 3]), (50.0, [4])]


class Marks(Operator[int, str]):
    """Makes records of watermarks."""

    def process(self, record: int) -> list[str]:
        return [str(record)]

    def on_watermark(self, at: float) -> list[str]:
        return [f"mark {at:g}"]

    def snapshot(self) -> bytes:
        return b""


@pytest.mark.parametrize("max_batch_size", [1, 2, 100])
def test_a_watermark_waits_for_the_part_and_does_not_cut_it(max_batch_size: int) -> None:
    graph, out = Graph("marks", max_batch_size=max_batch_size), CollectingSink[str]()
    values = (1, 2, Watermark(2.0), 3, Watermark(3.0), 4, 5, Watermark(5.0), PAUSE(50), 6)
    sizes: list[int] = []
    regrouped = graph.read("numbers", scripted(*values)).batch(4, linger=10.0)

    def note(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        return batch

    regrouped.map_batch(note).via("marks", Marks(), volatile=True).to("out", out)
    _run(graph)
    # The last of those that came before the batch went out; a lone one goes when it has lingered.
    assert out.records == ["1", "2", "3", "4", "mark 3", "5", "mark 5", "6"]
    assert sizes == [4, 1, 1]


def test_a_part_goes_out_when_nothing_is_heard_from_above() -> None:
    graph, out = Graph("idle"), Arrivals()
    numbers = graph.read("numbers", scripted(1, 2, Watermark(2.0, idle=True), PAUSE(50), 3))
    numbers.batch(100, linger=None).to("out", out)
    _run(graph)
    assert out.batches == [(0.0, [1, 2]), (50.0, [3])]


# Credit


class Limited(Source[int]):
    """Lets a few records be under way."""

    def __init__(self, count: int, credit: int, *, forever: bool = False) -> None:
        self.count = count
        self.max_unsettled = credit
        self.forever = forever
        self.read_at: list[float] = []

    async def open(self, context: Context) -> None:
        self.next = 0

    async def read(self, limit: int) -> list[int] | None:
        if self.next == self.count:
            if self.forever:
                await asyncio.Event().wait()
            return None
        self.read_at.append(asyncio.get_running_loop().time())
        count = min(limit, self.count - self.next)
        self.next += count
        return list(range(self.next - count, self.next))


def test_a_source_that_waits_for_credit_is_not_held_up_by_one_that_has_nothing() -> None:
    """The part waits for records that only come when it has gone, and the other has none."""
    graph, out = Graph("held-up"), Arrivals()
    numbers = graph.read("numbers", Limited(20, 6))
    quiet = graph.read("quiet", scripted(PAUSE(3600), 20))
    numbers.union(quiet).batch(100, linger=None).to("out", out)

    progress = _run(graph)
    arrived = [(at, record) for at, records in out.batches for record in records]
    assert [record for _, record in arrived] == list(range(21))
    assert all(at < 1 for at, record in arrived if record < 18)
    assert progress.read == progress.settled == 21


def test_batches_go_out_when_every_source_waits_for_credit() -> None:
    graph, out = Graph("starved"), Arrivals()
    numbers = graph.read("numbers", Limited(20, 6))
    numbers.batch(4, linger=None).map(lambda n: n).batch(5, linger=None).to("out", out)

    progress = _run(graph)
    assert [record for _, records in out.batches for record in records] == list(range(20))
    assert progress.read == progress.settled == 20
    assert progress.seconds == 0


def test_a_source_that_has_ended_keeps_nobody_waiting() -> None:
    graph, out = Graph("starved"), Arrivals()
    first = graph.read("first", Limited(20, 6))
    second = graph.read("second", scripted(100, 101))
    first.union(second).batch(1000, linger=None).to("out", out)
    _run(graph)
    numbers = [record for _, records in out.batches for record in records]
    assert sorted(numbers) == [*range(20), 100, 101]


def test_batches_go_out_on_every_branch_when_sources_starve() -> None:
    graph, out, other = Graph("branches"), CollectingSink[int](), CollectingSink[int]()
    numbers = graph.read("numbers", Limited(30, 4))
    numbers.batch(7, linger=None).to("out", out)
    numbers.batch(11, linger=None).batch(3, linger=None).to("other", other)
    _run(graph)
    assert out.records == other.records == list(range(30))


def test_receipts_of_a_batch_made_of_several_are_settled_one_by_one() -> None:
    """A batch that holds the ends of two reads settles each when its own rest has arrived."""
    settled: list[tuple[float, int]] = []

    class Slow(Arrivals):
        async def write(self, records: Sequence[int]) -> None:
            await asyncio.sleep(1)
            await super().write(records)
            settled.append((asyncio.get_running_loop().time(), job().progress().settled))

    jobs: list[Job] = []

    def job() -> Job:
        return jobs[0]

    graph, out = Graph("joined"), Slow()
    values = (0, 1, 2, PAUSE(0.1), 3, 4, 5, PAUSE(0.1), 6, 7)
    graph.read("numbers", scripted(*values)).batch(4, linger=None).to("out", out)

    async def main() -> Progress:
        jobs.append(graph.start())
        async with jobs[0]:
            await jobs[0].wait()
        return jobs[0].progress()

    progress = run_virtual(main)
    assert [records for _, records in out.batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    # While the second batch is written, only the first read (0, 1, 2) is settled.
    assert [count for _, count in settled] == [0, 3]
    assert progress.settled == 8
