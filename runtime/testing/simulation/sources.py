"""Sources in a simulation: the user's own, paced and cut, and some that hold sample data."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from ...bookmarks import Bookmark
from ...contracts import Read, Source
from ...nodes import overrides

__all__ = ["Extent", "Sample", "paced"]

R = TypeVar("R")

_SIZES = (1, 1, 2, 5, 17, 64, 1024)
_PAUSES = (0.0, 0.0, 0.0, 0.0, 0.002, 0.2)
_SILENCE = 3600.0
"""Virtual seconds without a record after which a source counts as at its end."""


@dataclass(slots=True)
class Extent:
    """How much of a source a simulation reads: `most` records, or up to these ends of its lanes.

    The first run finds the ends; the others keep to them, however they mix the lanes.
    """

    most: int
    read: int = 0
    ends: dict[str, int] = field(default_factory=dict[str, int])
    found: bool = False


class _Reader(Protocol):
    """The `read` of a source's class."""

    async def __call__(self, source: Source[Any], limit: int, /) -> Any: ...


def paced(
    source: Source[R],
    extent: Extent,
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
        while True:
            if extent.found and all(
                reached.get(lane, -1) >= end for lane, end in extent.ends.items()
            ):
                return None
            if not extent.found and extent.read >= extent.most:
                extent.found = True
                return None
            if pause := chance.choice(_PAUSES):
                await asyncio.sleep(pause)
            most = min(limit, chance.choice(_SIZES))
            if not extent.found:
                most = min(most, extent.most - extent.read)
            result = await _or_silence(read(self, most), extent)
            if result is None:
                extent.found = True
                return None
            if not isinstance(result, Sequence | Read):
                return result
            cut = _cut(cast("Sequence[R] | Read[R]", result), reached, extent)
            if cut is not None:
                return cut

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
    made.__class__ = type(kind.__name__, (kind,), body)
    return made


async def _or_silence(reading: Any, extent: Extent) -> object:
    """What is read; None when the first run waits for it too long: nothing will come any more."""
    if extent.found:
        return await reading
    try:
        async with asyncio.timeout(_SILENCE):
            return await reading
    except TimeoutError:
        return None


def _cut(
    result: Sequence[R] | Read[R], reached: dict[str, int], extent: Extent
) -> Sequence[R] | Read[R] | None:
    """What of this belongs to the simulation; None when nothing does."""
    if not isinstance(result, Read):
        first = reached.get("", -1) + 1
        count = len(result)
        if extent.found:
            count = min(count, extent.ends.get("", -1) + 1 - first)
        if count > 0:
            _note(reached, extent, "", first + count - 1, count)
        return result[:count] if count > 0 else None
    lane = result.lane
    end = extent.ends.get(lane, -1) if extent.found else None
    positions = [at for at in result.positions if end is None or at <= end]
    rejected = [one for one in result.rejected if end is None or one.position <= end]
    if not positions and not rejected:
        if not result.positions and not result.rejected:
            return result
        reached[lane] = max(reached.get(lane, -1), *result.positions, -1)
        return None
    last = max(positions[-1:] + [one.position for one in rejected[-1:]])
    _note(reached, extent, lane, last, len(positions) + len(rejected))
    cut = result.records[: len(positions)]
    return Read(cut, positions, lane, rejected, result.note, result.lanes)


def _note(reached: dict[str, int], extent: Extent, lane: str, last: int, count: int) -> None:
    reached[lane] = last
    if not extent.found:
        extent.read += count
        extent.ends[lane] = last


class Sample(Source[R]):
    """Records that were given beforehand, in the place of a source that cannot be read again."""

    def __init__(self, records: Sequence[R]) -> None:
        self._records = records

    async def open(self, context: object) -> None:
        self._next = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        if "" in bookmarks:
            self._next = bookmarks[""].last + 1

    async def read(self, limit: int) -> Sequence[R] | None:
        taken = self._records[self._next : self._next + limit]
        self._next += len(taken)
        return taken or None
