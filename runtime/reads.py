"""What a source hands over, with positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from .dataclass import dataclass

__all__ = ["Read", "Rejected"]

S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Rejected:
    """One piece of input that a source could not make a record of.

    >>> Rejected(7, b"5.1;;", ValueError("4 fields are needed")).position
    7
    """

    position: int
    record: object
    error: Exception


@dataclass(frozen=True)
class Read(Generic[S_co]):
    """What a source read, with positions.

    `records` stand at `positions` of `lane` (one each, ascending; a `range` costs nothing);
    `rejected` becomes dead letters of the source's failed port. `note` is what the source wants to
    be told by `seek` to go on behind these records, such as an offset; the runtime keeps it with
    the last position. A `Read` of no records only leaves its note, and tells its lanes.

    `lanes` names those that still have something to come, this one and those that are not begun
    included; None where the source does not know. `event_time` lets no watermark pass before all
    of them have begun, and leaves those out that are not named any more. A lane may be named for
    longer than it lasts: it is then waited for longer. Hand over the same tuple while nothing
    changes, so that it costs nothing.

    `records` may be `Columns`, of a source that says `gives_columns`. `forget` names lanes whose
    bookmarks are not needed any more, since this `note` stands for them.

    >>> Read(["a", "b"], range(10, 12), lane="file-1").positions[1]
    11
    """

    records: Sequence[S_co]
    positions: Sequence[int]
    lane: str = ""
    rejected: Sequence[Rejected] = ()
    note: bytes = b""
    lanes: tuple[str, ...] | None = None
    forget: Sequence[str] = ()
