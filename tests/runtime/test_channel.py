"""Channels are bounded three ways, number their batches, and let a sender wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from thalweg.runtime.batch import Batch, size_of
from thalweg.runtime.channel import Channel
from thalweg.runtime.errors import RuntimeFault
from thalweg.runtime.receipt import JoinedReceipt, Receipt
from thalweg.runtime.signals import End
from thalweg.testing import run_virtual

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def _batch(count: int = 1, record: object = 0) -> Batch:
    return Batch([record] * count, Receipt(), None, 0.0)


def _channel(*, max_batches: int = 100, max_records: int = 1000, max_bytes: int = 10**9) -> Channel:
    return Channel("c", max_batches=max_batches, max_records=max_records, max_bytes=max_bytes)


def _taken(channel: Channel) -> list[int]:
    """The sizes of what is taken out, 0 for a signal."""
    sizes: list[int] = []
    while (item := channel.take()) is not None:
        sizes.append(len(item.records) if isinstance(item, Batch) else 0)
    return sizes


@pytest.mark.parametrize(
    ("bounds", "sizes", "fit"),
    [
        ({"max_batches": 3}, [1, 1, 1, 1], 3),
        ({"max_records": 10}, [4, 4, 2, 1], 3),
        ({"max_records": 10}, [4, 7], 1),
        ({"max_records": 10}, [50, 1], 1),
        ({"max_bytes": 30 * size_of(0)}, [10, 10, 10, 1], 3),
        ({"max_bytes": 1}, [1, 1], 1),
    ],
)
def test_a_channel_takes_in_what_its_bounds_allow_and_a_large_batch_alone(
    bounds: dict[str, int], sizes: list[int], fit: int
) -> None:
    async def main() -> None:
        channel = _channel(**bounds)
        assert [channel.offer(_batch(size)) for size in sizes] == [
            number < fit for number in range(len(sizes))
        ]
        statistics = channel.statistics()
        assert (statistics.batches, statistics.records) == (fit, sum(sizes[:fit]))
        assert channel.held() == sum(sizes[:fit])
        assert _taken(channel) == sizes[:fit]
        assert channel.offer(_batch(sizes[-1]))

    run_virtual(main)


def test_records_that_grow_are_measured_again() -> None:
    async def main() -> None:
        channel = _channel(max_bytes=100_000)
        for _ in range(600):
            assert channel.offer(_batch(10, "x"))
            channel.take()
        sent = 0
        while channel.offer(_batch(10, "x" * 1000)):
            sent += 10
            if sent > 6000:
                break
        # At the latest with the 256th batch after the last measure.
        assert sent < 2700

    run_virtual(main)


def test_a_sender_waits_until_half_of_the_channel_is_free() -> None:
    async def main() -> None:
        channel = _channel(max_batches=4)
        sent: list[int] = []

        async def send() -> None:
            for number in range(8):
                await channel.put(_batch(1, number))
                sent.append(number)
            await channel.signal(End())

        sender = asyncio.create_task(send())
        await asyncio.sleep(1)
        assert len(sent) == 4
        assert channel.statistics().sender_waits
        channel.take()
        await asyncio.sleep(1)
        assert len(sent) == 4
        channel.take()
        await asyncio.sleep(1)
        assert len(sent) == 6
        seen = 2
        while not sender.done():
            seen += len(_taken(channel))
            await asyncio.sleep(1)
        assert seen + len(_taken(channel)) == 9

    run_virtual(main)


def test_a_signal_waits_for_room_and_keeps_its_place() -> None:
    async def main() -> None:
        channel = _channel(max_batches=2)
        channel.offer(_batch(1))
        channel.offer(_batch(2))
        signal = asyncio.create_task(channel.signal(End()))
        await asyncio.sleep(1)
        assert not signal.done()
        channel.take()
        await signal
        assert _taken(channel) == [2, 0]

    run_virtual(main)


def test_a_gap_in_the_numbers_is_a_fault_that_names_the_channel() -> None:
    async def main() -> None:
        channel = _channel()
        first, second = _batch(), _batch()
        channel.offer(first)
        channel.offer(second)
        channel.take()
        second.seq = 7
        with pytest.raises(RuntimeFault, match="channel c: batch 7 came where 1 was due"):
            channel.take()

    run_virtual(main)


def test_a_wait_ends_for_an_item_a_wake_and_the_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        channel = _channel()
        await channel.wait(5.0)
        assert loop.time() == 5.0
        loop.call_later(1.0, channel.wake)
        await channel.wait(5.0)
        assert loop.time() == 6.0
        loop.call_later(1.0, channel.offer, _batch())
        await channel.wait()
        assert loop.time() == 7.0
        await channel.wait()
        assert channel.take() is not None
        channel.wake()
        await channel.wait()
        await channel.wait(1.0)
        assert loop.time() == 8.0

    run_virtual(main)


# Receipts


def test_a_receipt_is_settled_when_all_its_claims_are_and_never_again() -> None:
    done: list[Receipt] = []
    receipt = Receipt(done.append, records=5)
    receipt.fork(2)
    receipt.settle()
    receipt.settle()
    assert not receipt.settled
    receipt.settle()
    assert done == [receipt]
    assert receipt.settled
    with pytest.raises(RuntimeFault, match="forked after"):
        receipt.fork()
    with pytest.raises(RuntimeFault, match="settled more often"):
        receipt.settle()


def test_a_joined_receipt_settles_one_claim_of_each_part() -> None:
    done: list[Receipt] = []
    first, second = Receipt(done.append), Receipt(done.append)
    first.fork()
    joined = JoinedReceipt([first, second])
    joined.fork()
    joined.settle()
    assert done == []
    joined.settle()
    assert done == [second]
    first.settle()
    assert done == [second, first]


@pytest.mark.parametrize(
    ("record", "least", "most"),
    [
        ("x" * 1000, 1000, 1100),
        (["x" * 1000] * 100, 100_000, 120_000),
        ({"a": "x" * 1000, "b": ["y" * 1000]}, 2000, 3000),
        (list(range(100_000)), 2_000_000, 6_000_000),
        (None, 1, 100),
    ],
)
def test_the_size_of_a_record_is_about_right(record: Any, least: int, most: int) -> None:
    assert least <= size_of(record) <= most
