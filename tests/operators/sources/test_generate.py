from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from thalweg.operators import sources
from thalweg.runtime.contracts import Context, MisconfiguredError

pytestmark = pytest.mark.asyncio


async def settle() -> None:
    """Let all tasks that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


class Gate:
    """A generator that a test drives: it yields what is put in, and tells what becomes of it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.started = 0
        self.tasks: list[object] = []

    async def __call__(self) -> AsyncIterator[int]:
        self.started += 1
        self.tasks.append(asyncio.current_task())
        try:
            while True:
                yield await self.queue.get()
        finally:
            await asyncio.sleep(0)
            self.tasks.append(asyncio.current_task())


async def test_what_is_there_without_waiting_makes_one_batch(context: Context) -> None:
    async def ten() -> AsyncIterator[int]:
        for n in range(10):
            yield n

    source = sources.generate(ten)
    await source.open(context)
    assert await source.read(4) == [0, 1, 2, 3]
    assert await source.read(4) == [4, 5, 6, 7]
    assert await source.read(4) == [8, 9]
    assert await source.read(4) is None
    assert await source.read(4) is None
    await source.close()


async def test_a_record_is_returned_as_soon_as_the_generator_waits(context: Context) -> None:
    gate = Gate()
    source = sources.generate(gate)
    await source.open(context)
    for n in range(3):
        gate.queue.put_nowait(n)
    assert await source.read(100) == [0, 1, 2]
    reading = asyncio.create_task(source.read(100))
    await settle()
    assert not reading.done()
    gate.queue.put_nowait(3)
    assert await reading == [3]
    await source.close()


async def test_it_runs_no_further_than_it_is_read(context: Context) -> None:
    count = 0

    async def endless() -> AsyncIterator[int]:
        nonlocal count
        while True:
            count += 1
            yield count

    source = sources.generate(endless)
    await source.open(context)
    await settle()
    assert count == 0
    await source.read(5)
    await settle()
    assert count == 5
    await source.close()


async def test_between_reads_it_takes_one_record_at_most(context: Context) -> None:
    gate = Gate()
    source = sources.generate(gate)
    await source.open(context)
    gate.queue.put_nowait(0)
    assert await source.read(100) == [0]
    for n in range(1, 5):
        gate.queue.put_nowait(n)
    await settle()
    assert gate.queue.qsize() >= 3
    seen: list[int] = []
    while len(seen) < 4:
        seen += await source.read(100) or []
    assert seen == [1, 2, 3, 4]
    await source.close()


async def test_an_empty_generator_ends_at_once(context: Context) -> None:
    async def nothing() -> AsyncIterator[int]:
        return
        yield 1

    source = sources.generate(nothing)
    await source.open(context)
    assert await source.read(10) is None
    await source.close()


async def test_a_cancelled_read_loses_nothing(context: Context) -> None:
    gate = Gate()
    source = sources.generate(gate)
    await source.open(context)
    seen: list[int] = []
    for n in range(300):
        reading = asyncio.create_task(source.read(10))
        for _ in range(n % 5):
            await asyncio.sleep(0)
        gate.queue.put_nowait(n)
        for _ in range(n % 7):
            await asyncio.sleep(0)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            seen += await reading or []
    while len(seen) < 300:
        seen += await source.read(10) or []
    assert seen == list(range(300))
    await source.close()


async def test_its_finally_has_run_in_the_same_task_when_close_returns(context: Context) -> None:
    for reads in (1, 2):
        gate = Gate()
        source = sources.generate(gate)
        await source.open(context)
        gate.queue.put_nowait(1)
        assert await source.read(1) == [1]
        if reads == 2:  # the generator waits for the queue, not for the reader
            reading = asyncio.create_task(source.read(1))
            await settle()
            reading.cancel()
            await asyncio.wait([reading])
        await source.close()
        first, last = gate.tasks
        assert first is last


async def test_close_without_a_read_starts_nothing(context: Context) -> None:
    gate = Gate()
    source = sources.generate(gate)
    await source.open(context)
    await source.close()
    await sources.generate(gate).close()
    assert gate.started == 0


async def test_the_records_before_an_error_come_first(context: Context) -> None:
    async def breaks() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise OSError("the line is cut")

    source = sources.generate(breaks)
    await source.open(context)
    assert await source.read(10) == [1, 2]
    with pytest.raises(OSError, match="the line is cut"):
        await source.read(10)
    await source.close()


async def test_an_error_while_it_is_closed_is_not_swallowed(context: Context) -> None:
    async def breaks() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise OSError("could not say goodbye")

    source = sources.generate(breaks)
    await source.open(context)
    assert await source.read(1) == [1]
    with pytest.raises(OSError, match="could not say goodbye"):
        await source.close()


async def test_a_generator_that_is_cancelled_from_within_is_a_failure(context: Context) -> None:
    async def cancels() -> AsyncIterator[int]:
        yield 1
        raise asyncio.CancelledError

    source = sources.generate(cancels)
    await source.open(context)
    assert await source.read(1) == [1]
    with pytest.raises(RuntimeError, match="cancels was cancelled from within"):
        await source.read(1)
    await source.close()


async def test_a_generator_that_ignores_its_cancellation_is_closed_all_the_same(
    context: Context,
) -> None:
    closed = False

    async def stubborn() -> AsyncIterator[int]:
        nonlocal closed
        try:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    yield 1
        finally:
            closed = True

    source = sources.generate(stubborn)
    await source.open(context)
    reading = asyncio.create_task(source.read(1))
    await settle()
    reading.cancel()
    await asyncio.wait([reading])
    await source.close()
    assert closed


async def test_what_is_no_async_generator_function_is_refused(context: Context) -> None:
    async def ticks() -> AsyncIterator[int]:
        yield 1

    async def coroutine() -> int:
        return 1

    def plain() -> Iterator[int]:
        yield 1

    wrong: Any
    for wrong, told in (
        (ticks(), "ticks, not ticks()"),
        (5, "not 5"),
        (coroutine, "never yields"),
        (plain, "use records"),
    ):
        with pytest.raises(TypeError) as caught:
            sources.generate(wrong)
        assert told in str(caught.value)
    with pytest.raises(ValueError, match="rate is in records a second"):
        sources.generate(ticks, rate=0)
    assert sources.generate(ticks, rate=3).rate == 3


@pytest.mark.parametrize("kind", ["coroutine", "list"])
async def test_a_function_that_returns_no_async_generator_is_a_failure(
    kind: str, context: Context
) -> None:
    async def coroutine() -> int:
        return 1

    wrong: Any = (lambda: coroutine()) if kind == "coroutine" else (lambda: [1])
    source = sources.generate(wrong)
    await source.open(context)
    with pytest.raises(MisconfiguredError, match=f"returned {kind}, not an async generator"):
        await source.read(1)
    await source.close()
