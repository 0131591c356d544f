"""A regular file, opened for reading, and how to know it again after a restart."""

from __future__ import annotations

import os
import stat
from hashlib import blake2b

from ...runtime.contracts import MisconfiguredError
from ._note import FORGET

__all__ = ["HEAD", "TAIL", "digest", "fingerprint", "open_file", "refuse_another"]

HEAD = 4096
"""Bytes at the beginning of a file by which it is known again."""
TAIL = 512
"""Bytes before the place up to which it was read that must be the same, too."""


def open_file(path: str) -> int:
    """A file descriptor. Raises FileNotFoundError, or `MisconfiguredError` for other reasons."""
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would hold up the loop right here.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        full = os.path.abspath(path)
        raise MisconfiguredError(f"cannot read {full!r}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MisconfiguredError(f"cannot read {path!r}: not a regular file")
    return descriptor


def fingerprint(descriptor: int, offset: int) -> str:
    """What tells this file from another that has been read up to `offset`, too.

    It is made of the first bytes and of those right before `offset`; what comes behind is free
    to change, since that is where a file grows.
    """
    tail = min(TAIL, offset)
    return digest(
        os.pread(descriptor, min(HEAD, offset), 0), os.pread(descriptor, tail, offset - tail)
    )


def digest(head: bytes, tail: bytes) -> str:
    """The fingerprint of a file whose first and last bytes, of what was read, are these."""
    return blake2b(head + tail, digest_size=16).hexdigest()


def refuse_another(path: str, descriptor: int, offset: int, known: str) -> None:
    """Raise `MisconfiguredError` unless this is the file that was read up to `offset`."""
    size = os.fstat(descriptor).st_size
    if size < offset:
        found = f"is only {size:,} bytes long"
    elif fingerprint(descriptor, offset) != known:
        found = "begins differently"
    else:
        return
    raise MisconfiguredError(
        f"{path} was read up to byte {offset:,}, and now {found}: it is not the file that the "
        f"saved state is about. Put that file back, or {FORGET}"
    )
