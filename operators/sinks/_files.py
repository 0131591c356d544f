"""What the sinks that write files ask of the operating system."""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from collections.abc import Callable
from functools import cache

from ...runtime.contracts import MisconfiguredError

__all__ = [
    "append",
    "can_sync_all",
    "checksum",
    "lock",
    "make_folder",
    "rename",
    "sync_all",
    "sync_file",
    "sync_folder",
]

_PIECE = 1 << 20
_NOT_HERE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF)
"""How a system or a file system says that it cannot copy by itself."""


def make_folder(path: str) -> None:
    """Make a folder, and those above it."""
    try:
        os.makedirs(path or ".", exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{error.filename!r} is no folder") from None


def lock(descriptor: int, path: str, what: str = "file") -> None:
    """Have a file or a folder for this sink alone, for as long as the descriptor is open."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MisconfiguredError(
            f"cannot write {path!r}: another sink is writing it; give each a {what} of its own"
        ) from None
    except OSError:
        pass  # a file system without locks


def rename(old: str, new: str) -> None:
    """Rename a file, in the place of another; nothing is wrong if that was done before."""
    try:
        os.rename(old, new)
    except FileNotFoundError:
        if not os.path.exists(new):
            raise


def sync_file(path: str) -> None:
    """Have a file survive a power cut, whoever wrote it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: str) -> None:
    """Have the names in a folder survive a power cut."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@cache
def _syncfs() -> Callable[[int], int] | None:
    import ctypes  # Few sinks need it.

    try:
        found = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None  # Not Linux.

    def sync(descriptor: int) -> int:
        return ctypes.get_errno() if found(descriptor) else 0

    return sync


def can_sync_all() -> bool:
    """Whether the system syncs a whole file system in one go."""
    return _syncfs() is not None


def sync_all(descriptor: int) -> None:
    """Have everything on the file system of this file survive a power cut, names too.

    Many files are synced so in the time that a few take one by one. Raises OSError.
    """
    sync = _syncfs()
    assert sync is not None, "ask can_sync_all first"
    if failed := sync(descriptor):
        raise OSError(failed, os.strerror(failed))


def append(source: int, target: int, offset: int) -> int:
    """Copy a file to this place of another; return how many bytes that were."""
    copied, by_itself = 0, hasattr(os, "copy_file_range")
    while True:
        if by_itself:
            try:
                count = os.copy_file_range(source, target, 1 << 30, copied, offset + copied)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                by_itself = False
                continue
            if not count and not copied:
                by_itself = False  # Some file systems say 0 where they mean that they cannot.
                continue
        else:
            count = _copy_piece(source, target, copied, offset + copied)
        if not count:
            return copied
        copied += count


def _copy_piece(source: int, target: int, place: int, offset: int) -> int:
    piece = memoryview(os.pread(source, _PIECE, place))
    count = len(piece)
    while piece:
        written = os.pwrite(target, piece, offset)
        offset += written
        piece = piece[written:]
    return count


def checksum(path: str, start: int, length: int) -> int:
    """The CRC-32 of a part of a file."""
    crc, left = 0, length
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while left and (piece := file.read(min(_PIECE, left))):
            crc = zlib.crc32(piece, crc)
            left -= len(piece)
    return crc
