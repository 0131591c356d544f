"""Files of one folder that are opened only to append to them, however many they are."""

from __future__ import annotations

import os

from ...runtime.contracts import MisconfiguredError
from ._files import lock, make_folder

__all__ = ["hold_folder", "open_in", "size_in"]


def hold_folder(path: str, name: str) -> int:
    """Make a folder, and have what is called `name` in it for one sink; a descriptor to close.

    Raises MisconfiguredError where that cannot be, or another sink has it.
    """
    try:
        make_folder(path)
        held = os.open(
            os.path.join(path, f".{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
        )
    except OSError as error:
        raise MisconfiguredError(
            f"cannot write into the folder {path!r}: {error.strerror}"
        ) from error
    try:
        lock(held, path, "folder")
    except BaseException:
        os.close(held)
        raise
    return held


def open_in(folder: str, name: str) -> int:
    """Open a file of the folder for writing; it is made, with what is above it, where missing."""
    path = os.path.join(folder, name)
    # Nobody who may write into the folder leads us to a file elsewhere.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        make_folder(os.path.dirname(path))
        return os.open(path, flags, 0o666)


def size_in(folder: str, name: str) -> int:
    """The size of a file of the folder; 0 where it is missing."""
    try:
        return os.lstat(os.path.join(folder, name)).st_size
    except FileNotFoundError:
        return 0
