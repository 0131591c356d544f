"""Which files a pattern names now, in the order in which they are read."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from stat import S_ISREG

from ...runtime.contracts import dataclass

__all__ = ["Found", "list_files"]


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A file that is there: the order is that of time and name."""

    modified: int
    path: str
    size: int
    number: int = field(default=0, compare=False)
    """Of the file, which another one that takes its name does not have (st_ino)."""


def list_files(patterns: Sequence[str], unknown: Callable[[str], bool]) -> list[Found]:
    """The files that match and are `unknown`, by the time of their last change and by name.

    Names that begin with `_` or `.` are passed over: writers keep what is not yet there, or is no
    data, under such names. A file that vanishes meanwhile is not among them.
    """
    found: dict[str, Found] = {}
    for pattern in patterns:
        for path in _matching(pattern):
            if path in found or os.path.basename(path).startswith(("_", ".")) or not unknown(path):
                continue
            try:
                status = os.stat(path)
            except OSError:
                continue
            if S_ISREG(status.st_mode):
                found[path] = Found(status.st_mtime_ns, path, status.st_size, status.st_ino)
    return sorted(found.values())


def _matching(pattern: str) -> Iterator[str]:
    if not glob.has_magic(pattern) or os.path.exists(pattern):
        if os.path.isdir(pattern):
            with os.scandir(pattern) as entries:
                yield from [entry.path for entry in entries]
        else:
            yield pattern
        return
    folder, name = os.path.split(pattern)
    if glob.has_magic(folder) or "**" in name:
        yield from glob.iglob(pattern, recursive=True)
        return
    # The usual case, without a call of the system for each name: a folder may hold very many.
    matches = fnmatch.filter
    try:
        yield from (os.path.join(folder, one) for one in matches(os.listdir(folder or "."), name))
    except FileNotFoundError:
        return
