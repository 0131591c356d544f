"""The collecting sink: what came, and waiting for it."""

from __future__ import annotations

import asyncio
import copy

import pytest

from thalweg.testing import CollectingSink, DeadlockError, run_virtual


def test_a_test_can_wait_for_records_to_arrive() -> None:
    async def main() -> tuple[list[int], float]:
        sink: CollectingSink[int] = CollectingSink()
        job = copy.copy(sink)

        async def write() -> None:
            for number in range(5):
                await asyncio.sleep(10.0)
                await job.write([number])

        writing = asyncio.create_task(write())
        await sink.received(3)
        seen, at = list(sink.records), asyncio.get_running_loop().time()
        await sink.received(1)
        await writing
        return seen, at

    assert run_virtual(main) == ([0, 1, 2], 30.0)


def test_waiting_for_records_that_never_come_is_told() -> None:
    async def main() -> None:
        sink: CollectingSink[int] = CollectingSink()
        await sink.write([1])
        await sink.received(2)

    with pytest.raises(DeadlockError, match=r"CollectingSink\.received"):
        run_virtual(main)


def test_who_gives_up_waiting_is_forgotten() -> None:
    async def main() -> list[int]:
        sink: CollectingSink[int] = CollectingSink()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await sink.received(1)
        await sink.write([1])
        return sink.records

    assert run_virtual(main) == [1]
