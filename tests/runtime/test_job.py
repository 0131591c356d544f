"""A job from start to end: opening, draining, failing, and what an embedding program sees of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Sequence
from typing import Any

import pytest

from thalweg import (
    Context,
    DeadLetter,
    Graph,
    JobCancelled,
    JobFailed,
    Operator,
    Outcome,
    Sink,
    Source,
    ThalwegError,
)
from thalweg.operators import sources
from thalweg.runtime.job import Job
from thalweg.testing import CRASH, PAUSE, CollectingSink, ScriptedSource, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Slow(CollectingSink[Any]):
    """Takes so many seconds for each write."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def write(self, records: Sequence[Any]) -> None:
        await asyncio.sleep(self.seconds)
        await super().write(records)


class Part(Sink[Any]):
    """Writes down what is done with it, and fails where it is told to."""

    def __init__(self, log: list[str], name: str, fails: str = "") -> None:
        self.log = log
        self.name = name
        self.fails = fails

    async def _note(self, what: str) -> None:
        self.log.append(f"{self.name} {what}")
        if what == self.fails:
            await asyncio.sleep(0.01)
            raise ValueError(f"{self.name} cannot {what}")

    async def open(self, context: Context) -> None:
        await self._note("open")

    async def write(self, records: Sequence[Any]) -> None:
        await self._note("write")

    async def close(self) -> None:
        await self._note("close")


async def _run(graph: Graph) -> Job:
    async with graph.start() as job:
        await job.wait()
    return job


# Draining


def test_leaving_the_block_drains_all_that_was_read() -> None:
    async def call(number: int) -> int:
        await asyncio.sleep(0.5)
        return number

    async def main() -> None:
        source = scripted(*range(10), PAUSE(3600), 10)
        out = Slow(1.0)
        graph = Graph("drained", max_batch_size=4)
        numbers = graph.read("numbers", source).map(call, max_in_flight=3)
        numbers.batch(100, linger=None).to("out", out)
        async with graph.start() as job:
            await asyncio.sleep(1.0)
        assert job.state == "drained"
        assert out.records == list(range(10))
        assert source.acked == list(range(10))
        assert source.nacked == []
        assert asyncio.get_running_loop().time() < 5

    run_virtual(main)


def test_a_drain_that_takes_too_long_is_cancelled_and_counted() -> None:
    async def main() -> None:
        source = scripted(*range(10), PAUSE(3600))
        graph = Graph("late", max_batch_size=4)
        graph.read("numbers", source).map(lambda n: n).to("out", Slow(30.0))
        job = graph.start()

        async def drain() -> None:
            async with job:
                await asyncio.sleep(1.0)
                await job.drain(timeout=35.0)

        with pytest.raises(JobCancelled) as info:
            await drain()
        loop = asyncio.get_running_loop()
        assert 36 <= loop.time() < 37
        assert job.state == "cancelled"
        assert info.value.unprocessed == {"out": 6}
        assert info.value.settled == {"numbers": None}
        assert "10 records" in str(info.value)
        assert source.nacked == [0]

    run_virtual(main)


def test_a_drain_in_time_raises_nothing() -> None:
    async def main() -> None:
        graph, out = Graph("in_time"), Slow(1.0)
        graph.read("numbers", scripted(1, PAUSE(3600))).to("out", out)
        async with graph.start() as job:
            await asyncio.sleep(0.5)
            await job.drain(timeout=10)
            assert job.state == "drained"
            await job.drain()
        assert out.records == [1]

    run_virtual(main)


def test_a_source_of_its_own_that_ends_while_another_is_drained_counts_as_drained() -> None:
    async def main() -> None:
        graph, out = Graph("both"), CollectingSink[int]()
        first = graph.read("first", scripted(1, 2))
        second = graph.read("second", scripted(3, PAUSE(3600), 4))
        first.union(second).to("out", out)
        async with graph.start() as job:
            await asyncio.sleep(1)
        assert job.state == "drained"
        assert sorted(out.records) == [1, 2, 3]

    run_virtual(main)


