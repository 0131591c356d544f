"""A source of lines as a job runs it, for tests: read for a while, be killed, go on."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from thalweg.runtime.contracts import Bookmark, Context, Read, Source
from thalweg.testing import context

__all__ = ["Following"]


@dataclass
class Following:
    """Reads what `make` makes, again and again, and keeps what it has read, lane by lane."""

    make: Callable[[], Source[Any]]
    limit: int = 100
    given: Context = field(default_factory=lambda: context(node="log"))
    lanes: dict[str, list[object]] = field(default_factory=dict[str, list[object]])
    positions: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    rejected: list[str] = field(default_factory=list[str])
    marks: dict[str, Bookmark] = field(default_factory=dict[str, Bookmark])
    source: Source[Any] | None = None

    @property
    def records(self) -> list[object]:
        """What has been read of the only lane."""
        (records,) = self.lanes.values()
        return records

    async def start(self) -> None:
        self.source = copy.copy(self.make())
        await self.source.open(self.given)
        if self.marks:
            await self.source.seek(dict(self.marks))

    async def read(self, *, reads: int = 1_000_000, seconds: float = 20.0) -> bool:
        """Read so often, or until nothing has come for so long; False at the end."""
        if self.source is None:
            await self.start()
        assert self.source is not None
        for _ in range(reads):
            try:
                async with asyncio.timeout(seconds):
                    read = await self.source.read(self.limit)
                    if isinstance(read, Read) and not (read.note or read.positions):
                        read = await self.source.read(self.limit)  # It told only its lanes.
            except TimeoutError:
                return True
            if read is None:
                return False
            assert isinstance(read, Read)
            self._take(read)
        return True

    async def stop(self) -> None:
        """The job is gone; the next read is that of a new one, which goes on."""
        if self.source is not None:
            await self.source.close()
            self.source = None

    def save(self) -> Saved:
        """Where it stands: for `back`."""
        return Saved(
            dict(self.marks),
            {lane: len(records) for lane, records in self.lanes.items()},
            len(self.rejected),
        )

    async def back(self, saved: Saved) -> None:
        """The job was killed, and the last epoch is an older one."""
        await self.stop()
        self.marks = dict(saved.marks)
        for lane in list(self.lanes):
            del self.lanes[lane][saved.counts.get(lane, 0) :]
            del self.positions[lane][saved.counts.get(lane, 0) :]
        del self.rejected[saved.rejected :]

    def events(self, event: str) -> int:
        """How often the source has counted this event."""
        return self.given.counter("followed_file_events", "", event=event).value

    def _take(self, read: Read[Any]) -> None:
        assert read.note
        lane = read.lane
        last = self.marks.get(lane, Bookmark(-1)).last
        for position in sorted([*read.positions, *(bad.position for bad in read.rejected)]):
            assert position > last
            last = position
        self.marks[lane] = Bookmark(last, read.note)
        self.lanes.setdefault(lane, []).extend(read.records)
        self.positions.setdefault(lane, []).extend(read.positions)
        self.rejected += [str(bad.error) for bad in read.rejected]


@dataclass(frozen=True)
class Saved:
    """What a killed job goes back to."""

    marks: dict[str, Bookmark]
    counts: dict[str, int]
    rejected: int
