"""Crashes, damaged and absent state, wrong positions: what a job with a store does about them.

The numbers are those of the list of faults that the project keeps to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from thalweg import (
    Bookmark,
    Context,
    DeadLetter,
    Graph,
    JobCancelled,
    JobFailed,
    Read,
    Source,
    State,
    StateDamaged,
    StateError,
    StateUnavailable,
)
from thalweg.operators import sinks, sources
from thalweg.runtime.stores import Checkpoint, Saved
from thalweg.testing import (
    CHECKPOINT,
    CRASH,
    CollectingSink,
    MemoryStore,
    run_virtual,
    scripted,
    simulate,
)

from .counted import Counting, Number, counted, expected, lines, run

# 5 and 6: killed at a record, or while an epoch is saved


def test_5_killed_at_any_record_all_are_there_and_none_is_there_twice() -> None:
    def make() -> Graph:
        graph = Graph("killed")
        numbers = graph.read("numbers", sources.records(range(200)))
        numbers.via("count", Counting()).to("out", sinks.ndjson("out.ndjson"))
        numbers.to("seen", sinks.collect([]))
        return graph

    starts = 0
    for seed in range(25):
        report = simulate(make, seed=seed, faults=["process"])
        assert report.ok, report
        assert not report.not_compared
        starts += report.starts - 1
    assert starts > 25


class Torn(MemoryStore):
    """The process stops for good in a save: before it is done, or after."""

    def __init__(self, epoch: int, *, done: bool) -> None:
        super().__init__()
        self.epoch = epoch
        self.done = done

    async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        if checkpoint.epoch == self.epoch:
            if self.done:
                await super().save(checkpoint, keep=keep)
            await asyncio.get_running_loop().create_future()
        await super().save(checkpoint, keep=keep)


@pytest.mark.parametrize("done", [False, True])
def test_6_killed_while_an_epoch_is_saved_it_is_there_in_full_or_the_one_before_is(
    tmp_path: Path, done: bool
) -> None:
    store, out = Torn(3, done=done), tmp_path / "out.ndjson"
    script = [*range(10), CHECKPOINT, *range(10, 20), CHECKPOINT, *range(20, 30), CHECKPOINT, 30]

    async def killed() -> None:
        job = counted(scripted(*script), out).start(state=State(store, interval=1000.0))
        with contextlib.suppress(JobCancelled):
            async with job:
                await asyncio.sleep(60.0)
                # What a process that is killed leaves behind, without its memory.
                shutil.copytree(tmp_path, tmp_path / "left")
                await job.cancel()
        assert job.state == "cancelled"

    run_virtual(killed)
    left = tmp_path / "left" / "out.ndjson"
    assert lines(left) == expected(20)
    after = store.another()
    after.epoch = 0
    assert run(counted(scripted(*script), left), State(after, interval=1000.0)) == "ended"
    assert lines(left) == expected(31)


# 7: what was saved is damaged


@pytest.fixture
def half_done(tmp_path: Path) -> Path:
    """A folder with the state and the output of a job that stopped after 60 of 100 records."""
    folder = tmp_path / "half done"
    script = [*range(30), CHECKPOINT, *range(30, 60), CHECKPOINT, CRASH]
    with pytest.raises(JobFailed):
        run(counted(scripted(*script), folder / "out.ndjson"), State(folder / "state"))
    assert lines(folder / "out.ndjson") == expected(60)
    return folder


def test_7_what_was_damaged_is_refused_by_name_and_never_begun_anew(
    tmp_path: Path, half_done: Path
) -> None:
    chance = random.Random(7)
    refused = 0
    for number in range(40):
        folder = tmp_path / f"damaged {number}"
        shutil.copytree(half_done, folder)
        files = sorted(path for path in (folder / "state").rglob("*") if path.stat().st_size > 0)
        file = chance.choice([path for path in files if path.is_file()])
        data = bytearray(file.read_bytes())
        if number % 2 == 0:
            del data[chance.randrange(len(data)) :]
        else:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        refusal = ""
        try:
            run(counted(scripted(*range(100)), folder / "out.ndjson"), State(folder / "state"))
        except StateError as error:
            refusal = str(error)
        if refusal:
            refused += 1
            assert str(folder / "state") in refusal
            assert lines(folder / "out.ndjson") == expected(60)
        else:
            # What was damaged is not needed any more: then it goes on as if nothing had been.
            assert lines(folder / "out.ndjson") == expected(100)
    assert refused > 5


class Damaged(MemoryStore):
    """Cannot read one of its epochs any more."""

    damaged = 0

    async def load(self, epoch: int) -> Saved:
        if epoch == self.damaged:
            raise StateDamaged(f"epoch {epoch} in the memory of this process has a wrong checksum")
        return await super().load(epoch)


def test_7_an_epoch_that_somebody_has_seen_is_not_gone_back_below_unless_told_aloud(
    tmp_path: Path,
) -> None:
    store, out = Damaged(), tmp_path / "out.ndjson"
    script = [*range(30), CHECKPOINT, *range(30, 60), CHECKPOINT, CRASH, *range(60, 100)]
    with pytest.raises(JobFailed):
        run(counted(scripted(*script), out), State(store, interval=1000.0))
    store.damaged = 2
    with pytest.raises(StateDamaged, match=r"epoch 2 .*checksum.*--from-epoch 1 does"):
        run(counted(scripted(*range(100)), out), State(store))
    state = State(store, from_epoch=1)
    assert run(counted(scripted(*range(100)), out), state) == "ended"
    # The file has been cut back to epoch 1: what came after that is there once.
    assert lines(out) == expected(100)


def test_7_an_epoch_that_nobody_has_seen_is_passed_over_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, seen = Damaged(), CollectingSink[Number]()

    def graph(*script: Any) -> Graph:
        made = Graph("plain")
        made.read("numbers", Numbers(*script)).via("count", Counting()).to("out", seen)
        return made

    script = [*range(30), CHECKPOINT, *range(30, 60), CHECKPOINT]
    with pytest.raises(JobFailed):
        run(graph(*script, CRASH), State(store, interval=1000.0))
    store.damaged = 2
    with caplog.at_level(logging.WARNING, "thalweg.state"):
        run(graph(*range(100)), State(store, interval=1000.0))
    assert "nobody outside has seen epoch 2, so 'plain' goes on from epoch 1" in caplog.text
    assert seen.records == [*expected(60), *expected(100)[30:]]


class Numbers(Source[int]):
    """As `scripted`, but is not told what has arrived: so nobody outside knows of an epoch."""

    def __init__(self, *script: Any) -> None:
        self._source = scripted(*script)

    async def open(self, context: Context) -> None:
        self._source = scripted(*self._source._script.values)  # pyright: ignore
        await self._source.open(context)

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        await self._source.seek(bookmarks)

    async def read(self, limit: int) -> Any:
        return await self._source.read(limit)


# 14 and 15: what a source counts wrongly, and what never returns


def test_14_a_call_that_never_returns_is_named_and_holds_up_nobody() -> None:
    async def stuck(n: int) -> int:
        await asyncio.sleep(1e9 if n == 5 else 0.01)
        return n

    graph, out, failed = Graph("stuck"), CollectingSink[int](), CollectingSink[DeadLetter]()
    numbers = graph.read("numbers", scripted(*range(20)))
    numbers.map(stuck, name="call", max_in_flight=4, timeout=30.0).to("out", out)
    graph.failed.to("failed", failed)
    assert run(graph, State(MemoryStore())) == "ended"
    assert out.records == [n for n in range(20) if n != 5]
    assert str(failed.records[0].origin) == "numbers, record 5"
    assert "30 s" in failed.records[0].error.message


@pytest.mark.parametrize(
    ("positions", "says"),
    [([0, 1, 2, 2], "repeats"), ([0, 1, 2, 1], "goes back behind"), ([5, 3], "goes back behind")],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_15_a_position_that_comes_again_or_goes_back_is_named(
    positions: list[int], says: str, at_once: bool
) -> None:
    class Miscounting(Source[int]):
        async def open(self, context: Context) -> None:
            self.left = list(positions)

        async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None: ...

        async def read(self, limit: int) -> Read[int] | None:
            count = len(self.left) if at_once else 1
            taken, self.left = self.left[:count], self.left[count:]
            return Read(taken, taken, lane="a") if taken else None

    graph, out = Graph("miscounted"), CollectingSink[int]()
    graph.read("numbers", Miscounting()).to("out", out)
    with pytest.raises(JobFailed, match=f"numbers lane 'a', record {positions[-1]} {says}"):
        run(graph, State(MemoryStore()))
    assert out.records == ([] if at_once else positions[:-1])


# The store goes away, is full, comes back


class Away(MemoryStore):
    """Cannot be reached, or has no room, for a while."""

    says = "the server does not answer"
    away: tuple[float, float] = (1.0, 15.0)

    async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        if self.away[0] < asyncio.get_running_loop().time() < self.away[1]:
            raise StateUnavailable(self.says)
        await super().save(checkpoint, keep=keep)


@pytest.mark.parametrize("says", ["the server does not answer", "the disk is full: make room"])
def test_a_store_that_comes_back_is_waited_for_while_records_flow_on(
    tmp_path: Path, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, out = Away(), tmp_path / "out.ndjson"
    store.says = says
    source = sources.records(list(range(300)), rate=15)

    async def main() -> None:
        graph = counted(source, out)
        async with graph.start(state=State(store, interval=0.5)) as job:
            await asyncio.sleep(10.0)
            progress = job.progress()
            assert progress.read > 140
            assert progress.epochs is not None
            assert progress.epochs.waiting == says
            assert len(lines(out)) < 25
            await asyncio.sleep(8.0)
            epochs = job.progress().epochs
            assert epochs is not None
            assert epochs.waiting is None
            assert len(lines(out)) > 240
            await job.wait()

    with caplog.at_level(logging.WARNING, "thalweg.state"):
        run_virtual(main)
    assert lines(out) == expected(300)
    assert says in caplog.text
    assert "is saved after all" in caplog.text


def test_a_store_that_stays_away_fails_the_job_which_goes_on_later(tmp_path: Path) -> None:
    store, out = Away(), tmp_path / "out.ndjson"
    store.away = (1.0, 1e9)
    graph = counted(sources.records(list(range(300)), rate=15), out)
    with pytest.raises(JobFailed, match=r"graph 'counted': .*the server does not answer") as failed:
        run(graph, State(store, interval=0.5, patience=20.0))
    assert failed.value.node == "state"
    assert 0 < len(lines(out)) < 25
    store.away = (0.0, 0.0)
    assert run(graph, State(store, interval=0.5)) == "ended"
    assert lines(out) == expected(300)
