"""What a sink that commits is asked, and what is told when it cannot."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from thalweg import Graph, JobFailed, Sink, State, StateLost
from thalweg.testing import CHECKPOINT, MemoryStore, run_virtual, scripted


class Fenced(Sink[object]):
    """Another copy takes over while it prepares, and its target is the first to know."""

    def __init__(self, store: MemoryStore, *, taken_over: bool) -> None:
        self.store = store
        self.taken_over = taken_over

    async def write(self, records: Sequence[object]) -> None:
        pass

    async def prepare(self, epoch: int) -> bytes:
        if self.taken_over:
            await self.store.another().open("fenced")
        raise StateLost("the target has token 2")

    async def commit(self, epoch: int, prepared: bytes) -> None:
        pass

    async def discard(self, epoch: int) -> None:
        pass


def failure(*, taken_over: bool) -> str:
    """What the job fails with."""
    store = MemoryStore()
    graph = Graph("fenced")
    records = graph.read("records", scripted([1, CHECKPOINT, 2]))
    records.to("out", Fenced(store, taken_over=taken_over))

    async def main() -> None:
        async with graph.start(state=State(store)) as job:
            await job.wait()

    with pytest.raises(JobFailed) as raised:
        run_virtual(main)
    return str(raised.value)


def test_a_target_that_knows_another_copy_has_the_store_tell_why() -> None:
    assert "another copy of job 'fenced' has taken over its state" in failure(taken_over=True)


def test_it_is_believed_also_where_the_store_knows_of_nobody() -> None:
    assert "the target has token 2" in failure(taken_over=False)
