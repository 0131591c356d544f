"""Bookmarks: up to where a source has been read."""

from __future__ import annotations

from .dataclass import dataclass

__all__ = ["Bookmark"]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Up to where a lane has been read: its `last` position, and the source's `note` behind it.

    `last` is -1 where no record has been read yet. `note` is what the last `Read` of the lane
    said; empty where it said nothing.

    >>> Bookmark(41).last + 1
    42
    """

    last: int
    note: bytes = b""
