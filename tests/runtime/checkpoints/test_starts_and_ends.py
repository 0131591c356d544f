"""Jobs that are stopped as they begin, and jobs of which a part had come to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from thalweg import (
    Context,
    Graph,
    JobCancelled,
    JobFailed,
    KeyedState,
    Operator,
    Read,
    Source,
    State,
    StateLost,
    StateMismatch,
    ThalwegError,
)
from thalweg.operators import sources
from thalweg.runtime.checkpoints.head import Head
from thalweg.runtime.job import Job
from thalweg.runtime.stores import Held
from thalweg.testing import PAUSE, CollectingSink, MemoryStore, run_virtual, scripted

from .sinks import Committing, Target

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Total(Operator[Any, tuple[str, int]]):
    def __init__(self, **options: Any) -> None:
        self.counts: KeyedState[str, int] = KeyedState(**options)

    def process(self, record: Any) -> Iterator[tuple[str, int]]:
        self.counts["n"] = self.counts.get("n", 0) + 1
        return iter(())

    def on_end(self) -> Iterator[tuple[str, int]]:
        yield "total", self.counts.get("n", 0)


def _graph(target: Target, *names: str, **options: Any) -> Graph:
    graph = Graph("ended")
    first, *others = (graph.read(name, sources.records([1, 2, 3])) for name in names)
    stream = first.union(*others) if others else first
    stream.via("total", Total(**options)).to("out", Committing(target))
    return graph


def _run(job: Job) -> Job:
    async def main() -> Job:
        async with job:
            await job.wait()
        return job

    return run_virtual(main)


def test_what_had_ended_stays_ended_however_often_it_is_started_and_left_at_once() -> None:
    store, target = MemoryStore(), Target()
    _run(_graph(target, "a").start(state=State(store)))

    async def enter_and_leave() -> str:
        async with _graph(target, "a").start(state=State(store)) as job:
            pass
        return job.state

    for _ in range(3):
        assert run_virtual(enter_and_leave) in ("ended", "suspended")
        job = _run(_graph(target, "a").start(state=State(store)))
        assert job.restored is not None
        assert job.restored.finished
        assert job.restored.bookmarks("a") is not None
    assert target.shown == [("total", 3)]


class Ticking(Operator[Any, Any]):
    """Says that it is there as soon as it begins, and each second."""

    def __init__(self) -> None:
        self.counts: KeyedState[str, int] = KeyedState()

    async def open(self, context: Context) -> None:
        self.due = 0.0

    def process(self, record: Any) -> Iterator[Any]:
        yield record

    def wake_at(self) -> float | None:
        return self.due

    def on_wake(self, now: float) -> Iterator[Any]:
        self.due = now + 1
        yield "tick"


def test_what_had_ended_does_not_wake_up_in_a_later_start() -> None:
    store, target = MemoryStore(), Target()

    async def main() -> Job:
        graph = Graph("ticking")
        ended = graph.read("ended", sources.records([1])).via("ticking", Ticking())
        ended.union(graph.read("goes-on", scripted(PAUSE(60), 2))).to("out", Committing(target))
        async with graph.start(state=State(store)) as job:
            await asyncio.sleep(10)
        return job

    for _ in range(3):
        assert run_virtual(main).state == "suspended"
    assert target.shown == ["tick", 1]


def test_records_for_what_had_ended_are_refused_and_not_swallowed() -> None:
    store, target = MemoryStore(), Target()
    _run(_graph(target, "a").start(state=State(store)))
    for graph, forget in ((_graph(target, "a"), ["a"]), (_graph(target, "a", "b"), [])):
        with pytest.raises(StateMismatch, match=r"'total' had come to its end.*--forget total"):
            _run(graph.start(state=State(store, forget=forget)))
    _run(_graph(target, "a", "b").start(state=State(store, forget=["total"])))
    assert target.shown == [("total", 3), ("total", 3)]


def test_a_version_that_nothing_upgrades_is_refused_before_a_sink_discards() -> None:
    store, target = MemoryStore(), Target()
    graph = _graph(target, "a")

    async def main() -> None:
        async with Graph("other").start():
            pass
        async with graph.start(state=State(store)) as job:
            await job.checkpoint()

    run_virtual(main)
    calls = list(target.calls)
    with pytest.raises(StateMismatch, match="in version 1, which is 2 now: it needs an upgrade"):
        _run(_graph(target, "a", version=2).start(state=State(store)))
    assert target.calls == calls


class Waiting(MemoryStore):
    """Waits for a lease, for a long time."""

    closed = 0

    async def open(self, job: str) -> Held:
        await asyncio.sleep(100)
        return await super().open(job)

    async def close(self) -> None:
        type(self).closed += 1
        await super().close()


@pytest.mark.parametrize("how", ["cancel", "suspend"])
def test_a_job_is_stopped_while_its_state_is_opened(how: str) -> None:
    target, store = Target(), Waiting()

    async def main() -> str:
        job = _graph(target, "a").start(state=State(store))

        async def enter() -> None:
            async with job:
                pass

        entering = asyncio.create_task(enter())
        await asyncio.sleep(1)
        if how == "cancel":
            await job.cancel()
            with pytest.raises(JobCancelled):
                await entering
        else:
            await job.suspend()
            await entering
        assert asyncio.get_running_loop().time() < 2
        return job.state

    assert run_virtual(main) == {"cancel": "cancelled", "suspend": "suspended"}[how]
    assert target.calls == []
    assert store.closed


class SlowStore(MemoryStore):
    """Takes its time to be opened."""

    async def open(self, job: str) -> Held:
        await asyncio.sleep(3)
        return await super().open(job)


class SlowSink(CollectingSink[Any]):
    """Takes its time to be opened, too."""

    async def open(self, context: Context) -> None:
        await asyncio.sleep(3)
        await super().open(context)


@pytest.mark.parametrize("kind", ["scripted", "pushed"])
@pytest.mark.parametrize("after", [1.0, 4.0])
@pytest.mark.parametrize("store", [None, SlowStore()])
def test_a_job_is_drained_before_it_has_begun(
    kind: str, after: float, store: MemoryStore | None
) -> None:
    """By then the state may be open or not, and no source is."""
    if store is None and after > 3:
        after = 2.0

    async def main() -> str:
        out = SlowSink()
        graph = Graph(f"early-{kind}-{after:g}")
        source = sources.push() if kind == "pushed" else scripted(1, PAUSE(3600), 2)
        graph.read("numbers", source, lossy=True).to("out", out)
        job = graph.start(state=None if store is None else State(store))

        async def enter() -> None:
            async with job:
                await job.wait()

        entering = asyncio.create_task(enter())
        await asyncio.sleep(after)
        assert job.state == "starting"
        await asyncio.wait_for(job.drain(), 60)
        await entering
        assert out.records == []
        return job.state

    assert run_virtual(main) == "drained"


def test_who_waits_for_a_job_that_cannot_begin_is_told_why() -> None:
    class Lost(MemoryStore):
        async def open(self, job: str) -> Held:
            await asyncio.sleep(1)
            raise StateLost("another copy")

    async def main() -> list[BaseException | None]:
        job = _graph(Target(), "a").start(state=State(Lost()))
        entering = asyncio.create_task(job.__aenter__())
        await asyncio.sleep(0.5)
        return list(await asyncio.gather(entering, job.wait(), return_exceptions=True))  # type: ignore[arg-type]

    found = run_virtual(main)
    assert [type(one) for one in found] == [StateLost, StateLost]


def test_a_state_is_let_go_where_the_job_cannot_be_built() -> None:
    store, registry = MemoryStore(takeover=False), CollectorRegistry()

    async def main() -> None:
        other = State(MemoryStore())
        async with _graph(Target(), "a").start(state=other, metrics=registry) as running:
            job = _graph(Target(), "a").start(state=State(store), metrics=registry)
            with pytest.raises(ValueError, match="exported by this registry already"):
                await job.__aenter__()
            with pytest.raises(ValueError, match="exported by this registry already"):
                await job.wait()
            await running.wait()

    run_virtual(main)
    _run(_graph(Target(), "a").start(state=State(store)))


def test_a_job_that_has_not_begun_says_so() -> None:
    job = _graph(Target(), "a").start(state=State(MemoryStore()))

    async def main() -> None:
        for call in (job.wait, job.drain, job.suspend, job.cancel, job.checkpoint):
            with pytest.raises(ThalwegError, match="has not begun"):
                await call()

    run_virtual(main)


class Hanging(Source[int]):
    """Cannot be drained, and is never told that it should stop."""

    redelivers = True

    async def open(self, context: Context) -> None:
        self.opened = True

    async def read(self, limit: int) -> Sequence[int] | None:
        await asyncio.sleep(1)
        return [1]

    async def drain(self) -> None:
        assert self.opened
        await asyncio.sleep(1e9)


def test_a_drain_that_hangs_does_not_outlive_the_job() -> None:
    graph = Graph("hanging")
    graph.read("n", Hanging()).to("out", CollectingSink[int]())

    async def main() -> str:
        job = graph.start(state=State(MemoryStore()))
        async with job:
            with pytest.raises(JobCancelled):
                await job.suspend(timeout=3)
        return job.state

    with pytest.raises(JobCancelled):
        run_virtual(main)


class Acked(Source[int]):
    """Ends at once, and takes its time for an ack."""

    redelivers = True

    def __init__(self) -> None:
        self.acked: list[int] = []

    async def open(self, context: Context) -> None:
        self.left = [[1, 2, 3]]

    async def read(self, limit: int) -> Sequence[int] | None:
        return self.left.pop() if self.left else None

    async def ack(self, lane: str, position: int) -> None:
        await asyncio.sleep(2)
        self.acked.append(position)


def test_an_ack_under_way_is_let_through_when_the_job_is_suspended() -> None:
    graph, source = Graph("acked"), Acked()
    graph.read("n", source).to("out", CollectingSink[int]())
    graph.read("other", scripted(1, PAUSE(1000), 2)).to("rest", CollectingSink[int]())

    async def main() -> str:
        async with graph.start(state=State(MemoryStore(), interval=0.1)) as job:
            await asyncio.sleep(0.5)
        return job.state

    assert run_virtual(main) == "suspended"
    assert source.acked == [2]


class Unacked(Source[int]):
    """Cannot hand on the last ack, and takes its time to find out."""

    redelivers = True

    async def open(self, context: Context) -> None:
        self.next = 0

    async def read(self, limit: int) -> list[int]:
        await asyncio.sleep(0.3)
        self.next += 1
        return [self.next]

    async def ack(self, lane: str, position: int) -> None:
        await asyncio.sleep(0.5)
        raise ConnectionError("the broker has gone")


class Unclosable(CollectingSink[int]):
    async def close(self) -> None:
        raise OSError("cannot be closed")


def test_what_goes_wrong_while_a_suspended_job_closes_is_not_swallowed() -> None:
    async def main(source: Source[int], out: CollectingSink[int]) -> Job:
        graph = Graph("closing")
        graph.read("numbers", source, lossy=True).to("out", out)
        job = graph.start(state=State(MemoryStore(), interval=100))
        async with job:
            await out.received(2)
        return job

    with pytest.raises(JobFailed, match=r"could not acknowledge .* the broker has gone"):
        run_virtual(lambda: main(Unacked(), CollectingSink()))
    with pytest.raises(JobFailed, match="'out' could not be closed: OSError: cannot be closed"):
        run_virtual(lambda: main(scripted(1, 2, PAUSE(60)), Unclosable()))


def test_lanes_and_positions_of_any_kind_are_kept() -> None:
    lanes = ["", "plain", "caf\udce9.ndjson", "\x00base64:x", "ü"]

    class Odd(Source[int]):
        async def open(self, context: Context) -> None:
            self.left = list(lanes)

        async def seek(self, bookmarks: Any) -> None:
            self.left = []
            self.found.append({lane: mark.last for lane, mark in bookmarks.items()})

        def __init__(self) -> None:
            self.found: list[dict[str, int]] = []

        async def read(self, limit: int) -> Read[int] | None:
            if self.left:
                return Read([1], [2**70], lane=self.left.pop())
            await asyncio.sleep(1e6)
            return None

    source, store = Odd(), MemoryStore()
    graph = Graph("odd")
    graph.read("n", source).to("out", CollectingSink[int]())

    async def main() -> None:
        async with graph.start(state=State(store)):
            await asyncio.sleep(3)

    run_virtual(main)
    run_virtual(main)
    assert source.found == [dict.fromkeys(lanes, 2**70)]


def test_a_head_is_what_it_was() -> None:
    head = Head(3, 5.0, {}, {"sink": b"\x00"}, frozenset({"a"}), {})
    assert Head.decode(head.encode()) == head
