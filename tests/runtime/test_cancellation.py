"""Cancellation at every turn of the loop: nothing is lost uncounted, and nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import pytest

from thalweg import Graph, JobCancelled, Operator, Sink
from thalweg.runtime.batch import Batch
from thalweg.runtime.channel import Channel, Inbox
from thalweg.runtime.job import Job
from thalweg.runtime.merge import Merge
from thalweg.runtime.receipt import Receipt
from thalweg.runtime.signals import End
from thalweg.testing import (
    PAUSE,
    CollectingSink,
    ScriptedSource,
    VirtualTimeLoop,
    run_virtual,
    scripted,
)

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class StrikingLoop(VirtualTimeLoop):
    """Calls `strike` in the turn of the number `at`."""

    def __init__(self, at: int, strike: Callable[[], None], seed: int | None = None) -> None:
        super().__init__(seed=seed)
        self._at = at
        self._strike = strike
        self.turns = 0

    def shuffle(self) -> None:
        self.turns += 1
        if self.turns == self._at:
            self.call_soon(self._strike)
        super().shuffle()


def struck(
    at: int, strike: Callable[[], None], main: Callable[[], Awaitable[None]], seed: int | None
) -> bool:
    """Run `main` with a strike in turn `at`; whether that turn came at all."""

    running = True

    async def body() -> None:
        nonlocal running
        await main()
        running = False

    def strike_in_time() -> None:
        if running:
            strike()

    loop = StrikingLoop(at, strike_in_time, seed)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(body())
        turns = loop.turns
    return turns >= at


# Channels and merges


def _batch(number: int) -> Batch:
    return Batch([number], Receipt(), None, 0.0)


class _Exchange:
    """A sender and a receiver that can be cancelled and go on where they stopped."""

    def __init__(self, channels: int, patience: float | None) -> None:
        self.channels = [
            Channel(f"c{n}", max_batches=2, max_records=100, max_bytes=10**6)
            for n in range(channels)
        ]
        self.inbox: Inbox = self.channels[0] if channels == 1 else Merge(self.channels)
        self.patience = patience
        self.todo = list(range(8))
        self.got: list[int] = []
        self.ended = False

    async def send(self) -> None:
        while self.todo:
            number = self.todo[0]
            await self.channels[number % len(self.channels)].put(_batch(number))
            self.todo.pop(0)
        for channel in self.channels[len(self.channels) - 1 :: -1]:
            await channel.signal(End())

    async def receive(self) -> None:
        while not self.ended:
            item = self.inbox.take()
            if item is None:
                await self.inbox.wait(self.patience)
            elif isinstance(item, Batch):
                self.got += [number for number in item.records if isinstance(number, int)]
                if len(self.got) % 3 == 0:
                    await asyncio.sleep(0.1)
            else:
                self.ended = True


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("patience", [None, 0.05])
@pytest.mark.parametrize("victim", ["send", "receive"])
def test_a_side_cancelled_at_any_turn_loses_no_batch(
    channels: int, patience: float | None, victim: Literal["send", "receive"]
) -> None:
    cancelled = 0

    def race(at: int) -> bool:
        exchange: _Exchange | None = None
        tasks: dict[str, asyncio.Task[None]] = {}

        def strike() -> None:
            if victim in tasks:
                tasks[victim].cancel()

        async def main() -> None:
            nonlocal exchange, cancelled
            exchange = _Exchange(channels, patience)
            tasks["send"] = asyncio.create_task(exchange.send())
            tasks["receive"] = asyncio.create_task(exchange.receive())
            async with asyncio.timeout(5):
                while not exchange.ended:
                    done, _ = await asyncio.wait(
                        tasks.values(), return_when=asyncio.FIRST_COMPLETED
                    )
                    if tasks[victim] in done and tasks[victim].cancelled():
                        cancelled += 1
                        again = exchange.send if victim == "send" else exchange.receive
                        tasks[victim] = asyncio.create_task(again())
                    else:
                        await asyncio.wait(tasks.values())
            for task in tasks.values():
                if not task.cancelled():
                    await task
            assert sorted(exchange.got) == list(range(8))
            for lane in range(channels):
                own = [number for number in exchange.got if number % channels == lane]
                assert own == sorted(own)

        return struck(at, strike, main, None)

    at = 1
    while race(at):
        at += 1
    assert cancelled > 3


# Whole jobs


class _Slow(Sink[Any]):
    """Takes a while for each write; what it holds it has acknowledged."""

    def __init__(self) -> None:
        self.records: list[object] = []

    async def write(self, records: Sequence[Any]) -> None:
        await asyncio.sleep(0.03)
        self.records.extend(records)


class _Running(Operator[int, int]):
    """Passes on what it is given, and remembers how much."""

    async def open(self, context: Any) -> None:
        self.count = 0

    def process(self, record: int) -> list[int]:
        self.count += 1
        return [record]

    def snapshot(self) -> bytes:
        return str(self.count).encode()


async def _later(number: int) -> int:
    await asyncio.sleep(0.01 * (number % 3))
    return number


def _line() -> tuple[Graph, ScriptedSource[int], _Slow]:
    """One record in, one record out, all the way."""
    source = scripted(*range(7), PAUSE(0.05), *range(7, 15))
    sink = _Slow()
    graph = Graph("line", max_batch_size=3, channel_batches=1)
    numbers = graph.read("numbers", source)
    calls = numbers.map(lambda n: n).map(_later, name="later", max_in_flight=2)
    calls.batch(4, linger=0.02).map(lambda n: n).to("out", sink)
    return graph, source, sink


def _net() -> tuple[Graph, ScriptedSource[int], _Slow, CollectingSink[Any]]:
    """Every kind of actor, with errors on the way."""

    def picky(number: int) -> int:
        if number % 5 == 4:
            raise ValueError(f"{number} is bad")
        return number

    async def unsure(number: int) -> list[int]:
        await asyncio.sleep(0.005 * (number % 2))
        return [number, picky(number + 1)]

    source = scripted(*range(6), PAUSE(0.05), *range(6, 12))
    sink, failed = _Slow(), CollectingSink[Any]()
    graph = Graph("net", max_batch_size=4, channel_batches=2)
    numbers = graph.read("numbers", source)
    mapped = numbers.map(picky).flat_map(lambda n: [n, n])
    even, odd = mapped.split(lambda n: n % 2 == 0)
    calls = odd.flat_map(unsure, max_in_flight=3, ordered=False)
    kept = even.via("kept", _Running(), volatile=True)
    calls.union(kept).batch(3, linger=0.01).to("out", sink)
    numbers.to("copy", CollectingSink())
    graph.failed.to("failed", failed)
    return graph, source, sink, failed


def _check_acks(source: ScriptedSource[int], job: Job) -> None:
    progress = job.progress()
    left = progress.read - progress.settled
    assert source.acked == list(range(len(source.acked)))
    assert len(source.acked) <= progress.settled
    if left:
        assert source.nacked == [len(source.acked)]
    else:
        assert len(source.acked) == progress.read
        assert not source.nacked


def _at_every_turn(run: Callable[[int, int | None], bool]) -> int:
    for seed in (None, 1):
        at = 1
        while run(at, seed):
            at += 1
        assert at > 20
    return at


def test_a_line_cancelled_at_any_turn_counts_each_record_that_it_held() -> None:
    outcomes: set[str] = set()

    def run(at: int, seed: int | None) -> bool:
        graph, source, sink = _line()
        job: Job | None = None
        tasks: list[asyncio.Task[None]] = []

        def strike() -> None:
            if job is not None and job.state != "created":
                tasks.append(asyncio.ensure_future(job.cancel()))

        async def main() -> None:
            nonlocal job
            job = graph.start()
            error: JobCancelled | None = None
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(5), job:
                    await job.wait()
            except JobCancelled as raised:
                error = raised
            while tasks:
                await tasks.pop()
            assert loop.time() < 1.0
            progress = job.progress()
            left = progress.read - progress.settled
            outcomes.add(job.state)
            if error is None:
                assert job.state == "ended"
                assert sink.records == list(range(15))
                assert left == 0
            else:
                assert job.state == "cancelled"
                assert f"with {left} records read and not confirmed" in str(error)
                # A read is settled as a whole, so some of what is not settled may have arrived.
                held = sum(error.unprocessed.values())
                assert held + len(sink.records) == progress.read, error.unprocessed
                assert progress.settled <= len(sink.records)
                last = error.settled["numbers"]
                assert (-1 if last is None else last) == len(source.acked) - 1
                # What was acked had arrived.
                assert sink.records[: len(source.acked)] == source.acked
            _check_acks(source, job)

        return struck(at, strike, main, seed)

    _at_every_turn(run)
    assert outcomes == {"ended", "cancelled"}


def test_a_net_cancelled_at_any_turn_settles_what_it_acked_and_nacks_the_rest() -> None:
    def run(at: int, seed: int | None) -> bool:
        graph, source, _, _ = _net()
        job: Job | None = None
        tasks: list[asyncio.Task[None]] = []

        def strike() -> None:
            if job is not None and job.state != "created":
                tasks.append(asyncio.ensure_future(job.cancel()))

        async def main() -> None:
            nonlocal job
            job = graph.start()
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(5), job:
                    await job.wait()
            except JobCancelled:
                pass
            else:
                assert job.progress().in_flight == 0
            while tasks:
                await tasks.pop()
            assert loop.time() < 1.0
            assert job.state in ("ended", "cancelled")
            _check_acks(source, job)

        return struck(at, strike, main, seed)

    _at_every_turn(run)


def test_the_task_around_a_job_cancelled_at_any_turn_takes_the_job_with_it() -> None:
    def run(at: int, seed: int | None) -> bool:
        graph, source, _, _ = _net()
        job: Job | None = None
        outer: asyncio.Task[None] | None = None

        def strike() -> None:
            if outer is not None:
                outer.cancel()

        async def embed() -> None:
            nonlocal job
            async with graph.start() as job:
                await job.wait()

        async def main() -> None:
            nonlocal outer
            outer = asyncio.create_task(embed())
            async with asyncio.timeout(5):
                await asyncio.wait([outer])
            assert asyncio.get_running_loop().time() < 1.0
            if job is not None:
                assert job.state in ("ended", "cancelled")
                _check_acks(source, job)
            if not outer.cancelled():
                await outer

        return struck(at, strike, main, seed)

    _at_every_turn(run)


def test_a_job_drained_at_any_turn_delivers_all_that_it_read() -> None:
    outcomes: set[str] = set()

    def run(at: int, seed: int | None) -> bool:
        graph, source, sink = _line()
        job: Job | None = None
        tasks: list[asyncio.Task[None]] = []

        def strike() -> None:
            if job is not None and job.state != "created":
                tasks.append(asyncio.ensure_future(job.drain()))

        async def main() -> None:
            nonlocal job
            job = graph.start()
            async with asyncio.timeout(5), job:
                await job.wait()
            while tasks:
                await tasks.pop()
            progress = job.progress()
            outcomes.add(job.state)
            assert progress.read == progress.settled == len(sink.records) == len(source.acked)
            assert sink.records == list(range(progress.read))
            assert source.nacked == []

        return struck(at, strike, main, seed)

    _at_every_turn(run)
    assert outcomes == {"ended", "drained"}


def test_cancel_and_drain_in_the_same_turn_end_the_job() -> None:
    def run(at: int, seed: int | None) -> bool:
        graph, source, _, _ = _net()
        job: Job | None = None
        tasks: list[asyncio.Task[None]] = []

        def strike() -> None:
            if job is not None and job.state != "created":
                tasks.append(asyncio.ensure_future(job.drain()))
                tasks.append(asyncio.ensure_future(job.cancel()))

        async def main() -> None:
            nonlocal job
            job = graph.start()
            try:
                async with asyncio.timeout(5), job:
                    await job.wait()
            except JobCancelled:
                pass
            while tasks:
                with contextlib.suppress(JobCancelled):
                    await tasks.pop()
            assert job.state in ("ended", "drained", "cancelled")
            _check_acks(source, job)

        return struck(at, strike, main, seed)

    _at_every_turn(run)


async def _cancelled_after(seconds: float, graph: Graph) -> None:
    job = graph.start()
    with contextlib.suppress(JobCancelled):
        async with job:
            await asyncio.sleep(seconds)
            await job.cancel()
    assert job.state == "cancelled"


def test_a_function_that_swallows_one_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn(number: int) -> int:
        nonlocal swallowed
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            swallowed += 1
        await asyncio.sleep(3600)
        return number

    class Stubborn(Sink[int]):
        async def write(self, records: Sequence[int]) -> None:
            await stubborn(0)

    async def main() -> float:
        graph = Graph("stubborn")
        numbers = graph.read("numbers", scripted(1, 2))
        numbers.to("sink", Stubborn())
        numbers.map(stubborn, timeout=10_000).to("out", CollectingSink())
        loop = asyncio.get_running_loop()
        await _cancelled_after(1.0, graph)
        await asyncio.sleep(10)
        return loop.time()

    run_virtual(main)
    assert swallowed == 2
