"""Records that came where columns are worked on: as columns, with what it cost noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..batch import Records
from ..columns import Columns
from ..counts import NodeCounts
from ..gathering import Gathering
from .rejection import Refused

__all__ = ["gathered"]


def gathered(
    gathering: Gathering, records: Records, counts: NodeCounts, clock: Callable[[], float]
) -> tuple[Columns, Sequence[int], list[Refused]]:
    """Records as columns, with the index of each row, and those that are no row."""
    began = clock()
    columns, refused = gathering.of(records)
    counts.converting += clock() - began
    counts.converted += len(columns)
    places: Sequence[int] = range(len(records))
    if refused:
        places = [at for at in places if at not in refused]
    return columns, places, [(at, records[at], error, None) for at, error in refused.items()]
