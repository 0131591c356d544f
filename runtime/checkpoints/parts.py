"""What one node adds to an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from ..bookmarks import Bookmark
from ..dataclass import dataclass
from ..stores import Segment

__all__ = ["Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """What one node adds to an epoch: memory, the bookmarks of a source, what a sink prepared."""

    segments: Sequence[Segment] = ()
    bookmarks: Mapping[str, Bookmark] = field(default_factory=dict[str, Bookmark])
    prepared: bytes | None = None
