"""The store in memory: who takes over, virtual time, and faults that a test puts in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from thalweg.runtime.errors import StateLost, StateUnavailable
from thalweg.runtime.stores import Checkpoint, Segment
from thalweg.runtime.stores.memory import MemoryStore
from thalweg.testing import run_virtual


def made(epoch: int) -> Checkpoint:
    return Checkpoint(epoch, b"", [Segment("node", "", b"%d" % epoch, epoch)], seen=False)


def test_a_later_copy_takes_over_and_the_older_one_is_told() -> None:
    async def main() -> None:
        store = MemoryStore()
        await store.open("job")
        await store.save(made(1), keep=1)
        later = store.another()
        assert (await later.open("job")).token == 2
        uses: list[Callable[[], Awaitable[object]]] = [
            store.check,
            store.epochs,
            lambda: store.load(1),
            lambda: store.save(made(2), keep=1),
        ]
        for use in uses:
            with pytest.raises(StateLost, match="another copy of job 'job' has taken over"):
                await use()
        await store.close()
        await later.load(1)
        await later.save(made(2), keep=1)

    run_virtual(main)


def test_without_takeover_the_later_copy_is_refused_while_the_first_one_lasts() -> None:
    async def main() -> None:
        store = MemoryStore(takeover=False)
        await store.open("job")
        later = store.another()
        with pytest.raises(StateLost, match="another copy of job 'job' holds its state"):
            await later.open("job")
        await store.save(made(1), keep=1)
        await store.close()
        assert (await later.open("job")).token == 2
        await later.load(1)

    run_virtual(main)


def test_the_same_object_goes_on_after_whoever_used_it_is_gone() -> None:
    store = MemoryStore()

    async def first() -> None:
        await store.open("job")
        await store.save(made(1), keep=1)

    async def second() -> bytes:
        assert (await store.open("job")).token == 2
        return (await store.load(1)).segments["node", ""][0]

    run_virtual(first)
    assert run_virtual(second) == b"1"


def test_a_test_can_put_faults_in() -> None:
    class Failing(MemoryStore):
        """Saves, and says that it has not."""

        left = 2

        async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
            await super().save(checkpoint, keep=keep)
            if self.left:
                self.left -= 1
                raise StateUnavailable("no answer")

    async def main() -> None:
        store = Failing()
        await store.open("job")
        for epoch in (1, 2):
            while True:
                try:
                    await store.save(made(epoch), keep=2)
                    break
                except StateUnavailable:
                    await asyncio.sleep(60)
        other = store.another()
        assert isinstance(other, Failing)
        await other.open("job")
        assert [one.epoch for one in await other.epochs()] == [1, 2]

    run_virtual(main)
