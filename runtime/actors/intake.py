"""What a source has handed over, checked and numbered, before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ..batch import Records
from ..columns import Columns
from ..contracts import Read, Rejected, Source
from ..dataclass import dataclass
from ..errors import RuntimeFault
from ..identities import Identities
from .strands import Strands

__all__ = ["Intake", "Taken"]


@dataclass(frozen=True, slots=True)
class Taken:
    """One read: its records with their positions, and the stretch of the lane that it covers."""

    lane: str
    records: Records
    positions: Sequence[int]
    rejected: Sequence[Rejected]
    count: int
    first: int
    last: int


class Intake:
    """Takes the reads of one source: positions grow, and no record is taken twice."""

    def __init__(
        self, source: Source[object], name: str, strands: Strands, identities: Identities | None
    ) -> None:
        self._source, self._name = source, name
        self._strands, self._identities = strands, identities

    def take(self, result: Sequence[object] | Read[object]) -> Taken | None:
        """The read as it will be sent, or None if it holds nothing.

        Raises ValueError where positions go back, and RuntimeFault where the source breaks its
        word.
        """
        taken = self._read(result) if isinstance(result, Read) else self._listed(result)
        if taken is None or self._identities is None:
            return taken
        records, positions, strange = self._identities.sift(taken.records, taken.positions)
        rejected = [*taken.rejected, *strange]
        return Taken(taken.lane, records, positions, rejected, taken.count, taken.first, taken.last)

    def _read(self, read: Read[object]) -> Taken | None:
        records, lane = self._records_of(read), read.lane
        if len(read.positions) != len(records):
            raise RuntimeFault(f"{len(read.positions)} positions came with {len(records)} records")
        if read.note:
            self._strands.note(lane, read.note)
        if read.forget:
            self._strands.forget(read.forget)
        count = len(records) + len(read.rejected)
        if not count:
            return None
        also = [one.position for one in read.rejected]
        first, last = self._strands.check(lane, read.positions, also)
        return Taken(lane, records, read.positions, read.rejected, count, first, last)

    def _listed(self, result: Sequence[object]) -> Taken | None:
        records = result if isinstance(result, list) else list(result)
        if not records:
            return None
        positions = self._strands.counted("", len(records))
        return Taken("", records, positions, (), len(records), positions[0], positions[-1])

    def _records_of(self, read: Read[object]) -> Records:
        """The records as a list, or columns as they are."""
        if not isinstance(read.records, Columns):
            return list(read.records)
        if not self._source.gives_columns or self._identities is not None:
            why = (
                "asks for the identity of each" if self._identities else "has not said that it does"
            )
            raise RuntimeFault(f"{self._name!r} gives columns, and {why}")
        return cast("Records", read.records)