def test_an_exception_in_the_block_cancels_and_is_the_one_that_is_raised() -> None:
    async def main() -> None:
        graph, out = Graph("block"), Slow(100.0)
        graph.read("numbers", scripted(1, PAUSE(3600))).to("out", out)
        job = graph.start()

        async def divide() -> None:
            async with job:
                await asyncio.sleep(1)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await divide()
        assert job.state == "cancelled"
        assert asyncio.get_running_loop().time() < 2

    run_virtual(main)


# Opening and closing


@pytest.mark.parametrize("order", [0, 1])
def test_a_part_that_cannot_be_opened_lets_nothing_start_and_closes_what_was_opened(
    order: int,
) -> None:
    async def main() -> list[str]:
        log: list[str] = []
        reads = 0

        class Numbers(Source[int]):
            async def read(self, limit: int) -> list[int]:
                nonlocal reads
                reads += 1
                return [1]

        graph = Graph("closed")
        numbers = graph.read("numbers", Numbers())
        parts = [Part(log, "good"), Part(log, "bad", "open")]
        for part in parts[:: -1 if order else 1]:
            numbers.to(part.name, part)
        entered = False
        with pytest.raises(JobFailed, match=r"'bad' could not be opened: ValueError") as info:
            async with graph.start():
                entered = True
        assert not entered
        assert reads == 0
        assert info.value.node == "bad"
        assert "test_job.py:" in str(info.value)
        return log

    log = run_virtual(main)
    assert sorted(log) == ["bad close", "bad open", "good close", "good open"]


def test_a_part_that_opens_for_ever_does_not_hide_another_that_cannot() -> None:
    class Hanging(Sink[int]):
        async def open(self, context: Context) -> None:
            await asyncio.Event().wait()

        async def write(self, records: Sequence[int]) -> None:
            raise AssertionError

    async def main() -> None:
        graph = Graph("hanging")
        numbers = graph.read("numbers", scripted(1))
        numbers.to("hanging", Hanging())
        numbers.to("bad", Part([], "bad", "open"))
        with pytest.raises(JobFailed, match="'bad' could not be opened"):
            await _run(graph)
        assert asyncio.get_running_loop().time() < 1

    run_virtual(main)


def test_a_part_that_cannot_be_closed_fails_the_job_after_the_rest_was_delivered() -> None:
    async def main() -> None:
        log: list[str] = []
        out = Slow(10.0)
        graph = Graph("closing", max_batch_size=2)
        numbers = graph.read("numbers", scripted(1, 2, 3, 4))
        numbers.to("bad", Part(log, "bad", "close"))
        numbers.to("out", out)
        with pytest.raises(
            JobFailed, match=r"'bad' could not be closed: ValueError: bad cannot"
        ) as e:
            await _run(graph)
        assert e.value.node == "bad"
        assert out.records == [1, 2, 3, 4]
        assert log[-1] == "bad close"

    run_virtual(main)


def test_the_first_cause_is_shown_when_closing_fails_too() -> None:
    class Twice(Part):
        async def write(self, records: Sequence[Any]) -> None:
            raise KeyError("first")

    async def main() -> None:
        log: list[str] = []
        graph = Graph("twice")
        numbers = graph.read("numbers", scripted(1, PAUSE(3600)))
        numbers.to("bad", Twice(log, "bad", "close"))
        numbers.to("worse", Part(log, "worse", "close"))
        with pytest.raises(JobFailed, match=r"'bad' could not write on numbers, record 0") as info:
            await _run(graph)
        assert isinstance(info.value.__cause__, KeyError)
        assert "cannot close" not in str(info.value)
        assert {"bad close", "worse close"} < set(log)

    run_virtual(main)


def test_a_part_that_closes_for_ever_is_given_up() -> None:
    class Hanging(CollectingSink[int]):
        async def close(self) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        graph = Graph("hanging")
        graph.read("numbers", scripted(1)).to("out", Hanging())
        with pytest.raises(JobFailed, match="'out' did not close within 10 s"):
            await _run(graph)
        assert asyncio.get_running_loop().time() < 12

    run_virtual(main)


