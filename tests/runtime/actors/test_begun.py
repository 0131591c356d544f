"""What is begun in one task and finished in another, and the writes that are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextvars import ContextVar, copy_context
from typing import TypeVar

import pytest

from thalweg import BatchFunction, DeadLetter, Graph, JobCancelled, JobFailed, Outcome, Sink
from thalweg.operators import sources
from thalweg.runtime.actors.begun import Begun, begin
from thalweg.testing import PAUSE, CollectingSink, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

T = TypeVar("T")

WHERE: ContextVar[str] = ContextVar("where", default="nowhere")


async def _begun_elsewhere(
    coroutine: Coroutine[object, object, T | None],
) -> tuple[Begun[T] | None, asyncio.Task[None], asyncio.Event, list[object]]:
    """Begin it in the name of a task that waits, and give that task the rest to do."""
    loop, go, results = asyncio.get_running_loop(), asyncio.Event(), list[object]()
    context = copy_context()
    rest: list[Begun[T] | None] = []

    async def owner() -> None:
        WHERE.set("owner")
        await go.wait()
        begun = rest[0]
        if begun is not None:
            try:
                results.append(await begun)
            except ValueError as error:
                results.append(error)

    task = loop.create_task(owner(), context=context)
    await asyncio.sleep(0)
    current = asyncio.current_task()
    rest.append(begin(coroutine, task, context, loop))
    assert asyncio.current_task() is current
    return rest[0], task, go, results


def test_what_does_not_wait_is_done() -> None:
    async def quick() -> str | None:
        WHERE.set("quick")
        return None

    async def main() -> None:
        begun, task, go, results = await _begun_elsewhere(quick())
        assert begun is None
        assert WHERE.get() == "nowhere"
        go.set()
        await task
        assert results == []

    run_virtual(main)


@pytest.mark.parametrize("fails", [False, True])
def test_what_ends_otherwise_is_told_in_its_own_task(fails: bool) -> None:
    error = ValueError("no")

    async def quick() -> int:
        if fails:
            raise error
        return 7

    async def main() -> None:
        begun, task, go, results = await _begun_elsewhere(quick())
        assert begun is not None
        assert not begun.waits
        go.set()
        await task
        assert results == [error if fails else 7]

    run_virtual(main)


async def _impatient() -> str:
    try:
        async with asyncio.timeout(2.0):
            await asyncio.sleep(100.0)
    except TimeoutError:
        return "late"
    return "early"


def test_what_waits_has_one_task_and_one_context_all_along() -> None:
    seen: list[tuple[asyncio.Task[object] | None, str]] = []

    async def slow() -> str:
        for _ in range(3):
            seen.append((asyncio.current_task(), WHERE.get()))
            WHERE.set(f"step {len(seen)}")
            await asyncio.sleep(1.0)
        return await _impatient()

    async def main() -> None:
        begun, task, go, results = await _begun_elsewhere(slow())
        assert begun is not None
        assert begun.waits
        go.set()
        await task
        assert seen == [(task, "owner"), (task, "step 1"), (task, "step 2")]
        assert results == ["late"]
        assert asyncio.get_running_loop().time() < 10.0

    run_virtual(main)


def test_a_timeout_around_the_very_first_wait_cancels_the_task_that_goes_on() -> None:
    async def main() -> None:
        _, task, go, results = await _begun_elsewhere(_impatient())
        go.set()
        await task
        assert results == ["late"]

    run_virtual(main)


# Writes


async def _run(graph: Graph) -> None:
    async with graph.start() as job:
        await job.wait()


def _called(sink: Sink[int], count: int = 200) -> Graph:
    """Calls that take unequally long, so that answers come to the sink singly and in bursts."""

    async def call(number: int) -> int:
        await asyncio.sleep(0.001 * (number % 7))
        return number

    graph = Graph("called", max_batch_size=1)
    numbers = graph.read("numbers", sources.records(list(range(count))))
    numbers.map(call, max_in_flight=5, name="call").to("out", sink)
    return graph


class Written(CollectingSink[int]):
    """Waits in every so many writes, and notes the tasks that it runs in."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self.tasks = set[asyncio.Task[object] | None]()

    async def write(self, records: Sequence[int]) -> None:
        self.tasks.add(asyncio.current_task())
        if records[0] % self.every == self.every - 1:
            await asyncio.sleep(0.002)
        self.tasks.add(asyncio.current_task())
        await super().write(records)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("every", [1, 2, 5, 70, 1000])
def test_writes_keep_their_order_and_their_task(every: int, seed: int) -> None:
    sink = Written(every)
    run_virtual(lambda: _run(_called(sink)), seed=seed)
    assert sink.records == list(range(200))
    assert len(sink.tasks) == 1


