"""What waits for an actor of columns is handed over together, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest

from thalweg.runtime.batch import Batch, Records
from thalweg.runtime.channel import Channel
from thalweg.runtime.columns import Columns
from thalweg.runtime.origins import Origins
from thalweg.runtime.piling import Piling
from thalweg.runtime.receipt import Receipt
from thalweg.runtime.signals import Barrier, End, Watermark

pa: Any = pytest.importorskip("pyarrow")

pytestmark = pytest.mark.asyncio


def channel() -> Channel:
    return Channel("in", max_batches=64, max_records=8192, max_bytes=1 << 20)


def batch(*records: object, position: int = 0) -> Batch:
    origins = Origins.of("given", "", range(position, position + len(records)))
    return Batch(list(records), Receipt(), origins, born=float(position))


def columns(**values: object) -> Batch:
    table = Columns(pa.table(values))
    return Batch.of_columns(table, Receipt(), Origins.nowhere(len(table)), born=0.0)


def records_of(item: object) -> Records:
    assert isinstance(item, Batch)
    return list(item.records)


async def test_the_batches_that_wait_are_one_with_all_their_claims() -> None:
    inbox = channel()
    given = [batch(1, 2), batch(3, position=2), batch(4, 5, position=3)]
    for one in given:
        assert inbox.offer(one)
    pile = Piling(inbox)
    item = pile.take()
    assert records_of(item) == [1, 2, 3, 4, 5]
    assert isinstance(item, Batch)
    origins = item.came_from()
    assert origins is not None
    assert [origins.at(index).position for index in range(5)] == [0, 1, 2, 3, 4]
    assert item.born == 0.0
    assert not any(one.receipt.settled for one in given)
    item.receipt.settle()
    assert all(one.receipt.settled for one in given)
    assert pile.take() is None
    assert not pile.ready()


async def test_a_watermark_comes_behind_what_it_stood_among_and_no_other_signal_moves() -> None:
    inbox = channel()
    assert inbox.offer(batch(1))
    await inbox.signal(Watermark(1.0))
    assert inbox.offer(batch(2))
    await inbox.signal(Watermark(2.0))
    assert inbox.offer(batch(3))
    await inbox.signal(Barrier(7))
    assert inbox.offer(batch(4))
    await inbox.signal(End())
    pile = Piling(inbox)
    assert records_of(pile.take()) == [1, 2, 3]
    assert pile.ready()
    assert pile.take() == Watermark(2.0)
    assert pile.take() == Barrier(7)
    assert records_of(pile.take()) == [4]
    assert pile.take() == End()
    assert pile.take() is None


async def test_what_says_that_all_is_quiet_keeps_its_place() -> None:
    inbox = channel()
    assert inbox.offer(batch(1))
    await inbox.signal(Watermark(1.0, idle=True))
    await inbox.signal(Watermark(1.0))
    assert inbox.offer(batch(2))
    pile = Piling(inbox)
    assert records_of(pile.take()) == [1]
    assert pile.take() == Watermark(1.0, idle=True)
    assert pile.take() == Watermark(1.0)
    assert records_of(pile.take()) == [2]


async def test_columns_of_another_schema_are_a_batch_of_their_own() -> None:
    inbox = channel()
    for one in (columns(n=[1]), columns(n=[2]), columns(n=["x"]), batch("row"), batch("more")):
        assert inbox.offer(one)
    pile = Piling(inbox)
    first, second = pile.take(), pile.take()
    assert isinstance(first, Batch)
    assert first.columns is not None
    assert first.columns.table.to_pydict() == {"n": [1, 2]}
    assert isinstance(second, Batch)
    assert second.columns is not None
    assert second.columns.table.to_pydict() == {"n": ["x"]}
    assert pile.held() == 2
    assert records_of(pile.take()) == ["row", "more"]
    assert pile.held() == 0


async def test_no_more_is_put_together_than_is_of_use() -> None:
    inbox = Channel("in", max_batches=64, max_records=1 << 20, max_bytes=1 << 30)
    for _ in range(12):
        assert inbox.offer(batch(*range(1000)))
    pile = Piling(inbox)
    assert [len(records_of(pile.take())) for _ in range(2)] == [9000, 3000]
