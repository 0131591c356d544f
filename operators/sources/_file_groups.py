"""How many files of a stream make a group, behind which a trigger stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

__all__ = ["FileGroups"]


class FileGroups:
    """Groups of so many files, or of so many bytes of them, or of all that are there.

    >>> FileGroups(2, None).first([10, 10, 10]), FileGroups(None, 25).first([10, 10, 10])
    (2, 2)
    >>> FileGroups(None, 5).first([10, 10, 10]), FileGroups(None, None).first([10, 10, 10])
    (1, 3)
    """

    def __init__(self, max_files: int | None, max_bytes: int | None) -> None:
        for option, value in (
            ("max_files_per_trigger", max_files),
            ("max_bytes_per_trigger", max_bytes),
        ):
            if value is not None and (not isinstance(cast("object", value), int) or value < 1):
                raise ValueError(f"{option} is 1 or more, or None for no limit, not {value!r}")
        if max_files is not None and max_bytes is not None:
            raise ValueError("max_files_per_trigger and max_bytes_per_trigger: say only one")
        self._max_files = max_files
        self._max_bytes = max_bytes

    def __str__(self) -> str:
        if self._max_files is not None:
            return f"{self._max_files} files"
        return "all files" if self._max_bytes is None else f"{self._max_bytes:,} bytes of files"

    def first(self, sizes: Iterable[int]) -> int:
        """How many of the next files, of these sizes, make a group: one at least."""
        size, count = 0, 0
        for one in sizes:
            size += one
            if count and self._max_bytes is not None and size > self._max_bytes:
                break
            count += 1
            if count == self._max_files:
                break
        return count
