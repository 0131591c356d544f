"""Which files are meant: their names, their size, and what is in them by their endings."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import Literal, get_args

from ...runtime.dataclass import dataclass
from ...runtime.errors import ThalwegError
from ...runtime.nodes import nearest

__all__ = ["FORMATS", "Format", "FoundFiles", "find_files"]

Format = Literal["ndjson", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

_ENDINGS: dict[str, Format] = {
    ".json": "ndjson",
    ".jsonl": "ndjson",
    ".ndjson": "ndjson",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
PACKED = {".gz": "gzip", ".zst": "zstd"}
"""The endings of compressed files."""


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files that were found, in the order of their names.

    `passed_over` counts those whose names begin with `_` or `.`, as marker files do.
    """

    paths: tuple[str, ...]
    size: int
    format: Format
    passed_over: int
    empty: int

    @property
    def packed(self) -> tuple[str, ...]:
        """Those that are compressed."""
        return tuple(path for path in self.paths if os.path.splitext(path)[1].lower() in PACKED)

    @property
    def filled(self) -> tuple[str, ...]:
        """Those that have a byte in them."""
        return tuple(path for path in self.paths if os.path.getsize(path))


def find_files(patterns: Sequence[str], wanted: Format | None = None) -> FoundFiles:
    """The files of some names, patterns and folders.

    Raises ThalwegError where there is none, or where they are of several formats.
    """
    paths: dict[str, int] = {}
    hidden: set[str] = set()
    for pattern in patterns:
        for path in _matching(pattern):
            if os.path.basename(path)[:1] in ("_", ".") and path != pattern:
                hidden.add(path)
            else:
                paths[path] = os.stat(path).st_size
    if not paths:
        only = f": only {len(hidden)} whose names begin with _ or ." if hidden else ""
        raise ThalwegError(f"there is no file in {', '.join(patterns)}{only}")
    names = sorted(paths)
    return FoundFiles(
        tuple(names),
        sum(paths.values()),
        wanted or _format_of(names),
        len(hidden),
        sum(not size for size in paths.values()),
    )


def _matching(pattern: str) -> list[str]:
    """The files that a name, a pattern or a folder stands for. Raises ThalwegError for none."""
    if os.path.isdir(pattern):
        with os.scandir(pattern) as entries:
            return [entry.path for entry in entries if entry.is_file()]
    if os.path.exists(pattern):
        return [pattern]
    found = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    # A pattern leaves out what begins with a dot by itself, so that it need not be counted.
    if not found:
        raise ThalwegError(f"there is no file {pattern}.{_neighbour(pattern)}")
    return found


def _neighbour(pattern: str) -> str:
    folder, name = os.path.split(pattern)
    if not os.path.isdir(folder or "."):
        return f" There is no folder {folder} either."
    return nearest(name, os.listdir(folder or "."))


def _format_of(names: Sequence[str]) -> Format:
    """The one format that the endings tell."""
    found: dict[Format, str] = {}
    for name in names:
        base, ending = os.path.splitext(name)
        if ending.lower() in PACKED:
            ending = os.path.splitext(base)[1]
        told = _ENDINGS.get(ending.lower())
        if told is None:
            raise ThalwegError(
                f"the name of {name} does not tell its format: say --format {'|'.join(FORMATS)}, "
                f"or name files that end in {', '.join(_ENDINGS)}"
            )
        found.setdefault(told, name)
    if len(found) > 1:
        told_apart = " and ".join(f"{name} ({told})" for told, name in found.items())
        raise ThalwegError(f"there are files of several formats, {told_apart}: look at one at once")
    return next(iter(found))
