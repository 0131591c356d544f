"""A small file that knows which epoch a database must have, in case the database forgot."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import StateDamaged
from .chain import digest
from .held_folder import sync_folder
from .mark import Mark

__all__ = ["Marker"]

_FORM = 1
_PLACES = (0, 4096)
"""Written in turn, so that a power cut in a write leaves the other one."""
_SIZE = 256


class Marker:
    """The file with the mark. Written after the database, it never knows of more than was saved.

    Without it a database that was truncated, replaced by an older copy or parted from its log
    would look like a job that begins, or one that got less far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = 0

    def read(self) -> Mark | None:
        """The mark; None where there is no file. Raises StateDamaged, OSError."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        found = [_parsed(data[place : place + _SIZE]) for place in _PLACES]
        marks = [one for one in found if one is not None]
        if not marks:
            raise StateDamaged(
                f"{str(self._path)!r} is damaged, which tells how far the job had come. Restore "
                "it from a copy; or delete it to go on with what the database beside it holds"
            )
        self._turn, mark = max(marks, key=lambda one: one[0])
        return mark

    def write(self, mark: Mark) -> None:
        """Write the mark, durably. Raises OSError."""
        turn = self._turn + 1
        text = f"{_FORM} {turn} {mark.lineage} {mark.last} {mark.seen}"
        line = f"{text} {digest(mark.lineage, 'mark', text).hex()}".ljust(_SIZE - 1) + "\n"
        if self._turn:
            self._overwrite(self._path, line.encode(), _PLACES[turn % 2])
        else:
            # With room for both places, so that no later write needs more of the disk.
            whole = "".join(line.ljust(_PLACES[1]) for _ in _PLACES)
            made = self._path.with_suffix(".new")
            self._overwrite(made, whole.encode(), 0)
            made.replace(self._path)
            sync_folder(self._path.parent)
        self._turn = turn

    def _overwrite(self, path: Path, data: bytes, place: int) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode=0o600)
        try:
            if os.pwrite(file, data, place) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file)
        finally:
            os.close(file)


def _parsed(data: bytes) -> tuple[int, Mark] | None:
    """The turn and the mark of one place, or None where it is not whole."""
    text, _, written = data.decode("ascii", "replace").rstrip().rpartition(" ")
    fields = text.split(" ")
    if len(fields) != 5 or digest(fields[2], "mark", text).hex() != written:
        return None
    form, turn, lineage, last, seen = fields
    if int(form) != _FORM:
        return None
    return int(turn), Mark(lineage, int(last), int(seen))
