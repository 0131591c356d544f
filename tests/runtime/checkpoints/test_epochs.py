"""The epochs of a job: when they are taken, what they hold, how a job goes on from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from thalweg import (
    Graph,
    GraphError,
    JobFailed,
    KeyedState,
    Operator,
    Sink,
    Source,
    State,
    StateUnavailable,
    ThalwegError,
    UnavailableError,
)
from thalweg.operators import sources
from thalweg.runtime.job import Job
from thalweg.runtime.stores import Checkpoint
from thalweg.testing import (
    CHECKPOINT,
    CRASH,
    PAUSE,
    CollectingSink,
    MemoryStore,
    run_virtual,
    scripted,
)

from .sinks import Committing, Target

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Counting(Operator[Any, tuple[Any, int]]):
    """How often each record has come."""

    def __init__(self) -> None:
        self.counts: KeyedState[Any, int] = KeyedState()

    def process(self, record: Any) -> Iterator[tuple[Any, int]]:
        self.counts[record] = count = self.counts.get(record, 0) + 1
        yield record, count

    def on_end(self) -> Iterator[tuple[Any, int]]:
        yield "end", len(self.counts)


def _run(job: Job, *, seed: int | None = None) -> Job:
    async def main() -> Job:
        async with job:
            await job.wait()
        return job

    return run_virtual(main, seed=seed)


def _counting(*words: Any, target: Target, delay: float = 0.0) -> Graph:
    graph = Graph("counting", max_batch_size=2)
    counted = graph.read("words", scripted(*words)).via("count", Counting())
    counted.to("out", Committing(target, delay=delay))
    return graph


def test_nothing_is_lost_and_nothing_counts_twice() -> None:
    store, target = MemoryStore(), Target()
    words = ["a", "b", "a", CHECKPOINT, "b", "c", CRASH, "a", CHECKPOINT, "c", CRASH, "d"]
    graph = _counting(*words, target=target)
    for _ in range(2):
        with pytest.raises(JobFailed):
            _run(graph.start(state=State(store, interval=1000.0)))
        assert ("end", 4) not in target.shown
    assert target.shown == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("c", 1), ("a", 3)]
    _run(graph.start(state=State(store, interval=1000.0)))
    assert target.shown[6:] == [("c", 2), ("d", 1), ("end", 4)]
    assert not target.staged


def test_an_epoch_commits_what_came_before_its_barrier_and_nothing_else() -> None:
    target = Target()
    graph = _counting(*"aaaa", PAUSE(10), "b", target=target, delay=0.3)

    async def main() -> None:
        async with graph.start(state=State(MemoryStore(), interval=1000.0)) as job:
            await asyncio.sleep(0.1)
            assert await job.checkpoint() == 1
            assert target.shown == [("a", 1), ("a", 2), ("a", 3), ("a", 4)]
            assert await job.checkpoint() == 2
            await job.wait()
            assert job.state == "ended"

    run_virtual(main)
    assert target.calls == [
        ("discard", 0),
        *((step, epoch) for epoch in (1, 2, 3) for step in ("prepare", "commit")),
    ]


def test_epochs_come_at_the_interval_and_the_last_one_at_once() -> None:
    graph, target = Graph("paced"), Target()
    graph.read("n", sources.records(list(range(100)), rate=20)).to("out", Committing(target))
    job = _run(graph.start(state=State(MemoryStore(), interval=0.5)))
    epochs = job.progress().epochs
    assert epochs is not None
    # A hundred records at 20 a second take 5 s.
    assert 9 <= epochs.taken <= 11
    assert target.shown == list(range(100))
    assert job.progress().seconds < 5.2


def test_epochs_come_after_so_many_batches_too() -> None:
    graph, target = Graph("counted", max_batch_size=10), Target()
    source = scripted(*(value for n in range(40) for value in (n, PAUSE(0.01))), one_by_one=True)
    graph.read("n", source).to("out", Committing(target))
    job = _run(graph.start(state=State(MemoryStore(), interval=1000.0, batches=10)))
    epochs = job.progress().epochs
    assert epochs is not None
    assert 4 <= epochs.taken <= 6
    assert target.shown == list(range(40))


def test_one_epoch_at_a_time_and_none_before_the_last_is_committed() -> None:
    class Slow(MemoryStore):
        saving = 0

        async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
            assert Slow.saving == 0
            Slow.saving += 1
            await asyncio.sleep(2.0)
            Slow.saving -= 1
            await super().save(checkpoint, keep=keep)

    graph, target = Graph("slow"), Target()
    graph.read("n", sources.records(list(range(100)), rate=20)).to(
        "out", Committing(target, delay=0.01)
    )
    _run(graph.start(state=State(Slow(), interval=0.1)))
    steps = [call for call in target.calls if call[0] != "discard"]
    epochs = range(1, len(steps) // 2 + 1)
    assert steps == [(step, epoch) for epoch in epochs for step in ("prepare", "commit")]
    assert len(epochs) <= 5
    assert target.shown == list(range(100))


def test_suspending_closes_nothing_and_the_next_start_goes_on() -> None:
    store, target = MemoryStore(), Target()
    words = [value for word in "abcabcabc" for value in (word, PAUSE(1))]
    graph = _counting(*words, target=target)

    async def main() -> str:
        async with graph.start(state=State(store, interval=1000.0)) as job:
            await asyncio.sleep(4.5)
        assert job.progress().in_flight == 0
        return job.state

    assert run_virtual(main) == "suspended"
    assert target.shown == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2)]
    job = _run(graph.start(state=State(store)))
    assert job.state == "ended"
    assert target.shown[5:] == [("c", 2), ("a", 3), ("b", 3), ("c", 3), ("end", 3)]


def test_a_drained_job_has_ended() -> None:
    store, target = MemoryStore(), Target()
    graph = _counting("a", PAUSE(1000), "b", target=target)

    async def main() -> str:
        async with graph.start(state=State(store)) as job:
            await asyncio.sleep(1.0)
            await job.drain()
            return job.state

    assert run_virtual(main) == "drained"
    assert target.shown == [("a", 1), ("end", 1)]
    job = _run(graph.start(state=State(store)))
    assert job.restored is not None
    assert job.restored.finished
    assert target.shown == [("a", 1), ("end", 1)]


def test_a_source_that_ended_is_not_read_again_while_others_go_on() -> None:
    store, target = MemoryStore(), Target()
    opened: list[str] = []

    class Opening(Counting):
        def on_end(self) -> Iterator[tuple[Any, int]]:
            opened.append("end")
            yield from super().on_end()

    def graph() -> Graph:
        made = Graph("two")
        quick = made.read("quick", sources.records(["a", "a"])).via("count", Opening())
        slow = made.read("slow", script)
        quick.to("counts", Committing(target))
        slow.to("rest", Committing(others))
        return made

    others = Target()
    script = scripted(1, PAUSE(5), 2, CHECKPOINT, CRASH, 3)
    with pytest.raises(JobFailed):
        _run(graph().start(state=State(store)))
    assert target.shown == [("a", 1), ("a", 2), ("end", 1)]
    _run(graph().start(state=State(store)))
    assert target.shown == [("a", 1), ("a", 2), ("end", 1)]
    assert opened == ["end"]
    assert others.shown == [1, 2, 3]


def test_pushed_records_are_answered_for_when_their_epoch_is_committed() -> None:
    graph, target = Graph("pushed"), Target()
    graph.read("orders", sources.push(capacity=10), lossy=True).to("out", Committing(target))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with graph.start(state=State(MemoryStore(), interval=5.0)) as job:
            delivery = await job.push("orders", list(range(25)))
            assert loop.time() < 1.0  # There is room as soon as they have arrived.
            await delivery
            assert 5.0 <= loop.time() < 6.0
            assert target.shown == list(range(25))

    run_virtual(main)


def test_a_store_is_asked_for_what_it_can_keep() -> None:
    async def endless() -> AsyncIterator[int]:
        yield 1

    def start(source: Source[Any], sink: Sink[Any], **options: Any) -> None:
        graph = Graph("asked")
        graph.read("n", source, **options.pop("read", {})).to("out", sink, **options)
        graph.start(state=State(MemoryStore()))

    out, ones = CollectingSink[Any](), sources.records([1])
    with pytest.raises(GraphError, match=r"'n' \(Generate\) cannot go on.*lossy=True"):
        start(sources.generate(endless), out)
    start(sources.generate(endless), out, read={"lossy": True})

    class Half(Sink[Any]):
        async def write(self, records: Sequence[Any]) -> None: ...

        async def prepare(self, epoch: int) -> bytes:
            return b""

    with pytest.raises(GraphError, match=r"lacks \['commit', 'discard'\]"):
        start(ones, Half())
    with pytest.raises(GraphError, match="on_failure"):
        start(ones, Committing(Target()), on_failure="isolate")
    with pytest.raises(GraphError, match="identity is for sources"):
        start(ones, out, read={"identity": str})


def test_a_job_without_a_store_can_neither_be_suspended_nor_checkpointed() -> None:
    graph = Graph("none")
    graph.read("n", scripted(1, PAUSE(10))).to("out", CollectingSink[int]())

    async def main() -> None:
        async with graph.start() as job:
            with pytest.raises(ThalwegError, match="no store"):
                await job.suspend()
            with pytest.raises(ThalwegError, match="no store"):
                await job.checkpoint()

    run_virtual(main)


def test_a_store_that_goes_away_is_waited_for_while_records_flow_on() -> None:
    class Flaky(MemoryStore):
        away = (2.0, 20.0)

        async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
            if self.away[0] < asyncio.get_running_loop().time() < self.away[1]:
                raise StateUnavailable("the disk is full")
            await super().save(checkpoint, keep=keep)

    graph, target = Graph("flaky"), Target()
    read: list[int] = []
    numbers = graph.read("n", sources.records(list(range(300)), rate=10))
    numbers.to("out", Committing(target))

    async def main() -> None:
        async with graph.start(state=State(Flaky(), interval=1.0)) as job:
            await asyncio.sleep(15.0)
            progress = job.progress()
            assert progress.epochs is not None
            assert progress.epochs.waiting == "the disk is full"
            assert progress.read > 140
            assert len(target.shown) < 25
            read.append(progress.read)
            await job.wait()
            assert job.progress().epochs.waiting is None  # type: ignore[union-attr]

    run_virtual(main)
    assert target.shown == list(range(300))


def test_a_store_that_stays_away_fails_the_job_in_the_end() -> None:
    class Gone(MemoryStore):
        async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
            raise StateUnavailable("the server is gone")

    graph = Graph("gone")
    graph.read("n", sources.records(list(range(10_000)), rate=10)).to("out", Committing(Target()))
    job = graph.start(state=State(Gone(), patience=20.0))
    with pytest.raises(JobFailed, match="the server is gone"):
        _run(job)
    assert 15.0 < job.progress().seconds < 25.0


def test_a_target_that_goes_away_is_waited_for() -> None:
    class Flaky(Committing):
        async def commit(self, epoch: int, prepared: bytes) -> None:
            now = asyncio.get_running_loop().time()
            if 2.0 < now < 9.0:
                raise (UnavailableError if now < 5.0 else StateUnavailable)("it is away")
            await super().commit(epoch, prepared)

    graph, target = Graph("flaky"), Target()
    graph.read("n", sources.records(list(range(120)), rate=10)).to("out", Flaky(target))
    _run(graph.start(state=State(MemoryStore(), interval=1.0)))
    assert target.shown == list(range(120))


def test_a_target_that_has_another_copy_ends_the_job() -> None:
    graph, target = Graph("replaced"), Target()
    graph.read("n", sources.records(list(range(1000)), rate=10)).to("out", Committing(target))

    async def main() -> None:
        async with graph.start(state=State(MemoryStore(), interval=1.0)) as job:
            await asyncio.sleep(3.5)
            target.token = 99
            await job.wait()

    with pytest.raises(JobFailed, match="an older copy"):
        run_virtual(main)
    assert target.shown == list(range(len(target.shown)))
