from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

import pytest

from thalweg.operators import sinks

pytestmark = pytest.mark.asyncio


async def test_a_plain_function_gets_every_record_in_order() -> None:
    seen: list[int] = []
    assert await sinks.each(seen.append).write([1, 2, 3]) is None
    assert await sinks.each(seen.append).write([]) is None
    assert seen == [1, 2, 3]


async def test_an_async_function_is_awaited_record_by_record() -> None:
    seen: list[int] = []

    async def slow(record: int) -> None:
        for _ in range(3 - record):
            await asyncio.sleep(0)
        seen.append(record)

    assert await sinks.each(slow).write([1, 2, 3]) is None
    assert seen == [1, 2, 3]


def plain(check: Callable[[int], None]) -> Callable[[int], object]:
    return check


def asynchronous(check: Callable[[int], None]) -> Callable[[int], object]:
    async def function(record: int) -> None:
        await asyncio.sleep(0)
        check(record)

    return function


@pytest.mark.parametrize("kind", [plain, asynchronous])
@pytest.mark.parametrize("bad", [[0], [3], [9], [0, 1, 2], [2, 5, 8, 9], list(range(10))])
@pytest.mark.parametrize("sequence", [list, tuple])
async def test_a_record_for_which_it_raises_is_rejected_alone(
    kind: Callable[[Callable[[int], None]], Callable[[int], object]],
    bad: list[int],
    sequence: type[list[int]],
) -> None:
    seen: list[int] = []

    def check(record: int) -> None:
        seen.append(record)
        if record in bad:
            raise ValueError(f"bad {record}")

    outcome = await sinks.each(kind(check)).write(sequence(range(10)))
    assert seen == list(range(10))
    assert outcome is not None
    assert {at: str(error) for at, error in outcome.rejected.items()} == {
        record: f"bad {record}" for record in bad
    }


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_stop_iteration_is_the_error_of_its_record(at: int) -> None:
    seen: list[int] = []

    def stops(record: int) -> None:
        seen.append(record)
        if record == at:
            raise StopIteration

    outcome = await sinks.each(stops).write([0, 1, 2])
    assert seen == [0, 1, 2]
    assert outcome is not None
    assert list(outcome.rejected) == [at]
    assert isinstance(outcome.rejected[at], StopIteration)


@pytest.mark.parametrize("kind", [plain, asynchronous])
async def test_a_cancellation_is_no_error_of_a_record(
    kind: Callable[[Callable[[int], None]], Callable[[int], object]],
) -> None:
    def cancels(record: int) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await sinks.each(kind(cancels)).write([1])


async def test_objects_and_partials_with_async_calls_are_awaited() -> None:
    seen: list[int] = []

    class Awaited:
        async def __call__(self, record: int) -> None:
            seen.append(record)

    async def two(factor: int, record: int) -> None:
        seen.append(factor * record)

    await sinks.each(Awaited()).write([1])
    await sinks.each(functools.partial(two, 10)).write([2])
    assert seen == [1, 20]


async def test_a_plain_function_that_returns_a_coroutine_is_a_failure() -> None:
    async def function(record: int) -> None:
        raise AssertionError("never runs")

    def hidden(record: int) -> object:
        return function(record)

    with pytest.raises(TypeError, match=re.escape("give the async function itself")) as caught:
        await sinks.each(hidden).write([1])
    assert "hidden" in str(caught.value)


async def test_what_cannot_be_called_is_refused() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="a function of one record, not 5"):
        sinks.each(wrong)


async def test_a_keyed_function_gets_the_key_beside_the_record() -> None:
    seen: list[tuple[int, str | None]] = []

    def take(record: int, key: str | None) -> None:
        if record == 2:
            raise ValueError("two")
        seen.append((record, key))

    async def take_later(record: int, key: str | None) -> None:
        await asyncio.sleep(0)
        take(record, key)

    for function in (take, take_later):
        seen.clear()
        sink = sinks.each(function, keyed=True)
        assert sink.function is None
        outcome = await sink.write_keyed([1, 2, 3], ["s//0", "s//1", None])
        assert seen == [(1, "s//0"), (3, None)]
        assert outcome is not None
        assert {at: str(error) for at, error in outcome.rejected.items()} == {1: "two"}
        assert await sink.write([4]) is None
        assert seen[-1] == (4, None)


async def test_a_keyed_function_that_hides_a_coroutine_is_named() -> None:
    async def function(record: int, key: str | None) -> None:
        raise AssertionError("never runs")

    def hidden(record: int, key: str | None) -> object:
        return function(record, key)

    with pytest.raises(TypeError, match=r"each was given .*hidden, a plain function"):
        await sinks.each(hidden, keyed=True).write_keyed([1], ["k"])
    wrong: Any = 5
    with pytest.raises(TypeError, match="a function of a record and its key, not 5"):
        sinks.each(wrong, keyed=True)
