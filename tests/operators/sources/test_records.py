from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from thalweg.operators import sources
from thalweg.runtime.contracts import Bookmark, Context, MisconfiguredError

pytestmark = pytest.mark.asyncio


async def read_all(source: sources.Records[Any], context: Context, limit: int) -> list[list[Any]]:
    await source.open(context)
    batches: list[list[Any]] = []
    while (read := await source.read(limit)) is not None:
        batches.append(read)
    await source.close()
    return batches


async def test_an_iterable_is_read_in_batches_of_the_limit(context: Context) -> None:
    assert await read_all(sources.records(range(5)), context, 2) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(("count", "batches"), [(0, []), (1, [[0]]), (2, [[0, 1]])])
async def test_nothing_and_one_record_end_cleanly(
    count: int, batches: list[list[int]], context: Context
) -> None:
    assert await read_all(sources.records(range(count)), context, 2) == batches


async def test_the_records_before_an_error_come_first(context: Context) -> None:
    def breaks() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    source = sources.records(breaks)
    await source.open(context)
    assert await source.read(10) == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        await source.read(10)


async def test_an_error_on_the_first_record_of_a_read_shows_at_once(context: Context) -> None:
    def breaks() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    source = sources.records(breaks)
    await source.open(context)
    assert await source.read(1) == [1]
    with pytest.raises(OSError, match="the disk is gone"):
        await source.read(1)


async def test_each_job_takes_a_fresh_iterator(context: Context) -> None:
    for given in ([1, 2], lambda: iter([1, 2])):
        prototype = sources.records(given)
        for _ in range(2):
            assert await read_all(copy.copy(prototype), context, 10) == [[1, 2]]


async def test_an_iterator_cannot_be_read_by_a_second_job_in_silence(context: Context) -> None:
    prototype = sources.records(iter([1, 2]))
    assert await read_all(copy.copy(prototype), context, 10) == [[1, 2]]
    with pytest.raises(MisconfiguredError, match="a function that returns a fresh iterator"):
        await copy.copy(prototype).open(context)


async def test_it_goes_on_after_a_position(context: Context) -> None:
    source = sources.records(range(10))
    await source.open(context)
    await source.seek({"": Bookmark(6)})
    assert await source.read(10) == [7, 8, 9]


async def test_passing_over_many_records_lets_others_run(context: Context) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    source = sources.records(lambda: iter(range(100_002)))
    await source.open(context)
    await source.seek({"": Bookmark(99_999)})
    beside = asyncio.create_task(others())
    assert await source.read(10) == [100_000, 100_001]
    beside.cancel()
    assert turns >= 9


async def test_what_cannot_be_iterated_is_refused() -> None:
    async def agen() -> AsyncIterator[int]:
        yield 1

    wrong: Any
    for wrong, told in ((5, "not 5"), (agen(), "use generate")):
        with pytest.raises(TypeError, match=told):
            sources.records(wrong)
    with pytest.raises(ValueError, match="rate is in records a second"):
        sources.records([], rate=-1)
    assert sources.records([1], rate=3).rate == 3


async def test_a_list_is_cut_and_grows(context: Context) -> None:
    numbers = [0, 1, 2]
    source = sources.records(numbers)
    await source.open(context)
    assert await source.read(2) == [0, 1]
    numbers.append(3)
    assert await source.read(9) == [2, 3]
    assert await source.read(9) is None


async def test_a_list_goes_on_from_a_position(context: Context) -> None:
    source = sources.records([0, 1, 2, 3])
    await source.open(context)
    await source.seek({"": Bookmark(1)})
    assert await source.read(9) == [2, 3]


async def test_a_kind_of_list_of_its_own_is_asked_for_its_records(context: Context) -> None:
    class Doubled(list[int]):
        def __iter__(self) -> Iterator[int]:
            return iter([2 * one for one in super().__iter__()])

    assert await read_all(sources.records(Doubled([1, 2, 3])), context, 2) == [[2, 4], [6]]