# Failures


def test_a_failure_names_the_node_the_origin_and_the_users_line() -> None:
    def half(number: int) -> float:
        return 1 / (number - 3)

    async def main() -> None:
        graph = Graph("failing")
        graph.read("numbers", scripted(*range(10))).map(half, name="half").to(
            "out", CollectingSink()
        )
        with pytest.raises(JobFailed) as info:
            await _run(graph)
        text = str(info.value)
        line = half.__code__.co_firstlineno + 1
        assert "half on numbers, record 3: ZeroDivisionError" in text
        assert f"test_job.py:{line} in half" in text
        assert "half.failed or graph.failed" in text
        assert (info.value.node, info.value.graph) == ("half", "failing")
        assert isinstance(info.value.__cause__, ZeroDivisionError)

    run_virtual(main)


def test_a_crash_of_a_source_is_a_failure_and_the_next_job_goes_on_behind_it() -> None:
    async def main() -> None:
        source = scripted(1, 2, CRASH, 3)
        graph, out = Graph("crash"), CollectingSink[int]()
        graph.read("numbers", source).to("out", out)
        with pytest.raises(JobFailed, match="'numbers' failed: ScriptedCrash"):
            await _run(graph)
        job = await _run(graph)
        assert job.state == "ended"
        assert out.records[-1] == 3

    run_virtual(main)


@pytest.mark.parametrize("bad", [0, 7, 19])
@pytest.mark.parametrize("max_batch_size", [1, 4, 100])
def test_a_poisoned_record_is_put_aside_and_the_others_go_on(bad: int, max_batch_size: int) -> None:
    def picky(number: int) -> int:
        if number == bad:
            raise ValueError("poison")
        return number

    async def main() -> None:
        graph = Graph("poison", max_batch_size=max_batch_size)
        out, failed = CollectingSink[int](), CollectingSink[DeadLetter]()
        graph.read("numbers", scripted(*range(20))).map(picky, name="picky").to("out", out)
        graph.failed.to("failed", failed)
        job = await _run(graph)
        assert out.records == [number for number in range(20) if number != bad]
        (letter,) = failed.records
        assert (letter.graph, letter.node, letter.record) == ("poison", "picky", bad)
        assert letter.origin is not None
        assert (letter.origin.source, letter.origin.position) == ("numbers", bad)
        assert letter.origin.through is None
        assert (letter.error.type, letter.error.message) == ("ValueError", "poison")
        assert letter.error.where is not None
        assert letter.error.where.endswith("in picky")
        progress = job.progress()
        assert progress.read == progress.settled == 20
        assert progress.dead_letters == progress.node("picky").dead_letters == 1

    run_virtual(main)


@pytest.mark.parametrize("kind", ["map", "flat_map", "filter", "async", "operator"])
@pytest.mark.parametrize("max_batch_size", [1, 3, 50])
def test_so_many_failures_in_a_row_are_not_the_data(kind: str, max_batch_size: int) -> None:
    """Any number of errors with good records between them is; so many in a row is not."""

    def picky(number: int) -> int:
        if number % 3 == 0 or number >= 90:
            raise ValueError("poison")
        return number

    async def picky_later(number: int) -> int:
        return picky(number)

    class Picky(Operator[int, int]):
        def process(self, record: int) -> list[int]:
            return [picky(record)]

    def build(count: int) -> tuple[Graph, CollectingSink[Any]]:
        graph = Graph("streak", max_batch_size=max_batch_size)
        out, failed = CollectingSink[Any](), CollectingSink[DeadLetter]()
        numbers = graph.read("numbers", scripted(*range(count), one_by_one=max_batch_size == 1))
        match kind:
            case "map":
                stream = numbers.map(picky, name="picky", fail_after=5)
            case "flat_map":
                stream = numbers.flat_map(lambda n: [picky(n)], name="picky", fail_after=5)
            case "filter":
                stream = numbers.filter(picky, name="picky", fail_after=5)
            case "async":
                stream = numbers.map(picky_later, name="picky", fail_after=5, max_in_flight=2)
            case _:
                stream = numbers.via("picky", Picky(), fail_after=5)
        stream.to("out", out)
        graph.failed.to("failed", failed)
        return graph, failed

    async def main() -> None:
        graph, failed = build(90)
        await _run(graph)
        assert len(failed.records) == 30
        graph, failed = build(200)
        with pytest.raises(JobFailed, match=r"in a row have failed at 'picky'.*fail_after=5"):
            await _run(graph)
        assert len(failed.records) < 90

    run_virtual(main)


