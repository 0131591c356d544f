"""The files that one path named in the course of time: which was it, and which came after it.

Whoever rotates a log renames `app.log` to `app.log.1`, `app.log-20261121` or `app-20261121.log` in
the same folder, and lets a new file take its name.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection

from ...runtime.contracts import MisconfiguredError, dataclass
from ._file import HEAD, fingerprint, open_file

__all__ = ["Mark", "following", "locate", "rotated_from"]

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")
_NUMBERED = re.compile(r"[._-](\d{1,4})")
_DIGIT = re.compile(r"\d")
_SEPARATORS = "._-"
_LOOKS = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """A file that was read up to `offset`: its inode, and its fingerprint up to there."""

    inode: int
    offset: int
    fingerprint: str


def rotated_from(path: str, paths: Collection[str]) -> str | None:
    """The one of `paths` from which a rotated file got this name: `app.log` for `app.log.1`.

    `app-1.log` might be one of `app.log` as well, but also the log of another program.
    """
    for place, character in enumerate(path):
        if character in _SEPARATORS and path[:place] in paths and _token(path, path[:place]):
            return path[:place]
    return None


def locate(path: str, mark: Mark) -> str | None:
    """The name of the file that was read under `path`, which may have been renamed or copied.

    The same inode with the same content is that file. The same content alone is a copy of it, if
    there is enough of it to tell.
    """
    folder, base = os.path.split(path)
    telling = mark.offset >= HEAD
    same: list[str] = []
    copies: list[str] = []
    for name, inode, alike in _listed(folder, base):
        if inode == mark.inode and (alike or telling):
            same.append(name)
        elif alike and telling:
            copies.append(name)
    for names in (same, copies):
        for name in sorted(names, key=lambda name: (name != base, name)):
            found = os.path.join(folder, name)
            if _is(found, mark):
                return found
    return None


def following(path: str, inode: int) -> tuple[str, int] | None:
    """The file that `path` named next, after the one with this inode: its name and inode.

    None while there is none. When the one with this inode is gone, it is what `path` names now.
    """
    folder, base = os.path.split(path)
    inodes = {name: one for name, one, alike in _listed(folder, base) if alike}
    tokens = {name: _token(name, base) for name in inodes}
    here = next((name for name, one in inodes.items() if one == inode and name != base), base)
    name = base
    if (token := tokens.get(here)) is not None:
        age, shape = _age(token), _shape(here, token)
        later = {
            other: _age(found)
            for other, found in tokens.items()
            if found is not None and _shape(other, found) == shape and _age(found) > age
        }
        name = min(later, key=later.__getitem__, default=base)
    if inodes.get(name, inode) == inode:
        return None
    return os.path.join(folder, name), inodes[name]


def _age(token: str) -> tuple[int, str]:
    """Ascends from older to newer: the number grows while a file ages, a date stays."""
    numbered = _NUMBERED.fullmatch(token)
    return (-int(numbered[1]), "") if numbered else (0, token)


def _shape(name: str, token: str) -> str:
    """The same for all names that one habit of renaming makes of one path."""
    like = token[0] + "1" if _NUMBERED.fullmatch(token) else _DIGIT.sub("0", token)
    return name.replace(token, like)


def _listed(folder: str, base: str) -> list[tuple[str, int, bool]]:
    """The names in a folder with their inodes, and whether they are `base` or made from it."""
    before = _list(folder, base)
    # A name that changes while it is listed may be listed twice, or not at all.
    for _ in range(_LOOKS):
        listed = _list(folder, base)
        if listed == before:
            break
        before = listed
    return before


def _list(folder: str, base: str) -> list[tuple[str, int, bool]]:
    listed: list[tuple[str, int, bool]] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder or ".") as entries:
        for entry in entries:
            alike = entry.name == base or _token(entry.name, base) is not None
            # The inode in a folder's list need not be that of the file, as behind a link.
            with contextlib.suppress(OSError):
                listed.append((entry.name, entry.stat().st_ino if alike else entry.inode(), alike))
    return sorted(listed)


def _token(name: str, base: str) -> str | None:
    """What was added to the name `base` when the file was rotated; None if that is not so."""
    if name == base or name.endswith(_COMPRESSED):
        return None
    stem, extension = os.path.splitext(base)
    for before, behind in ((base, ""), (stem, extension)):
        if name.startswith(before) and name.endswith(behind):
            token = name[len(before) : len(name) - len(behind)]
            if len(token) > 1 and token[0] in _SEPARATORS and any(map(str.isdigit, token)):
                return token
    return None


def _is(path: str, mark: Mark) -> bool:
    try:
        descriptor = open_file(path)
    except (FileNotFoundError, MisconfiguredError):
        return False
    try:
        size = os.fstat(descriptor).st_size
        return size >= mark.offset and fingerprint(descriptor, mark.offset) == mark.fingerprint
    finally:
        os.close(descriptor)
