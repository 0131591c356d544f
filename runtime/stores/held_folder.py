"""A folder that one process holds at a time, by a lock on a file in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..errors import StateLost

__all__ = ["HeldFolder", "sync_folder"]


class HeldFolder:
    """A folder, made for its owner alone, and held from `hold` until `let_go` or the process ends.

    Raises OSError where it cannot be made or used, and StateLost where another holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1

    def hold(self, what: str) -> None:
        """Make the folder where it is missing and take the lock; `what` is said in errors."""
        while True:
            self._lock(what)
            # Between the open and the lock it may have been deleted, and made again by another.
            if self.is_held():
                break
            self.let_go()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def _lock(self, what: str) -> None:
        for folder in (self.path.parent, self.path):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(folder.parent)
        self._file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode=0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            self.let_go()
            raise StateLost(
                f"another copy of {what} runs on this machine, {_told(holder)}, and holds "
                f"{str(self.path)!r}: stop it first, or give this job a store of its own"
            ) from None
        except BaseException:
            self.let_go()
            raise

    def is_held(self) -> bool:
        """Whether the lock is held, and is still the one that others would find."""
        if self._file < 0:
            return False
        try:
            there, held = (self.path / "lock").stat(), os.fstat(self._file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def let_go(self) -> None:
        """Release the lock. The file stays: who deletes it lets two hold two."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _told(holder: str) -> str:
    if not holder.isdecimal():
        return "in a process that has just begun"
    if int(holder) == os.getpid():
        return "in this very process"
    try:
        os.kill(int(holder), 0)
    except (ProcessLookupError, OverflowError):
        return f"in a process that {holder}, now dead, had started"
    except PermissionError:
        pass
    return f"in process {holder}"
