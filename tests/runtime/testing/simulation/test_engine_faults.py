"""A simulation finds an engine that breaks its promises: each of these would lose or repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from thalweg import Bookmark, Context, Graph, KeyedState, Operator, Read, Sink, Source
from thalweg.operators import sinks
from thalweg.runtime.actors.commits import Commits
from thalweg.runtime.actors.operator_actor import OperatorActor
from thalweg.runtime.actors.regroup_actor import RegroupActor
from thalweg.runtime.actors.source_actor import SourceActor
from thalweg.runtime.actors.window import Window
from thalweg.runtime.checkpoints.coordinator import Coordinator
from thalweg.runtime.checkpoints.parts import Part
from thalweg.runtime.merge import Merge
from thalweg.runtime.signals import Barrier
from thalweg.testing import simulate


class Lanes(Source[int]):
    """Two lanes of numbers, and is told what has arrived."""

    async def open(self, context: Context) -> None:
        self.next = {"even": 0, "odd": 1}

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        for lane, mark in bookmarks.items():
            self.next[lane] = 2 * (mark.last + 1) + (lane == "odd")

    async def read(self, limit: int) -> Read[int] | None:
        for lane, first in sorted(self.next.items(), key=lambda item: item[1]):
            numbers = range(first, min(first + 2 * limit, 120), 2)
            if numbers:
                self.next[lane] = numbers[-1] + 2
                return Read(list(numbers), [n // 2 for n in numbers], lane=lane)
        return None

    async def ack(self, lane: str, position: int) -> None:
        await asyncio.sleep(0.001)


class Counting(Operator[int, tuple[int, int]]):
    def __init__(self) -> None:
        self.counts: KeyedState[int, int] = KeyedState()

    def process(self, record: int) -> Iterator[tuple[int, int]]:
        self.counts[record % 6] = count = self.counts.get(record % 6, 0) + 1
        yield record, count


class Committing(Sink[Any]):
    """Stands for a sink that commits."""

    async def write(self, records: Sequence[Any]) -> None:
        raise NotImplementedError

    async def prepare(self, epoch: int) -> bytes:
        raise NotImplementedError

    async def commit(self, epoch: int, prepared: bytes) -> None:
        raise NotImplementedError

    async def discard(self, epoch: int) -> None:
        raise NotImplementedError


async def slowly(n: int) -> int:
    await asyncio.sleep(0.02 if n % 5 else 0.0)
    return n


def make() -> Graph:
    graph = Graph("engine")
    numbers = graph.read("numbers", Lanes())
    numbers.via("count", Counting()).to("counts", Committing())
    called = numbers.map(slowly, name="call", max_in_flight=4, ordered=False)
    called.to("called", Committing())
    called.union(numbers).batch(7, linger=None, name="batch").to("all", Committing())
    numbers.to("plain", sinks.collect([]))
    return graph


def found(seeds: int = 100) -> Iterator[str]:
    """What is found over some seeds, one after the other."""
    for seed in range(seeds):
        report = simulate(make, seed=seed)
        if not report.ok or report.not_compared:
            yield str(report.differences)


def test_the_engine_as_it_is_breaks_none() -> None:
    assert list(found(20)) == []


def test_an_engine_that_does_not_commit_again_after_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = Commits.begin

    async def forgetful(self: Commits, epoch: int, prepared: bytes | None) -> None:
        await begin(self, epoch, None)

    monkeypatch.setattr(Commits, "begin", forgetful)
    assert any("is missing" in what for what in found())


def test_an_engine_that_forgets_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: OperatorActor, epoch: int) -> Part:
        return Part()

    monkeypatch.setattr(OperatorActor, "save", nothing)
    assert any("'counts'" in what for what in found())


@pytest.mark.parametrize("by", [-1, 1])
def test_an_engine_that_notes_a_wrong_position(monkeypatch: pytest.MonkeyPatch, by: int) -> None:
    save = SourceActor.save

    async def shifted(self: SourceActor, epoch: int) -> Part:
        part = await save(self, epoch)
        marks = {lane: Bookmark(mark.last + by) for lane, mark in part.bookmarks.items()}
        return replace(part, bookmarks=marks)

    monkeypatch.setattr(SourceActor, "save", shifted)
    words = "is missing" if by > 0 else "too often"
    assert any(words in what for what in found())


def test_an_engine_that_commits_before_the_epoch_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take, save = Coordinator._checkpoint, Coordinator._save  # pyright: ignore
    commit = Coordinator._commit  # pyright: ignore

    def noting(self: Any, epoch: int, parts: Any, ended: Any) -> Any:
        self.parts_of = parts
        return take(self, epoch, parts, ended)

    async def hasty(self: Any, checkpoint: Any) -> None:
        await commit(self, checkpoint.epoch, self.parts_of)
        await save(self, checkpoint)

    monkeypatch.setattr(Coordinator, "_checkpoint", noting)
    monkeypatch.setattr(Coordinator, "_save", hasty)
    assert any("committed before it was stored" in what for what in found())


def test_an_engine_that_acks_before_the_epoch_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    save = SourceActor.save

    async def hasty(self: SourceActor, epoch: int) -> Part:
        part = await save(self, epoch)
        self.acknowledge(part)
        return part

    monkeypatch.setattr(SourceActor, "save", hasty)
    assert any("was acked up to" in what for what in found())


def test_an_engine_whose_calls_are_overtaken_by_a_barrier(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of_them(self: Window) -> Iterator[Any]:
        return (item for item in self.items if not isinstance(item, Barrier))

    take = Window.take

    def barriers_first(self: Window) -> Any:
        for item in self.items:
            if isinstance(item, Barrier):
                self.items.remove(item)
                return item
        return take(self)

    monkeypatch.setattr(Window, "reachable", all_of_them)
    monkeypatch.setattr(Window, "take", barriers_first)
    assert any("'called'" in what and "is missing" in what for what in found())


def test_an_engine_that_holds_records_back_at_a_barrier(monkeypatch: pytest.MonkeyPatch) -> None:
    receive, flush = RegroupActor.receive, RegroupActor._flush  # pyright: ignore

    async def received(self: Any, seconds: float | None = None) -> Any:
        item = await receive(self, seconds)
        self.at_barrier = isinstance(item, Barrier)
        return item

    async def held_back(self: Any, why: Any) -> None:
        if not self.at_barrier:
            await flush(self, why)

    monkeypatch.setattr(RegroupActor, "receive", received)
    monkeypatch.setattr(RegroupActor, "_flush", held_back)
    assert any("'all'" in what for what in found())


def test_an_engine_that_does_not_align_barriers(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[int, tuple[Merge, int]] = {}  # It is kept, so that no other has its address.

    def unaligned(self: Any) -> Barrier | None:
        barrier: Barrier | None = self._barrier
        self._barrier = None
        self._ahead.clear()
        if barrier is None or passed.get(id(self), (self, 0))[1] >= barrier.epoch:
            return None
        passed[id(self)] = self, barrier.epoch
        return barrier

    monkeypatch.setattr(Merge, "_aligned", unaligned)
    assert any("'all'" in what for what in found())