def test_of_two_sinks_one_breaks_and_the_policy_is_kept() -> None:
    class Breaking(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            if 6 in records:
                raise OSError("disk full")
            await super().write(records)

    def build(policy: Any) -> tuple[Graph, Breaking, CollectingSink[int], ScriptedSource[int]]:
        graph, good, bad = Graph("sinks", max_batch_size=3), CollectingSink[int](), Breaking()
        source = scripted(*range(12))
        numbers = graph.read("numbers", source)
        numbers.to("bad", bad, on_failure=policy)
        numbers.to("good", good)
        return graph, bad, good, source

    async def main() -> None:
        graph, bad, good, source = build("stop")
        with pytest.raises(JobFailed, match=r"'bad' could not write on .*: OSError: disk full"):
            await _run(graph)
        assert bad.records == list(range(6))
        assert source.acked == []

        graph, bad, good, source = build("isolate")
        failed = CollectingSink[DeadLetter]()
        graph.failed.to("failed", failed)
        job = await _run(graph)
        assert good.records == list(range(12))
        assert bad.records == list(range(6))
        assert [letter.record for letter in failed.records] == list(range(6, 12))
        assert {letter.node for letter in failed.records} == {"bad"}
        assert [letter.origin and letter.origin.position for letter in failed.records] == list(
            range(6, 12)
        )
        assert source.acked == list(range(12))
        assert "isolated: disk full" in str(job.progress().node("bad").waiting)

    run_virtual(main)


def test_an_isolated_sink_with_nobody_to_take_its_records_fails_the_job() -> None:
    async def main() -> None:
        graph = Graph("alone")
        graph.read("numbers", scripted(1)).to("bad", Part([], "bad", "write"), on_failure="isolate")
        with pytest.raises(JobFailed, match="ValueError: bad cannot write"):
            await _run(graph)

    run_virtual(main)


def test_a_sink_rejects_records_one_by_one() -> None:
    class Odd(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> Outcome[None]:  # type: ignore[override]
            await super().write([record for record in records if record % 2 == 0])
            bad: dict[int, Exception] = {
                i: ValueError("odd") for i, record in enumerate(records) if record % 2
            }
            return Outcome([], bad)

    async def main() -> None:
        graph, out, failed = Graph("odd"), Odd(), CollectingSink[DeadLetter]()
        graph.read("numbers", scripted(*range(6))).to("out", out).failed.to("failed", failed)
        await _run(graph)
        assert out.records == [0, 2, 4]
        assert [(one.node, one.record) for one in failed.records] == [
            ("out", 1),
            ("out", 3),
            ("out", 5),
        ]

    run_virtual(main)


def test_a_write_that_never_returns_is_named() -> None:
    class Stuck(CollectingSink[int]):
        timeout = 5.0

        async def write(self, records: Sequence[int]) -> None:
            if 2 in records:
                await asyncio.Event().wait()
            await super().write(records)

    async def main() -> None:
        graph, out = Graph("stuck", max_batch_size=2), Stuck()
        graph.read("numbers", scripted(*range(6))).to("out", out)
        with pytest.raises(
            JobFailed, match=r"'out' could not write on numbers, .* 2 and 3: .* 5 s"
        ):
            await _run(graph)
        assert out.records == [0, 1]
        assert asyncio.get_running_loop().time() < 7

    run_virtual(main)


# Pressure


def test_a_sink_a_hundred_times_slower_than_its_source_holds_the_source_back() -> None:
    async def main() -> None:
        ahead = 0
        read = 0

        class Quick(Source[int]):
            async def read(self, limit: int) -> list[int] | None:
                nonlocal read
                if read >= 20_000:
                    return None
                await asyncio.sleep(0.001)
                read += 10
                return list(range(10))

        class Slower(CollectingSink[int]):
            async def write(self, records: Sequence[int]) -> None:
                nonlocal ahead
                await asyncio.sleep(0.1)
                await super().write(records)
                ahead = max(ahead, read - len(self.records))

        graph, out = Graph("pressure", channel_batches=4), Slower()
        graph.read("numbers", Quick()).map(lambda n: n).to("out", out)
        job = await _run(graph)
        assert len(out.records) == 20_000
        # Two channels of 4 batches, and what each of the three actors may hold beyond them.
        assert ahead <= 10 * (2 * 4 + 2 * 4 + 4)
        progress = job.progress()
        assert progress.bottleneck == "out"
        assert progress.node("numbers").seconds_waiting_for_output > 100

    run_virtual(main)


# Embedding


def test_two_jobs_of_one_graph_share_nothing() -> None:
    class Numbering(Operator[int, tuple[int, int]]):
        async def open(self, context: Context) -> None:
            self.count = 0

        def process(self, record: int) -> list[tuple[int, int]]:
            self.count += 1
            return [(record, self.count)]

        def snapshot(self) -> bytes:
            return b""

    class Numbers(Source[int]):
        async def open(self, context: Context) -> None:
            self.next = 0

        async def read(self, limit: int) -> list[int] | None:
            await asyncio.sleep(1)
            self.next += 1
            return [self.next] if self.next < 5 else None

    async def main() -> None:
        graph, out = Graph("twice"), CollectingSink[tuple[int, int]]()
        graph.read("numbers", Numbers()).via("numbering", Numbering(), volatile=True).to("out", out)
        first, second = await asyncio.gather(_run(graph), _run(graph))
        assert first.id != second.id
        assert sorted(out.records) == sorted([(n, n) for n in range(1, 5)] * 2)
        assert first.progress().read == second.progress().read == 4

    run_virtual(main)


def test_a_job_starts_once() -> None:
    async def main() -> None:
        graph = Graph("once")
        graph.read("numbers", scripted(1)).to("out", CollectingSink())
        job = await _run(graph)
        with pytest.raises(ThalwegError, match="starts once"):
            await job.__aenter__()

    run_virtual(main)


def test_pushes_wait_for_room_and_deliveries_for_their_arrival() -> None:
    async def main() -> None:
        graph, out = Graph("pushed"), Slow(1.0)
        graph.read("words", sources.push(capacity=4)).to("out", out)
        loop = asyncio.get_running_loop()
        async with graph.start() as job:
            first = await job.push("words", [1, 2, 3, 4])
            assert loop.time() == 0
            second = await job.push("words", [5])
            assert loop.time() == pytest.approx(1.0)
            await first
            assert out.records[:4] == [1, 2, 3, 4]
            await second
            assert out.records == [1, 2, 3, 4, 5]
        assert job.state == "drained"

    run_virtual(main)


def test_what_was_pushed_is_delivered_when_the_block_is_left_at_once() -> None:
    async def main() -> None:
        graph, out = Graph("pushed"), Slow(1.0)
        graph.read("words", sources.push(capacity=4)).to("out", out)
        async with graph.start() as job:
            delivery = await job.push("words", [1, 2, 3])
        await delivery
        assert job.state == "drained"
        assert out.records == [1, 2, 3]

    run_virtual(main)


def test_who_pushes_hears_of_a_failure() -> None:
    def broken(word: str) -> str:
        raise KeyError(word)

    async def main() -> None:
        graph = Graph("pushed")
        graph.read("words", sources.push()).map(broken, name="broken").to("out", CollectingSink())
        job = graph.start()

        async def push() -> None:
            async with job:
                delivery = await job.push("words", ["a"])
                with pytest.raises(ThalwegError):
                    await delivery
                with pytest.raises(JobFailed, match="broken on words, record 0"):
                    await job.push("words", ["b"])

        with pytest.raises(JobFailed, match=r"'broken'|broken on words"):
            await push()

    run_virtual(main)


def test_a_push_that_waits_hears_of_a_failure() -> None:
    class Breaking(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            await asyncio.sleep(5)
            raise OSError("disk full")

    async def main() -> None:
        graph = Graph("pushed")
        graph.read("numbers", sources.push(capacity=1)).to("out", Breaking())

        async def push() -> None:
            async with graph.start() as job:
                await job.push("numbers", [1])
                with pytest.raises(ThalwegError):
                    await job.push("numbers", [2])

        with pytest.raises(JobFailed, match="disk full"):
            await push()

    run_virtual(main)


def test_pushing_where_nothing_is_pushed_names_the_sources() -> None:
    async def main() -> None:
        graph = Graph("pushed")
        words = graph.read("words", sources.push())
        words.union(graph.read("numbers", scripted(1))).to("out", CollectingSink())
        async with graph.start() as job:
            with pytest.raises(ThalwegError, match=r"no source 'wrods'.*Did you mean 'words'"):
                await job.push("wrods", [])
            with pytest.raises(ThalwegError, match="'numbers' is read, not pushed to"):
                await job.push("numbers", [])

    run_virtual(main)


# Small graphs


def test_an_empty_graph_ends_at_once() -> None:
    async def main() -> None:
        job = await _run(Graph("empty"))
        assert job.state == "ended"
        progress = job.progress()
        assert (progress.read, progress.settled, progress.nodes) == (0, 0, ())

    run_virtual(main)


@pytest.mark.parametrize("count", [0, 1])
def test_no_record_and_one_record_end_well_with_all_counts_there(count: int) -> None:
    async def call(number: int) -> int:
        return number

    async def main() -> None:
        graph, out = Graph("small"), CollectingSink[int]()
        numbers = graph.read("numbers", scripted(*range(count))).map(lambda n: n, name="plain")
        numbers.map(call, name="later").batch(10, name="regroup").to("out", out)
        job = await _run(graph)
        assert job.state == "ended"
        assert out.records == list(range(count))
        progress = job.progress()
        for node in ("numbers", "plain", "later", "regroup", "out"):
            one = progress.node(node)
            assert max(one.records_in, one.records_out) == count
            assert one.state == "ended"
            assert one.dead_letters == one.retries == one.in_flight == 0

    run_virtual(main)


def test_nothing_of_a_job_outlives_it() -> None:
    async def main() -> int:
        graph = Graph("gone")
        graph.read("numbers", scripted(*range(100))).map(lambda n: n).to("out", CollectingSink())
        await _run(graph)
        gc.collect()
        return sum(1 for thing in gc.get_objects() if isinstance(thing, Job))

    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
    assert run_virtual(main) == 0


def test_a_job_of_which_two_actors_end_in_one_turn_says_that_it_failed() -> None:
    def fail(number: int) -> float:
        return number / 0

    async def main() -> str:
        graph = Graph("quick")
        graph.read("one", scripted(1)).map(fail).to("out", CollectingSink[float]())
        job = graph.start()
        with pytest.raises(JobFailed, match="ZeroDivisionError"):
            async with job:
                await job.wait()
        return job.state

    for seed in range(20):
        assert run_virtual(main, seed=seed) == "failed"


def test_a_lost_delivery_leads_to_the_failure_that_lost_it() -> None:
    def fail(number: int) -> float:
        return number / 0

    async def main() -> None:
        graph = Graph("pushed")
        graph.read("numbers", sources.push()).map(fail).to("out", CollectingSink[float]())
        with pytest.raises(JobFailed, match=r"map_1.*ZeroDivisionError"):
            async with graph.start() as job:
                await (await job.push("numbers", [1]))

    run_virtual(main)
