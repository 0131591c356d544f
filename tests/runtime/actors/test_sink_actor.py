"""How a sink is written to: in order, limited in time, again if it may be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from thalweg import (
    BusyError,
    DeadLetter,
    Graph,
    JobCancelled,
    JobFailed,
    Outcome,
    Retry,
    UnavailableError,
)
from thalweg.runtime.job import Job
from thalweg.testing import PAUSE, CollectingSink, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


async def _run(graph: Graph) -> Job:
    async with graph.start() as job:
        await job.wait()
    return job


def test_quick_writes_one_after_the_other_are_never_late() -> None:
    """All of them together take longer than the limit of one."""

    class Steady(CollectingSink[int]):
        timeout = 5.0

        async def write(self, records: Sequence[int]) -> None:
            await asyncio.sleep(4.0)
            await super().write(records)

    async def main() -> None:
        graph, out = Graph("steady", max_batch_size=1), Steady()
        graph.read("numbers", scripted(*range(20), PAUSE(500), *range(20, 30))).to("out", out)
        await _run(graph)
        assert out.records == list(range(30))

    run_virtual(main)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_late_write_is_cancelled_in_time_whenever_it_comes(after: int) -> None:
    class Late(CollectingSink[int]):
        timeout = 8.0

        async def write(self, records: Sequence[int]) -> None:
            await super().write(records)
            if len(self.records) > after:
                await asyncio.sleep(100)

    async def main() -> None:
        graph = Graph("late")
        values: list[int | PAUSE] = []
        for number in range(20):
            values += [number, PAUSE(1.3)]
        graph.read("numbers", scripted(*values)).to("out", Late())
        loop = asyncio.get_running_loop()
        with pytest.raises(JobFailed, match="TimeoutError: the write has not returned within 8 s"):
            await _run(graph)
        took = loop.time() - 1.3 * after
        assert 8.0 <= took <= 9.1

    run_virtual(main)


def test_a_late_write_of_an_isolated_sink_leaves_the_others_alone() -> None:
    class Late(CollectingSink[int]):
        timeout = 8.0

        async def write(self, records: Sequence[int]) -> None:
            if 1 in records:
                await asyncio.sleep(100)
            await super().write(records)

    async def main() -> None:
        graph, out, late = Graph("late", max_batch_size=1), CollectingSink[int](), Late()
        failed = CollectingSink[DeadLetter]()
        numbers = graph.read("numbers", scripted(0, 1, 2, PAUSE(20), 3))
        numbers.to("out", out)
        numbers.to("late", late, on_failure="isolate")
        graph.failed.to("failed", failed)
        job = await _run(graph)
        assert job.state == "ended"
        assert out.records == [0, 1, 2, 3]
        assert late.records == [0]
        assert [letter.record for letter in failed.records] == [1, 2, 3]
        assert {letter.error.type for letter in failed.records} == {"TimeoutError"}

    run_virtual(main)


def test_cancelling_a_job_while_a_write_is_late_ends_it() -> None:
    class Late(CollectingSink[int]):
        timeout = 8.0

        async def write(self, records: Sequence[int]) -> None:
            await asyncio.sleep(100)

    async def main(cancel_at: float) -> str:
        graph = Graph("late")
        graph.read("numbers", scripted(0, PAUSE(100))).to("out", Late())
        try:
            async with graph.start() as job:
                await asyncio.sleep(cancel_at)
                await job.cancel()
        except (JobCancelled, JobFailed) as error:
            return type(error).__name__
        return "ended"

    for eighth in range(4, 24):
        outcome = run_virtual(partial(main, eighth / 2))
        assert outcome == ("JobCancelled" if eighth < 16 else "JobFailed") or eighth in (16, 17, 18)


def test_a_repeatable_sink_is_written_to_again_as_its_retry_says() -> None:
    class Flaky(CollectingSink[int]):
        repeatable = True
        retry = Retry(attempts=3, first=0.1)
        left: list[Exception] = []  # noqa: RUF012

        async def write(self, records: Sequence[int]) -> None:
            if self.left:
                raise self.left.pop(0)
            await super().write(records)

    async def main() -> None:
        graph, out = Graph("flaky", max_batch_size=2), Flaky()
        out.left[:] = [
            UnavailableError("refused"),
            BusyError("slow down", retry_after=5.0),
            UnavailableError("refused"),
        ]
        graph.read("numbers", scripted(*range(6))).to("out", out)
        job = await _run(graph)
        assert out.records == list(range(6))
        assert job.progress().node("out").retries == 3
        assert 5.0 <= asyncio.get_running_loop().time() < 7

    run_virtual(main)


def test_a_sink_that_is_not_repeatable_is_written_to_once() -> None:
    writes = 0

    class Once(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            nonlocal writes
            writes += 1
            raise UnavailableError("refused")

    async def main() -> None:
        graph = Graph("once")
        graph.read("numbers", scripted(1)).to("out", Once())
        with pytest.raises(JobFailed, match=r"'out' could not write .* UnavailableError: refused"):
            await _run(graph)

    run_virtual(main)
    assert writes == 1


def test_what_a_sink_rejects_is_dead_with_its_origin_and_the_rest_is_acked() -> None:
    class Picky(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> Outcome[None]:  # type: ignore[override]
            return Outcome([], {1: ValueError("second")} if len(records) > 1 else {})

    async def main() -> None:
        source = scripted(*range(10))
        graph, failed = Graph("picky"), CollectingSink[DeadLetter]()
        graph.read("numbers", source).filter(lambda n: n % 3).batch(3).to("out", Picky())
        graph.failed.to("failed", failed)
        job = await _run(graph)
        # 1 2 4 | 5 7 8
        assert [(one.record, one.origin and one.origin.position) for one in failed.records] == [
            (2, 2),
            (7, 7),
        ]
        assert job.progress().node("out").records_out == 4
        assert source.acked == list(range(10))

    run_virtual(main)


def test_a_sink_cannot_reject_what_it_was_not_given() -> None:
    class Confused(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> Outcome[None]:  # type: ignore[override]
            return Outcome([], {5: ValueError("who?")})

    async def main() -> None:
        graph = Graph("confused")
        graph.read("numbers", scripted(1, 2)).to("out", Confused())
        graph.failed.to("failed", CollectingSink())
        with pytest.raises(JobFailed, match=r"the records \[5\] of a batch of 2 were rejected"):
            await _run(graph)

    run_virtual(main)
