"""The scripted source: what is in its list happens."""

from __future__ import annotations

import asyncio
import copy

import pytest

from thalweg.runtime.contracts import Bookmark, Read, Watermark
from thalweg.runtime.errors import RuntimeFault
from thalweg.testing import (
    CRASH,
    END,
    PAUSE,
    ScriptedCrash,
    ScriptedSource,
    context,
    run_virtual,
    scripted,
)


async def _started(
    prototype: ScriptedSource[int], position: int | None = None
) -> ScriptedSource[int]:
    job = copy.copy(prototype)
    await job.open(context())
    if position is not None:
        await job.seek({"": Bookmark(position)})
    return job


async def _reads(job: ScriptedSource[int], limit: int = 1024) -> list[object]:
    """What each read returned until the end, records with their first position."""
    seen: list[object] = []
    while (result := await job.read(limit)) is not None:
        if isinstance(result, Read):
            assert len(result.records) == len(result.positions)
            seen.append((result.positions[0], list(result.records)))
        else:
            seen.append(result)
    return seen


def test_records_come_in_lists_up_to_the_limit() -> None:
    async def main() -> list[list[object]]:
        source = scripted(*range(5))
        return [await _reads(await _started(source), limit) for limit in (1024, 2)]

    assert run_virtual(main) == [
        [(0, [0, 1, 2, 3, 4])],
        [(0, [0, 1]), (2, [2, 3]), (4, [4])],
    ]


def test_records_come_one_by_one_when_asked() -> None:
    async def main() -> list[object]:
        return await _reads(await _started(scripted(7, 8, one_by_one=True)))

    assert run_virtual(main) == [(0, [7]), (1, [8])]


def test_a_crash_comes_at_its_place_and_a_later_start_goes_on_behind_it() -> None:
    async def main() -> list[object]:
        source = scripted(1, 2, CRASH, 3)
        job = await _started(source)
        first = await job.read(10)
        with pytest.raises(ScriptedCrash, match="place 2"):
            await job.read(10)
        return [first, await _reads(await _started(source))]

    assert run_virtual(main) == [Read([1, 2], range(2)), [(2, [3])]]


def test_an_end_ends_and_keeps_ending_and_a_later_start_goes_on_behind_it() -> None:
    async def main() -> list[object]:
        source = scripted(1, END, 2)
        job = await _started(source)
        first = await _reads(job)
        return [first, await job.read(10), await _reads(await _started(source))]

    assert run_virtual(main) == [[(0, [1])], None, [(1, [2])]]


def test_after_its_last_value_a_script_begins_anew() -> None:
    async def main() -> list[object]:
        source = scripted(1, END, 2)
        return [await _reads(await _started(source)) for _ in range(3)]

    assert run_virtual(main) == [[(0, [1])], [(1, [2])], [(0, [1])]]


def test_recovery_goes_back_to_a_position_but_not_through_the_crash_again() -> None:
    async def main() -> list[object]:
        source = scripted(0, 1, CRASH, 2, END, 3)
        job = await _started(source)
        await job.read(10)
        with pytest.raises(ScriptedCrash):
            await job.read(10)
        return await _reads(await _started(source, position=0))

    assert run_virtual(main) == [(1, [1]), (2, [2])]


def test_a_position_that_is_not_in_the_script_is_refused() -> None:
    async def main() -> None:
        await _started(scripted(0, 1), position=2)

    with pytest.raises(ValueError, match=r"position 2 .* at 0 to 1"):
        run_virtual(main)


def test_a_pause_takes_the_time_of_the_loop() -> None:
    async def main() -> tuple[list[object], float]:
        reads = await _reads(await _started(scripted(1, PAUSE(60), 2)))
        return reads, asyncio.get_running_loop().time()

    assert run_virtual(main) == ([(0, [1]), (1, [2])], 60.0)


def test_a_read_cancelled_in_a_pause_loses_nothing_and_waits_only_for_the_rest() -> None:
    async def main() -> tuple[object, float]:
        job = await _started(scripted(PAUSE(60), 1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(45.0):
                await job.read(10)
        return await job.read(10), asyncio.get_running_loop().time()

    assert run_virtual(main) == (Read([1], range(1)), 60.0)


def test_a_pause_of_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="PAUSE lasts 0 or more seconds, not -1"):
        PAUSE(-1)


def test_signals_are_handed_out_where_they_stand() -> None:
    async def main() -> list[object]:
        return await _reads(await _started(scripted(1, Watermark(5.0), 2, 3)))

    assert run_virtual(main) == [(0, [1]), Watermark(5.0), (1, [2, 3])]


def test_a_test_can_wait_for_records_to_be_acked() -> None:
    async def main() -> tuple[list[int], float]:
        source = scripted(*range(5))
        job = await _started(source)
        await job.read(3)
        asyncio.get_running_loop().call_later(7.0, asyncio.ensure_future, job.ack("", 1))
        await source.settled(2)
        return source.acked, asyncio.get_running_loop().time()

    assert run_virtual(main) == ([0, 1], 7.0)


def test_acks_and_nacks_of_several_jobs_add_up() -> None:
    async def main() -> tuple[list[int], list[int]]:
        source = scripted(0, 1, CRASH, 2)
        job = await _started(source)
        await job.read(10)
        await job.ack("", 0)
        await job.nack("", 1)
        with pytest.raises(ScriptedCrash):
            await job.read(10)
        job = await _started(source, position=0)
        await job.read(10)
        await job.read(10)
        await job.ack("", 2)
        await source.settled(3)
        return source.acked, source.nacked

    assert run_virtual(main) == ([0, 1, 2], [1])


@pytest.mark.parametrize("position", [-1, 2])
def test_an_ack_of_what_was_not_read_or_goes_back_is_a_fault(position: int) -> None:
    async def main() -> None:
        job = await _started(scripted(*range(5)))
        await job.read(2)
        await job.ack("", 0)
        await job.ack("", position)

    with pytest.raises(RuntimeFault, match=f"ack of position {position}"):
        run_virtual(main)
