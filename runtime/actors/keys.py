"""Idempotency keys: the name of a record that is the same after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ..batch import Batch, Records
from ..contracts import Outcome, Sink
from ..origins import Origin

if TYPE_CHECKING:
    from ..attempts import Repeatable

__all__ = ["Keys"]

_REMEMBERED = 65_536
"""So many keys are remembered, and as many before them, where no epoch ends."""

Keyed = tuple[object, str | None]
"""A record and its key."""


class Keys:
    """Gives each record that comes to a sink its key: source, lane, position, and a number where
    one record became several.

    Everything that is made of a record of a source comes to a sink within one epoch, so the
    numbers begin anew with each; without epochs, the last 65,536 records and more are remembered.
    `starts` tells the starts of the job apart, for the records of
    the sources in `anew`, which count from 0 again after each.
    """

    def __init__(self, starts: int, anew: frozenset[str]) -> None:
        self._starts = starts
        self._anew = anew
        self._seen: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def begin_epoch(self) -> None:
        """A barrier has come."""
        self._seen.clear()
        self._before.clear()

    def keyed(self, batch: Batch) -> Records:
        """The records of a batch, each with its key."""
        origins = batch.came_from()
        if origins is None:
            return [(record, None) for record in batch.records]
        return [(record, self._key(origins.at(i))) for i, record in enumerate(batch.records)]

    def _key(self, origin: Origin) -> str | None:
        if origin.position is None or origin.through not in (None, origin.position):
            return None
        start = f"@{self._starts}" if origin.source in self._anew else ""
        key = f"{origin.source}{start}/{origin.lane}/{origin.position}"
        seen = self._seen.get(key) or self._before.get(key, 0)
        self._seen[key] = seen + 1
        if len(self._seen) > _REMEMBERED:
            self._before, self._seen = self._seen, {}
        return f"{key}/{seen}" if seen else key

    @staticmethod
    def writer(sink: Sink[object]) -> Repeatable:
        """Writes records that have their keys beside them."""

        async def write(pairs: Sequence[object], /) -> Outcome[None] | None:
            keyed = cast("Sequence[Keyed]", pairs)
            return await sink.write_keyed(
                [record for record, _ in keyed], [key for _, key in keyed]
            )

        return write
