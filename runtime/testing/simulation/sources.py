"""Sources in a simulation: the user's own, paced and cut, and some that hold sample data."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from ...bookmarks import Bookmark
from ...context import Context
from ...contracts import Read, Source
from ...nodes import overrides
from ..contexts import context
from .loop import SimulatedLoop

__all__ = ["Ends", "Sample", "ends_of", "paced"]

R = TypeVar("R")

Ends = Mapping[str, int]
"""The last position of each lane that a simulation reads."""

_SIZES = (1, 1, 2, 5, 17, 64, 1024)
_PAUSES = (0.0, 0.0, 0.0, 0.0, 0.002, 0.2)
_AT_ONCE = 1024
_SILENCE = 3600.0
"""Virtual seconds without a record after which a source counts as at its end."""


class _Reader(Protocol):
    """The `read` of a source's class."""

    async def __call__(self, source: Source[Any], limit: int, /) -> Any: ...


def ends_of(source: Source[Any], name: str, most: int) -> Ends:
    """Where the lanes of a source end, when `most` records are read of it.

    The runs of a simulation keep to this, however they mix the lanes: so all read the same.
    """

    async def read() -> Ends:
        opened = copy.copy(source)
        try:
            await opened.open(context(node=name))
            return await _read_to_the_end(opened, most)
        finally:
            await opened.close()

    loop = SimulatedLoop(seed=0, now=0.0, wall=lambda: 0.0, turn=lambda: None)
    try:
        return loop.complete(read())
    finally:
        loop.abandon()
        loop.bury()


async def _read_to_the_end(source: Source[Any], most: int) -> Ends:
    ends: dict[str, int] = {}
    count = 0
    while count < most:
        try:
            async with asyncio.timeout(_SILENCE):
                result: object = await source.read(min(_AT_ONCE, most - count))
        except TimeoutError:
            break
        if result is None:
            break
        if isinstance(result, Read):
            given = cast("Read[object]", result)
            places = [*given.positions, *(one.position for one in given.rejected)]
            if places:
                ends[given.lane] = max(places)
            count += len(places)
        elif isinstance(result, Sequence):
            records = cast("Sequence[object]", result)
            ends[""] = ends.get("", -1) + len(records)
            count += len(records)
    return ends


def paced(
    source: Source[R],
    ends: Ends,
    chance: random.Random,
    acked: Callable[[str, int], None],
) -> Source[R]:
    """The same source, read in pieces and with pauses that are left to chance, and only so far.

    Its class is one of the same name that stands below the source's own, so that nothing else of
    it is different: neither what it can do nor what an epoch notes of it. `acked` hears what it is
    told.
    """
    kind = type(source)
    read: _Reader = kind.read
    reached: dict[str, int] = {}

    async def read_on(self: Source[R], limit: int) -> object:
        while any(reached.get(lane, -1) < end for lane, end in ends.items()):
            if pause := chance.choice(_PAUSES):
                await asyncio.sleep(pause)
            result = await read(self, min(limit, chance.choice(_SIZES)))
            if result is None or not isinstance(result, Sequence | Read):
                return result
            cut = _cut(result, reached, ends)
            if cut is not None:
                return cut
        return None

    async def seek(self: Source[R], bookmarks: Mapping[str, Bookmark]) -> None:
        reached.update((lane, mark.last) for lane, mark in bookmarks.items())
        await kind.seek(self, bookmarks)

    async def ack(self: Source[R], lane: str, position: int) -> None:
        acked(lane, position)
        await kind.ack(self, lane, position)

    body: dict[str, object] = {
        "read": read_on,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    if overrides(source, Source, "seek"):
        body["seek"] = seek
    if overrides(source, Source, "ack"):
        body["ack"] = ack
    made = copy.copy(source)
    object.__setattr__(made, "__class__", type(kind.__name__, (kind,), body))
    return made


def _cut(
    result: Sequence[R] | Read[R], reached: dict[str, int], ends: Ends
) -> Sequence[R] | Read[R] | None:
    """What of this belongs to the simulation; None when nothing does."""
    if not isinstance(result, Read):
        first = reached.get("", -1) + 1
        count = min(len(result), ends.get("", -1) + 1 - first)
        reached[""] = first + count - 1
        return result[:count] if count > 0 else None
    lane, end = result.lane, ends.get(result.lane, -1)
    positions = [at for at in result.positions if at <= end]
    rejected = [one for one in result.rejected if one.position <= end]
    places = [*result.positions, *(one.position for one in result.rejected)]
    reached[lane] = max(reached.get(lane, -1), *places, -1)
    if not positions and not rejected and places:
        return None
    records = result.records[: len(positions)]
    return Read(records, positions, lane, rejected, result.note, result.lanes, forget=result.forget)


class Sample(Source[R]):
    """Records that were given beforehand, in the place of a source that cannot be read again."""

    def __init__(self, records: Sequence[R]) -> None:
        self._records = records

    async def open(self, context: Context) -> None:
        self._next = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        if "" in bookmarks:
            self._next = bookmarks[""].last + 1

    async def read(self, limit: int) -> Sequence[R] | None:
        taken = self._records[self._next : self._next + limit]
        self._next += len(taken)
        return taken or None