def test_what_is_rejected_without_a_wait_is_given_up() -> None:
    class Odd(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> Outcome[None] | None:  # type: ignore[override]
            await super().write([number for number in records if number % 2])
            bad = {i: ValueError("even") for i, number in enumerate(records) if number % 2 == 0}
            return Outcome([], bad) if bad else None

    odd, failed = Odd(), CollectingSink[DeadLetter]()
    graph = _called(odd, 20)
    graph.failed.to("failed", failed)
    run_virtual(lambda: _run(graph))
    assert odd.records == list(range(1, 20, 2))
    assert [letter.record for letter in failed.records] == list(range(0, 20, 2))


def test_what_breaks_without_a_wait_fails_the_job_where_it_stands() -> None:
    class Full(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            if records[0] == 7:
                raise OSError(28, "No space left on device")
            await super().write(records)

    sink = Full()
    with pytest.raises(JobFailed, match=r"'out' could not write on .*: .*No space left"):
        run_virtual(lambda: _run(_called(sink)))
    assert sink.records == list(range(7))


def test_a_job_that_is_cancelled_ends_a_write_that_waits() -> None:
    ended: list[str] = []

    class Stuck(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("write")

        async def close(self) -> None:
            ended.append("close")

    async def main() -> None:
        graph = Graph("stuck")
        graph.read("numbers", scripted(1, PAUSE(1), 2, PAUSE(1000))).to("out", Stuck())
        async with graph.start() as job:
            await asyncio.sleep(5)
            await job.cancel()

    with pytest.raises(JobCancelled, match="2 records read and not confirmed"):
        run_virtual(main)
    assert ended == ["write", "close"]


async def _later(graph: Graph, started: asyncio.Event) -> None:
    async with graph.start() as job:
        await started.wait()
        await job.cancel()


def test_a_job_that_is_cancelled_before_the_sinks_next_turn_ends_the_write_all_the_same() -> None:
    ended: list[str] = []
    started: list[asyncio.Event] = []

    class Transaction(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            try:
                started[0].set()
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            finally:
                await asyncio.sleep(0)
                ended.append("rolled back")

        async def close(self) -> None:
            ended.append("closed")

    async def main() -> None:
        started.append(asyncio.Event())
        await _later(_called(Transaction(), 6), started[0])

    with pytest.raises(JobCancelled):
        run_virtual(main)
    assert ended == ["cancelled", "rolled back", "closed"]


def test_a_timeout_that_has_passed_already_is_the_writes_own() -> None:
    late: list[int] = []

    class Impatient(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            try:
                async with asyncio.timeout(0):
                    await asyncio.sleep(10)
            except TimeoutError:
                late.extend(records)

    run_virtual(lambda: _run(_called(Impatient(), 6)))
    assert late == list(range(6))


def test_writes_may_wait_for_the_same_thing() -> None:
    connected: list[asyncio.Task[None]] = []

    class Connecting(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            if not connected:
                connected.append(asyncio.create_task(asyncio.sleep(1)))
            await connected[0]
            await super().write(records)

    first, second = Connecting(), Connecting()

    async def call(number: int) -> int:
        await asyncio.sleep(0.001)
        return number

    graph = Graph("both", max_batch_size=1)
    called = graph.read("numbers", scripted(1, 2, 3)).map(call, name="call")
    called.to("first", first)
    called.to("second", second)
    run_virtual(lambda: _run(graph))
    assert first.records == second.records == [1, 2, 3]


class Odd(BaseException):
    """No Exception, as what some libraries use to leave everything at once."""


@pytest.mark.parametrize("where", ["calling", "running"])
def test_what_goes_wrong_at_once_is_never_the_senders(where: str) -> None:
    class Wrong(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> None:
            raise Odd

    class Called(CollectingSink[int]):
        async def write(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            pass

    graph = _called(Called() if where == "calling" else Wrong(), 6)
    with pytest.raises((JobFailed, Odd), match=r"takes 1 positional argument|^$") as raised:
        run_virtual(lambda: _run(graph))
    assert isinstance(raised.value, JobFailed) == (where == "calling")


class Noted(BatchFunction[int, int]):
    """Answers later, and notes the turn of the loop that follows on the one of its answer."""

    max_in_flight = 1

    def __init__(self, events: list[str]) -> None:
        self.events = events

    async def call(self, records: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_soon(self.events.append, "turn")
        return records


def _noted(events: list[str], slow: int | None) -> Graph:
    class Noting(CollectingSink[int]):
        async def write(self, records: Sequence[int]) -> Outcome[None]:  # type: ignore[override]
            events.append("written")
            if records[0] == slow:
                time.sleep(0.002)  # noqa: ASYNC251  (it is to be slow)
            return Outcome([])

    graph = Graph("noted", max_batch_size=1)
    graph.read("numbers", scripted(0, 1, 2)).via("call", Noted(events)).to("out", Noting())
    return graph


def test_a_write_without_a_wait_is_done_in_the_turn_of_the_sender() -> None:
    events: list[str] = []
    run_virtual(lambda: _run(_noted(events, None)))
    assert events == ["written", "turn"] * 3


def test_after_a_slow_write_the_next_ones_have_turns_of_their_own() -> None:
    events: list[str] = []
    asyncio.run(_run(_noted(events, 0)))
    assert events == ["written", "turn", "turn", "written", "turn", "written"]
