from __future__ import annotations

import asyncio
import copy
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from thalweg.operators import sources
from thalweg.operators.sources import Delivery, DeliveryLost, Push, PushClosed
from thalweg.runtime.contracts import Context

pytestmark = pytest.mark.asyncio

Open = Callable[[int], Coroutine[Any, Any, Push[int]]]


async def settle() -> None:
    """Let all tasks that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def result(delivery: Delivery) -> None:
    await delivery


@pytest.fixture
def opened(context: Context) -> Open:
    async def make(capacity: int) -> Push[int]:
        source = Push[int](capacity=capacity)
        await source.open(context)
        return source

    return make


async def test_what_is_pushed_is_read_with_dense_positions(opened: Open) -> None:
    source = await opened(10)
    await source.push([1, 2, 3])
    await source.push([4])
    read = await source.read(3)
    assert read is not None
    assert (list(read.records), list(read.positions)) == ([1, 2, 3], [0, 1, 2])
    read = await source.read(3)
    assert read is not None
    assert (list(read.records), list(read.positions)) == ([4], [3])


async def test_a_read_waits_for_a_push(opened: Open) -> None:
    source = await opened(10)
    reading = asyncio.create_task(source.read(5))
    await settle()
    assert not reading.done()
    await source.push([1])
    read = await reading
    assert read is not None
    assert read.records == [1]


async def test_a_cancelled_read_takes_nothing(opened: Open) -> None:
    source = await opened(10)
    reading = asyncio.create_task(source.read(5))
    await settle()
    await source.push([1])
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    read = await source.read(5)
    assert read is not None
    assert list(read.positions) == [0]


async def test_a_delivery_resolves_when_its_last_record_is_acked(opened: Open) -> None:
    source = await opened(10)
    first, second = await source.push([1, 2]), await source.push([3])
    waiting = [asyncio.create_task(result(one)) for one in (first, first, second)]
    await source.read(10)
    await source.ack("", 0)
    await settle()
    assert not first.done
    await source.ack("", 1)
    await settle()
    assert first.done
    assert [task.done() for task in waiting] == [True, True, False]
    await source.ack("", 2)
    await asyncio.gather(*waiting)
    await first


async def test_cancelling_one_who_waits_does_not_touch_the_others(opened: Open) -> None:
    source = await opened(10)
    delivery = await source.push([1])
    given_up, waiting = (asyncio.create_task(result(delivery)) for _ in range(2))
    await settle()
    given_up.cancel()
    await settle()
    await source.ack("", 0)
    await waiting
    assert given_up.cancelled()
    await delivery


async def test_a_push_waits_while_too_many_records_are_under_way(opened: Open) -> None:
    source = await opened(3)
    await source.push([1, 2, 3])
    pushing = asyncio.create_task(source.push([4]))
    await source.read(10)
    await settle()
    assert not pushing.done()
    await source.ack("", 0)
    assert not (await pushing).done


async def test_a_long_list_is_let_in_piece_by_piece_and_stays_together(opened: Open) -> None:
    source = await opened(2)
    long = asyncio.create_task(source.push(list(range(7))))
    await settle()
    short = asyncio.create_task(source.push([100]))
    seen: list[int] = []
    while len(seen) < 8:
        read = await source.read(10)
        assert read is not None
        assert len(read.records) <= 2
        seen += read.records
        await source.ack("", read.positions[-1])
        await settle()
    assert seen == [0, 1, 2, 3, 4, 5, 6, 100]
    for task in (long, short):
        assert (await task).done


async def test_nothing_pushed_is_delivered_at_once(opened: Open) -> None:
    source = await opened(2)
    await source.push([1])
    await (await source.push([]))


async def test_a_cancelled_push_lets_the_next_one_pass(opened: Open) -> None:
    source = await opened(1)
    await source.push([1])
    waiting = asyncio.create_task(source.push([2]))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    pushing = asyncio.create_task(source.push([3]))
    await source.read(1)
    await source.ack("", 0)
    await pushing
    read = await source.read(1)
    assert read is not None
    assert (list(read.records), list(read.positions)) == ([3], [1])


async def test_the_end_comes_behind_all_that_was_pushed(opened: Open) -> None:
    source = await opened(1)
    await source.push([1])
    waiting = asyncio.create_task(source.push([2]))
    await settle()
    ending = asyncio.create_task(source.end())
    await settle()
    assert not ending.done()
    for expected in (1, 2):
        read = await source.read(5)
        assert read is not None
        assert list(read.records) == [expected]
        await source.ack("", read.positions[-1])
        await settle()
    assert await source.read(5) is None
    await ending
    await (await waiting)
    with pytest.raises(PushClosed, match="'node': the input has been ended; 0 of 2 records"):
        await source.push([3, 4])


async def test_the_end_wakes_a_read_that_waits(opened: Open) -> None:
    source = await opened(1)
    reading = asyncio.create_task(source.read(5))
    await settle()
    await source.end()
    assert await reading is None


async def test_a_nack_loses_what_has_not_arrived(opened: Open) -> None:
    source = await opened(10)
    arrived, lost, unread = [await source.push([n, n]) for n in range(3)]
    await source.read(4)
    await source.ack("", 1)
    waiting = asyncio.create_task(result(lost))
    await settle()
    await source.nack("", 2)
    await source.close()
    await arrived
    with pytest.raises(DeliveryLost, match=r"before all of these records were delivered$"):
        await waiting
    with pytest.raises(DeliveryLost, match="2 were never read"):
        await unread


async def test_closing_loses_what_was_never_read(opened: Open) -> None:
    source = await opened(10)
    delivery = await source.push([1, 2, 3])
    await source.read(1)
    await source.close()
    for _ in range(2):
        with pytest.raises(DeliveryLost, match="; 2 were never read"):
            await delivery
    with pytest.raises(PushClosed, match="its job has stopped"):
        await source.push([1])
    await source.end()
    await source.close()


async def test_closing_wakes_a_push_that_waits(opened: Open) -> None:
    source = await opened(2)
    waiting = asyncio.create_task(source.push([1, 2, 3]))
    await settle()
    await source.close()
    with pytest.raises(PushClosed, match="its job has stopped; 2 of 3 records were let in"):
        await waiting


async def test_a_delivery_that_nobody_awaits_warns_of_nothing(opened: Open) -> None:
    problems: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, problem: problems.append(problem))
    source = await opened(10)
    delivery: Delivery | None = await source.push([1])
    await source.close()
    del delivery
    gc.collect()
    await settle()
    assert not problems


async def test_pushing_to_a_prototype_is_refused(context: Context) -> None:
    prototype = Push[int]()
    live = copy.copy(prototype)
    await live.open(context)
    with pytest.raises(PushClosed, match="its job has not started"):
        await prototype.push([1])
    await prototype.close()
    await (await live.push([]))


async def test_the_capacity_is_the_credit_that_the_runtime_keeps() -> None:
    assert sources.push().max_unsettled == 1024
    assert sources.push(capacity=7).max_unsettled == 7
    with pytest.raises(ValueError, match="capacity is in records, 1 or more, not 0"):
        sources.push(capacity=0)
