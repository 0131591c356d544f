"""A sink whose records a test can look at and wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..contracts import Sink
from .tally import Tally

__all__ = ["CollectingSink"]

R = TypeVar("R")


class CollectingSink(Sink[R]):
    """Keeps what it is given in `records`, which all jobs share: a test looks at the prototype.

    >>> import asyncio
    >>> sink: CollectingSink[int] = CollectingSink()
    >>> asyncio.run(sink.write([1, 2]))
    >>> sink.records
    [1, 2]

    Waits when: never. Order: as written. State: the list; it grows without bound, so it is for
    tests. On error: nothing here can fail.
    """

    def __init__(self) -> None:
        self.records: list[R] = []
        self._tally = Tally()

    async def write(self, records: Sequence[R]) -> None:
        self.records.extend(records)
        self._tally.add(len(records))

    async def received(self, count: int) -> None:
        """Wait until `count` records have come, those of earlier jobs included."""
        await self._tally.reach(count)
