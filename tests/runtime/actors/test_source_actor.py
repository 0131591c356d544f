"""How a source is read, paced, acknowledged and told of what did not arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from thalweg import Context, Graph, JobFailed, Read, Rejected, Sink, Source
from thalweg.runtime.progress import Progress
from thalweg.testing import CollectingSink, run_virtual

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Scripted(Source[int]):
    """Hands out the reads it is given, one a second, and writes down what it is told."""

    def __init__(self, *reads: Sequence[int] | Read[int], ack_takes: float = 0.0) -> None:
        self.reads = reads
        self.ack_takes = ack_takes
        self.told: list[tuple[str, str, int]] = []
        self.fail_ack_at: int | None = None
        self.limits: list[int] = []
        self.read_at: list[float] = []

    async def open(self, context: Context) -> None:
        self.next = 0

    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        self.limits.append(limit)
        if self.rate is None:
            await asyncio.sleep(1)
        self.read_at.append(asyncio.get_running_loop().time())
        if self.next == len(self.reads):
            return None
        self.next += 1
        return self.reads[self.next - 1]

    async def ack(self, lane: str, position: int) -> None:
        await asyncio.sleep(self.ack_takes)
        if self.fail_ack_at == position:
            raise OSError("the log is full")
        self.told.append(("ack", lane, position))

    async def nack(self, lane: str, position: int) -> None:
        self.told.append(("nack", lane, position))

    async def close(self) -> None:
        self.told.append(("close", "", 0))


def _count(read: Sequence[int] | Read[int]) -> int:
    return len(read.records if isinstance(read, Read) else read)


def _run(graph: Graph) -> Progress:
    async def main() -> Progress:
        async with graph.start() as job:
            await job.wait()
        return job.progress()

    return run_virtual(main)


def _copying(source: Source[int]) -> tuple[Graph, CollectingSink[int]]:
    graph, sink = Graph("copy"), CollectingSink[int]()
    graph.read("numbers", source).to("out", sink)
    return graph, sink


def test_the_last_ack_is_let_through_however_long_it_takes() -> None:
    source = Scripted([1, 2], [3], ack_takes=5.0)
    graph, _ = _copying(source)
    progress = _run(graph)
    assert progress.state == "ended"
    assert source.told[-2:] == [("ack", "", 2), ("close", "", 0)]


def test_an_ack_that_fails_fails_the_job_at_once() -> None:
    source = Scripted([1], [2], [3], *([9] for _ in range(100)))
    source.fail_ack_at = 1
    graph, sink = _copying(source)
    with pytest.raises(
        JobFailed, match=r"'numbers' could not acknowledge.*the log is full"
    ) as info:
        _run(graph)
    assert info.value.node == "numbers"
    assert isinstance(info.value.__cause__, OSError)
    assert len(sink.records) <= 3
    assert source.told[-2:] == [("ack", "", 0), ("close", "", 0)]


def test_an_ack_that_fails_after_the_end_fails_the_job() -> None:
    source = Scripted([1], [2], ack_takes=3.0)
    source.fail_ack_at = 1
    graph, sink = _copying(source)
    with pytest.raises(JobFailed, match="could not acknowledge"):
        _run(graph)
    assert sink.records == [1, 2]


def test_what_has_arrived_in_one_lane_is_not_nacked_for_another() -> None:
    class Picky(Sink[int]):
        async def write(self, records: Sequence[int]) -> None:
            if 2 in records:
                await asyncio.sleep(30)
                raise ValueError("no")

    async def late(number: int) -> int:
        await asyncio.sleep(5 if number == 1 else 0)
        return number

    source = Scripted(
        Read([1], [10], "slow"),
        Read([5], [50], "quick"),
        Read([6], [51], "quick"),
        Read([2], [11], "slow"),
    )
    graph = Graph("lanes")
    numbers = graph.read("numbers", source)
    numbers.map(late, max_in_flight=4, ordered=False, timeout=100).to("out", Picky())
    with pytest.raises(JobFailed):
        _run(graph)
    assert [what for what in source.told if what[0] == "nack"] == [("nack", "slow", 10)]


@pytest.mark.parametrize(
    ("reads", "what"),
    [
        ([Read([1], [5]), Read([2], [5])], "position 5 of numbers, record 5 repeats position 5"),
        ([Read([1], [5]), Read([2], [3])], "position 3 of numbers, record 3 goes back behind"),
        ([Read([1, 2], [5, 5])], "position 5 of numbers, record 5 repeats"),
        ([Read([1, 2, 3], [7, 9, 8])], "position 8 of numbers, record 8 goes back behind"),
        ([Read([1, 2], range(6, 4, -1))], "position 5 of numbers, record 5 goes back behind"),
        ([Read([1], [5], "a"), Read([1], [5], "b"), Read([1], [4], "a")],
         "position 4 of numbers lane 'a', record 4 goes back behind"),
        ([Read([1], [5], "", [Rejected(5, "x", ValueError("x"))])], "position 5 .* repeats"),
        ([Read([1, 2], [7, 5], "", [Rejected(6, "x", ValueError("x"))])],
         "position 5 of numbers, record 5 goes back behind"),
    ],
)  # fmt: skip
def test_a_position_that_repeats_or_goes_backwards_is_named(
    reads: list[Read[int]], what: str
) -> None:
    graph, _ = _copying(Scripted(*reads))
    graph.failed.to("failed", CollectingSink())
    with pytest.raises(JobFailed, match=what) as info:
        _run(graph)
    assert info.value.node == "numbers"


def test_as_many_positions_as_records_are_asked_for() -> None:
    graph, _ = _copying(Scripted(Read([1, 2], [5])))
    with pytest.raises(JobFailed, match="1 positions came with 2 records"):
        _run(graph)


def test_what_a_source_rejects_becomes_a_dead_letter_with_its_position() -> None:
    source = Scripted(
        Read([1, 2], [0, 2], "file", [Rejected(1, "1;x", ValueError("no number"))]),
        Read([], [], "file", [Rejected(3, "", ValueError("empty"))]),
    )
    graph, sink = _copying(source)
    failed = CollectingSink[object]()
    graph.failed.to("failed", failed)
    progress = _run(graph)
    assert sink.records == [1, 2]
    assert [str(letter) for letter in failed.records] == [
        "numbers on numbers lane 'file', record 1: ValueError: no number",
        "numbers on numbers lane 'file', record 3: ValueError: empty",
    ]
    assert progress.read == progress.settled == 4
    assert progress.node("numbers").dead_letters == 2
    assert source.told[-2:] == [("ack", "file", 3), ("close", "", 0)]


def test_the_first_rejected_record_fails_a_job_without_a_failed_port() -> None:
    graph, _ = _copying(Scripted(Read([], [], "f", [Rejected(3, "", ValueError("empty"))])))
    with pytest.raises(JobFailed, match=r"numbers lane 'f', record 3: ValueError: empty") as info:
        _run(graph)
    assert "graph.failed" in str(info.value)


def test_a_source_is_read_at_its_rate() -> None:
    source = Scripted(*([n] * 10 for n in range(20)))
    source.rate = 50.0
    graph, sink = _copying(source)
    _run(graph)
    assert len(sink.records) == 200
    # 200 records at 50 a second; the first ones need not wait.
    assert source.read_at[-1] == pytest.approx(4.0, abs=0.25)
    steps = [b - a for a, b in zip(source.read_at, source.read_at[1:], strict=False)]
    assert max(steps) <= 0.25


def test_credit_bounds_what_is_under_way_and_what_is_asked_for() -> None:
    most = 0

    class Watching(Sink[int]):
        async def write(self, records: Sequence[int]) -> None:
            nonlocal most
            await asyncio.sleep(10)
            most = max(most, sum(map(_count, source.reads[: len(source.limits)])) - written())

    def written() -> int:
        return sum(1 for what in source.told if what[0] == "ack")

    source = Scripted(*([n] for n in range(12)))
    source.max_unsettled = 3
    graph = Graph("credit")
    graph.read("numbers", source).to("out", Watching())
    progress = _run(graph)
    assert progress.read == progress.settled == 12
    assert max(source.limits) <= 3
    assert 2 <= most <= 4
