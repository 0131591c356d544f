"""The checks for sources."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ...contracts import Source
from ...nodes import overrides
from .expecting import expect, in_time
from .reading import Seen, SourceCase, opened, read, read_all, take

__all__ = ["SOURCE_CHECKS", "SourceCase"]

R = TypeVar("R")

_LIMITS = (1, 2, 7, 1024)


async def _cancelled_read(
    case: SourceCase[R], source: Source[R], turns: int, limit: int
) -> asyncio.Task[object]:
    """A read that was cancelled after so many turns of the loop, and is done."""

    async def read() -> object:
        return await source.read(limit)

    reading = asyncio.create_task(read())
    for _ in range(turns):
        await asyncio.sleep(0)
    reading.cancel()
    done, _ = await asyncio.wait([reading], timeout=case.patience)
    assert done, "a cancelled read goes on: let CancelledError pass"
    return reading


async def opens_reads_and_closes(case: SourceCase[Any]) -> None:
    """The source reads what is expected, and can be closed."""
    async with opened(case, case.make()) as source:
        seen = await read_all(case, source)
    expect(seen.records, case.expected, "the records read")
    assert seen.rejected == case.rejected, (
        f"{seen.rejected} pieces of input were rejected, not {case.rejected}: what cannot be "
        "made a record of belongs into Read.rejected, each piece once"
    )


async def closes_without_a_read(case: SourceCase[Any]) -> None:
    """A source can be closed right after it was opened."""
    async with opened(case, case.make()):
        pass


async def closes_after_a_part(case: SourceCase[Any]) -> None:
    """A source can be closed when it was read in part."""
    async with opened(case, case.make()) as source:
        await read(case, source, Seen(), 1)


async def closes_after_a_cancelled_read(case: SourceCase[Any]) -> None:
    """A source can be closed when its read was cancelled, as a draining job does."""
    for turns in range(4):
        async with opened(case, case.make()) as source:
            reading = await _cancelled_read(case, source, turns, 1)
            assert reading.cancelled() or reading.exception() is None, (
                f"a cancelled read raised {reading.exception()!r}: let CancelledError pass"
            )


async def ends_with_none_and_keeps_ending(case: SourceCase[Any]) -> None:
    """After the end, every read says that it is the end."""
    async with opened(case, case.make()) as source:
        await read_all(case, source)
        for _ in range(3):
            again: object = await in_time(source.read(1024), case.patience, "read after the end")
            assert again is None, f"a read after the end returned {again!r}: return None again"


async def keeps_to_the_limit(case: SourceCase[Any]) -> None:
    """A read returns between one record and `limit` records."""
    for limit in _LIMITS:
        async with opened(case, case.make()) as source:
            await read_all(case, source, limit)


async def reads_the_same_whatever_the_limit(case: SourceCase[Any]) -> None:
    """What is read does not depend on how much is asked for at once."""
    for limit in _LIMITS:
        async with opened(case, case.make()) as source:
            seen = await read_all(case, source, limit)
        expect(seen.records, case.expected, f"the records read with limit {limit}")
        assert seen.rejected == case.rejected, (
            f"with limit {limit}, {seen.rejected} pieces of input were rejected, not "
            f"{case.rejected}"
        )


async def positions_ascend(case: SourceCase[Any]) -> None:
    """Each record has a position, and within a lane positions ascend, however it is read."""
    for limit in _LIMITS:
        async with opened(case, case.make()) as source:
            await read_all(case, source, limit)


async def a_cancelled_read_loses_nothing(case: SourceCase[Any]) -> None:
    """A record that a cancelled read had not returned comes with the next one."""
    if not case.survives_cancel:
        return
    for turns in range(4):
        seen = Seen()
        async with opened(case, case.make()) as source:
            going_on = True
            while going_on:
                reading = await _cancelled_read(case, source, turns, 2)
                if reading.cancelled():
                    going_on = await read(case, source, seen, 2)
                else:
                    going_on = take(case, seen, 2, reading.result())
        expect(seen.records, case.expected, "the records read, with each read cancelled once")


async def copies_share_no_cursor(case: SourceCase[Any]) -> None:
    """Two jobs with the same prototype each read everything."""
    if not case.repeatable:
        return
    prototype = case.make()
    one, other = Seen(), Seen()
    async with opened(case, prototype) as first, opened(case, prototype) as second:
        going = [True, True]
        while any(going):
            for place, (source, seen) in enumerate(((first, one), (second, other))):
                going[place] = going[place] and await read(case, source, seen, 1)
    for seen in (one, other):
        expect(
            seen.records,
            case.expected,
            "the records of one of two jobs (create what changes in `open`, not in `__init__`)",
        )


async def a_second_job_begins_anew(case: SourceCase[Any]) -> None:
    """When a job has ended, the next one with the same prototype reads all from the beginning."""
    if not case.repeatable:
        return
    prototype, seen = case.make(), Seen()
    for _ in range(2):
        async with opened(case, prototype) as source:
            seen = await read_all(case, source)
    expect(
        seen.records,
        case.expected,
        "the records of a second job (create what changes in `open`, not in `__init__`)",
    )


async def goes_on_behind_a_bookmark(case: SourceCase[Any]) -> None:
    """A source that is started again reads the rest: the same records at the same positions."""
    if not _goes_on(case):
        return
    for limit in _LIMITS:
        whole = await _whole(case, limit)
        # One start for each read, but no more than 40, spread over all of them.
        for stop in sorted({whole.reads * part // 40 for part in range(41)}):
            seen = Seen()
            async with opened(case, case.make(), {}) as source:
                while seen.reads < stop:
                    await read(case, source, seen, limit)
            async with opened(case, case.make(), seen.bookmarks) as source:
                await read_all(case, source, limit, seen=seen)
            _expect_lanes(seen, whole, f"started again after read({limit}) number {stop}")


async def goes_on_again_and_again(case: SourceCase[Any]) -> None:
    """A source that is started again after each read reads everything once."""
    if not _goes_on(case):
        return
    limit = max(1, len(case.expected) // 20)
    whole, seen, more = await _whole(case, limit), Seen(), True
    while more:
        before = dict(seen.bookmarks)
        async with opened(case, case.make(), before) as source:
            # A signal leaves no bookmark, and comes again.
            while more and seen.bookmarks == before:
                more = await read(case, source, seen, limit)
    _expect_lanes(seen, whole, f"started again after each read({limit})")


def _goes_on(case: SourceCase[Any]) -> bool:
    return case.repeatable and bool(overrides(case.make(), Source, "seek"))


async def _whole(case: SourceCase[Any], limit: int) -> Seen:
    async with opened(case, case.make()) as source:
        return await read_all(case, source, limit)


def _expect_lanes(seen: Seen, whole: Seen, when: str) -> None:
    expect(sorted(seen.lanes), sorted(whole.lanes), f"the lanes of a source that is {when}")
    for lane, entries in whole.lanes.items():
        expect(
            seen.lanes[lane],
            entries,
            f"what lane {lane!r} holds when the source is {when} (let `seek` go on right behind "
            "the last position, with what the note of that Read tells; positions and records)",
        )


SOURCE_CHECKS: tuple[Callable[[SourceCase[Any]], Coroutine[Any, Any, None]], ...] = (
    opens_reads_and_closes,
    closes_without_a_read,
    closes_after_a_part,
    closes_after_a_cancelled_read,
    ends_with_none_and_keeps_ending,
    keeps_to_the_limit,
    reads_the_same_whatever_the_limit,
    positions_ascend,
    a_cancelled_read_loses_nothing,
    copies_share_no_cursor,
    a_second_job_begins_anew,
    goes_on_behind_a_bookmark,
    goes_on_again_and_again,
)
