"""The checks for sources."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Generic, TypeVar, cast

from ...contracts import Read, Source
from ...signals import Barrier, Watermark
from ..contexts import context, instance
from .expecting import expect, in_time

__all__ = ["SOURCE_CHECKS", "SourceCase"]

R = TypeVar("R")

_LIMITS = (1, 2, 7, 1024)


# Without slots: on Python 3.11, `Case[int](…)` fails for a frozen generic class that has them.
@dataclass(frozen=True)
class SourceCase(Generic[R]):
    """A source and what it must read.

    `make` returns a new prototype, ready to read `expected` from its beginning and then end;
    signals are passed over. `rejected` is the number of pieces of input that it must reject (0).
    `repeatable` is False for a source whose records are gone once they are read, such as a queue.
    `survives_cancel` is False for one that cannot go on after a read was cancelled; a job never
    asks for that. `patience` limits each call, in seconds of the loop's time (10).

    >>> from thalweg.operators import sources
    >>> case = SourceCase(lambda: sources.records(range(30)), expected=range(30))
    >>> for check in SOURCE_CHECKS:
    ...     asyncio.run(check(case))
    """

    make: Callable[[], Source[R]]
    expected: Sequence[R]
    rejected: int = 0
    repeatable: bool = True
    survives_cancel: bool = True
    patience: float = 10.0


@dataclass(slots=True)
class _Seen:
    """What a source has read so far."""

    records: list[object] = field(default_factory=list[object])
    rejected: int = 0
    reached: dict[str, int] = field(default_factory=dict[str, int])


@asynccontextmanager
async def _opened(case: SourceCase[R], prototype: Source[R]) -> AsyncGenerator[Source[R]]:
    source = instance(prototype)
    try:
        await in_time(source.open(context(), None), case.patience, "open")
        yield source
    finally:
        await in_time(source.close(), case.patience, "close")


async def _read(case: SourceCase[R], source: Source[R], seen: _Seen, limit: int) -> bool:
    """Read once into `seen`; False when the source has ended."""
    result: object = await in_time(source.read(limit), case.patience, f"read({limit})")
    return _take(case, seen, limit, result)


def _take(case: SourceCase[R], seen: _Seen, limit: int, result: object) -> bool:
    if result is None:
        return False
    if isinstance(result, Watermark | Barrier):
        return True
    if isinstance(result, Read):
        read = cast("Read[object]", result)
        _check_positions(seen, read)
        records: Sequence[object] = read.records
        seen.rejected += len(read.rejected)
        count = len(records) + len(read.rejected)
    elif isinstance(result, Sequence) and not isinstance(result, str | bytes):
        records = cast("Sequence[object]", result)
        count = len(records)
    else:
        raise AssertionError(
            f"read({limit}) returned {result!r}: return a list of records, a Read, or None at the "
            "end"
        )
    assert count, f"read({limit}) returned nothing: wait until there is a record, or return None"
    assert len(records) <= limit, (
        f"read({limit}) returned {len(records)} records: return `limit` of them at most and keep "
        "the rest for the next read"
    )
    seen.records.extend(records)
    assert len(seen.records) <= len(case.expected) + limit, (
        f"the source has read {len(seen.records)} records and not ended, but only "
        f"{len(case.expected)} are expected: let `read` return None at the end"
    )
    return True


def _check_positions(seen: _Seen, read: Read[object]) -> None:
    assert len(read.positions) == len(read.records), (
        f"a Read holds {len(read.records)} records but {len(read.positions)} positions: give each "
        "record one"
    )
    for positions in (read.positions, [one.position for one in read.rejected]):
        assert all(a < b for a, b in pairwise(positions)), (
            f"the positions {list(positions)} of lane {read.lane!r} do not ascend: number the "
            "records of a lane in the order of reading"
        )
    every = sorted([*read.positions, *(one.position for one in read.rejected)])
    for position in every:
        reached = seen.reached.get(read.lane, -1)
        assert position > reached, (
            f"position {position} of lane {read.lane!r} comes after position {reached}: number "
            "the records of a lane in ascending order, from 0 or more, each once, also those "
            "that are rejected"
        )
        seen.reached[read.lane] = position


async def _read_all(case: SourceCase[R], source: Source[R], limit: int = 1024) -> _Seen:
    seen = _Seen()
    while await _read(case, source, seen, limit):
        pass
    return seen


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
    async with _opened(case, case.make()) as source:
        seen = await _read_all(case, source)
    expect(seen.records, case.expected, "the records read")
    assert seen.rejected == case.rejected, (
        f"{seen.rejected} pieces of input were rejected, not {case.rejected}: what cannot be "
        "made a record of belongs into Read.rejected, each piece once"
    )


async def closes_without_a_read(case: SourceCase[Any]) -> None:
    """A source can be closed right after it was opened."""
    async with _opened(case, case.make()):
        pass


async def closes_after_a_part(case: SourceCase[Any]) -> None:
    """A source can be closed when it was read in part."""
    async with _opened(case, case.make()) as source:
        await _read(case, source, _Seen(), 1)


async def closes_after_a_cancelled_read(case: SourceCase[Any]) -> None:
    """A source can be closed when its read was cancelled, as a draining job does."""
    for turns in range(4):
        async with _opened(case, case.make()) as source:
            reading = await _cancelled_read(case, source, turns, 1)
            assert reading.cancelled() or reading.exception() is None, (
                f"a cancelled read raised {reading.exception()!r}: let CancelledError pass"
            )


async def ends_with_none_and_keeps_ending(case: SourceCase[Any]) -> None:
    """After the end, every read says that it is the end."""
    async with _opened(case, case.make()) as source:
        await _read_all(case, source)
        for _ in range(3):
            again: object = await in_time(source.read(1024), case.patience, "read after the end")
            assert again is None, f"a read after the end returned {again!r}: return None again"


async def keeps_to_the_limit(case: SourceCase[Any]) -> None:
    """A read returns between one record and `limit` records."""
    for limit in _LIMITS:
        async with _opened(case, case.make()) as source:
            await _read_all(case, source, limit)


async def reads_the_same_whatever_the_limit(case: SourceCase[Any]) -> None:
    """What is read does not depend on how much is asked for at once."""
    for limit in _LIMITS:
        async with _opened(case, case.make()) as source:
            seen = await _read_all(case, source, limit)
        expect(seen.records, case.expected, f"the records read with limit {limit}")
        assert seen.rejected == case.rejected, (
            f"with limit {limit}, {seen.rejected} pieces of input were rejected, not "
            f"{case.rejected}"
        )


async def positions_ascend(case: SourceCase[Any]) -> None:
    """Each record has a position, and within a lane positions ascend, however it is read."""
    for limit in _LIMITS:
        async with _opened(case, case.make()) as source:
            await _read_all(case, source, limit)


async def a_cancelled_read_loses_nothing(case: SourceCase[Any]) -> None:
    """A record that a cancelled read had not returned comes with the next one."""
    if not case.survives_cancel:
        return
    for turns in range(4):
        seen = _Seen()
        async with _opened(case, case.make()) as source:
            going_on = True
            while going_on:
                reading = await _cancelled_read(case, source, turns, 2)
                if reading.cancelled():
                    going_on = await _read(case, source, seen, 2)
                else:
                    going_on = _take(case, seen, 2, reading.result())
        expect(seen.records, case.expected, "the records read, with each read cancelled once")


async def copies_share_no_cursor(case: SourceCase[Any]) -> None:
    """Two jobs with the same prototype each read everything."""
    if not case.repeatable:
        return
    prototype = case.make()
    one, other = _Seen(), _Seen()
    async with _opened(case, prototype) as first, _opened(case, prototype) as second:
        going = [True, True]
        while any(going):
            for place, (source, seen) in enumerate(((first, one), (second, other))):
                going[place] = going[place] and await _read(case, source, seen, 1)
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
    prototype, seen = case.make(), _Seen()
    for _ in range(2):
        async with _opened(case, prototype) as source:
            seen = await _read_all(case, source)
    expect(
        seen.records,
        case.expected,
        "the records of a second job (create what changes in `open`, not in `__init__`)",
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
)
