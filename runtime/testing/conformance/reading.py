"""A source while a check reads it, and what it must keep to with each read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import field
from itertools import pairwise
from typing import Final, Generic, TypeVar, cast

from ...bookmarks import Bookmark
from ...columns import Columns
from ...contracts import Read, Source
from ...dataclass import dataclass
from ...signals import Trigger, Watermark
from ..contexts import HeldFence, context, instance
from .expecting import in_time

__all__ = ["REJECTED", "Seen", "SourceCase", "opened", "read", "read_all", "take"]

R = TypeVar("R")

REJECTED: Final = object()
"""Stands in `Seen.lanes` for a piece of input that was rejected."""


# Without slots: on Python 3.11, `Case[int](…)` fails for a frozen generic class that has them.
@dataclass(frozen=True)
class SourceCase(Generic[R]):
    """A source and what it must read.

    `make` returns a new prototype, ready to read `expected` from its beginning and then end;
    signals are passed over, and of columns each row is a record. A source that overrides `seek`
    must go on, from `make`, behind whatever another one had read. `rejected` is the number of
    pieces of input that it must reject (0). `repeatable` is False for a source whose records are
    gone once they are read, such as a queue. `survives_cancel` is False for one that cannot go on
    after a read was cancelled; a job never asks for that. `patience` limits each call, in seconds
    of the loop's time (10).

    >>> import asyncio
    >>> from thalweg.operators import sources
    >>> from thalweg.testing import SOURCE_CHECKS
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
class Seen:
    """What a source has read so far: in all, by lane with positions, and how to go on behind it."""

    records: list[object] = field(default_factory=list[object])
    rejected: int = 0
    reads: int = 0
    lanes: dict[str, list[tuple[int, object]]] = field(
        default_factory=dict[str, list[tuple[int, object]]]
    )
    bookmarks: dict[str, Bookmark] = field(default_factory=dict[str, Bookmark])
    left: tuple[str, ...] | None = None

    def reached(self, lane: str) -> int:
        """The last position that was read of a lane, -1 for none."""
        return self.bookmarks.get(lane, Bookmark(-1)).last


@asynccontextmanager
async def opened(
    case: SourceCase[R],
    prototype: Source[R],
    bookmarks: Mapping[str, Bookmark] | None = None,
) -> AsyncGenerator[Source[R]]:
    """The source as a job with a store opens it, going on behind `bookmarks`, if any; or, where
    they are None, as one without.
    """
    source = instance(prototype)
    fence = None if bookmarks is None else HeldFence()
    try:
        await in_time(source.open(context(fence=fence)), case.patience, "open")
        if bookmarks:
            await in_time(source.seek(dict(bookmarks)), case.patience, "seek")
        yield source
    finally:
        await in_time(source.close(), case.patience, "close")


async def read(case: SourceCase[R], source: Source[R], seen: Seen, limit: int) -> bool:
    """Read once into `seen`; False when the source has ended."""
    result: object = await in_time(source.read(limit), case.patience, f"read({limit})")
    return take(case, seen, limit, result)


def take(case: SourceCase[R], seen: Seen, limit: int, result: object) -> bool:
    """Check what a read returned and add it to `seen`; False when it was the end."""
    if result is None:
        return False
    seen.reads += 1
    if isinstance(result, Watermark | Trigger):
        return True
    lane, note, rejected, left = "", b"", 0, seen.left
    forget: Sequence[str] = ()
    if isinstance(result, Read):
        given = cast("Read[object]", result)
        _check_positions(seen, given)
        records: Sequence[object] = given.records
        lane, note, rejected = given.lane, given.note, len(given.rejected)
        left, forget = given.lanes, given.forget
        entries = [
            *zip(given.positions, records, strict=True),
            *((one.position, REJECTED) for one in given.rejected),
        ]
        entries.sort(key=lambda entry: entry[0])
    elif isinstance(result, Sequence) and not isinstance(result, str | bytes):
        records = cast("Sequence[object]", result)
        entries = list(enumerate(records, seen.reached("") + 1))
    else:
        raise AssertionError(
            f"read({limit}) returned {result!r}: return a list of records, a Read, or None at the "
            "end"
        )
    assert left is None or lane in left or not entries, (
        f"a Read of lane {lane!r} says that only {left} are left: name the lane itself, too"
    )
    assert entries or note or forget or left != seen.left, (
        f"read({limit}) returned nothing: wait until there is a record, or return None"
    )
    # Columns are not cut: the source says how many come at a time.
    assert len(records) <= limit or isinstance(records, Columns), (
        f"read({limit}) returned {len(records)} records: return `limit` of them at most and keep "
        "the rest for the next read"
    )
    seen.left = left
    seen.records.extend(records)
    seen.rejected += rejected
    seen.lanes.setdefault(lane, []).extend(entries)
    if entries or note:
        seen.bookmarks[lane] = Bookmark(entries[-1][0] if entries else seen.reached(lane), note)
    for one in forget:
        seen.bookmarks.pop(one, None)
    assert len(seen.records) <= len(case.expected) + max(limit, len(records)), (
        f"the source has read {len(seen.records)} records and not ended, but only "
        f"{len(case.expected)} are expected: let `read` return None at the end"
    )
    return True


def _check_positions(seen: Seen, given: Read[object]) -> None:
    assert len(given.positions) == len(given.records), (
        f"a Read holds {len(given.records)} records but {len(given.positions)} positions: give "
        "each record one"
    )
    for positions in (given.positions, [one.position for one in given.rejected]):
        assert all(a < b for a, b in pairwise(positions)), (
            f"the positions {list(positions)} of lane {given.lane!r} do not ascend: number the "
            "records of a lane in the order of reading"
        )
    reached = seen.reached(given.lane)
    for position in sorted([*given.positions, *(one.position for one in given.rejected)]):
        assert position > reached, (
            f"position {position} of lane {given.lane!r} comes after position {reached}: number "
            "the records of a lane in ascending order, from 0 or more, each once, also those "
            "that are rejected"
        )
        reached = position


async def read_all(
    case: SourceCase[R], source: Source[R], limit: int = 1024, *, seen: Seen | None = None
) -> Seen:
    """Read to the end, into `seen` if it is given."""
    seen = Seen() if seen is None else seen
    while await read(case, source, seen, limit):
        pass
    return seen
