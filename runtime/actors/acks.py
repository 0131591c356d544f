"""The acks of one source: handed over in a task of their own, lane by lane, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..bookmarks import Bookmark
from ..contracts import Source

__all__ = ["Acks"]


class Acks:
    """Tells a source what has arrived, beside its reading; a slow `ack` holds up nothing else.

    Of several positions that are due in a lane only the last is told. `broken` hears of an `ack`
    that raised: then none follows; `told` that nothing is left to be told.
    """

    def __init__(
        self,
        source: Source[Any],
        broken: Callable[[Exception], None],
        told: Callable[[], None] | None = None,
    ) -> None:
        self._source = source
        self._all_told = told
        self._broken = broken
        self._due: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._forgotten: set[str] = set()
        self._over: set[str] = set()
        """The lanes that were forgotten before the epoch that comes next was saved."""
        self._wake = asyncio.Event()
        self._last = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        """Begin to tell."""
        self._task = loop.create_task(self._tell(), name=name)

    def goes_on_from(self, lane: str, position: int) -> None:
        """A restored epoch ended here: up to here the source need not be told again."""
        self._told[lane] = position

    def arrived(self, lane: str, position: int) -> None:
        """All of a lane up to this position has arrived."""
        self._due[lane] = position
        self._wake.set()

    def forget(self, lanes: Iterable[str]) -> None:
        """These lanes are over: one that comes under such a name begins anew."""
        self._forgotten.update(lanes)

    def saved(self) -> None:
        """An epoch is saved: of a lane that was forgotten before, it has nothing, or another."""
        self._over |= self._forgotten
        self._forgotten = set()

    def committed(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """All up to these bookmarks is part of an epoch that is stored and committed."""
        for lane in self._over:
            self._told.pop(lane, None)
        self._over = set()
        for lane, mark in bookmarks.items():
            if mark.last > self._told.get(lane, -1):
                self._told[lane] = mark.last
                self.arrived(lane, mark.last)

    async def finish(self) -> None:
        """Hand over the acks that are due; one that is under way is let through."""
        task = self._task
        if task is None:
            return
        self._last = True
        self._wake.set()
        await asyncio.wait([task])

    def close(self) -> None:
        """None will follow."""
        if self._task is not None:
            self._task.cancel()

    async def _tell(self) -> None:
        try:
            while self._due or not self._last:
                await self._wake.wait()
                self._wake.clear()
                while self._due:
                    lane = next(iter(self._due))
                    await self._source.ack(lane, self._due.pop(lane))
                if self._all_told is not None:
                    self._all_told()
        except Exception as error:
            self._broken(error)
