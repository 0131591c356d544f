"""What SQLite and the disk say, in the words of a store."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from ..errors import StateDamaged, StateError, StateUnavailable

__all__ = ["reported"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MAY_PASS = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOLCK)
_NO_ROOM = "the disk is full: make room, and it is saved after all"


@contextmanager
def reported(where: str) -> Generator[None, None, None]:
    """Turns an error of SQLite or of the disk into a `StateError` that says where.

    `StateUnavailable` is what may pass, `StateDamaged` what is not as it was written, and a plain
    `StateError` what needs somebody's hand.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _of_sqlite(error, where) from error
    except UnicodeDecodeError as error:
        # Python reads what SQLite has to say of a damaged schema, and that has parts of it.
        raise StateDamaged(f"{where} is damaged: it has no text where text was") from error
    except OSError as error:
        raise _of_disk(error, where) from error


def _of_disk(error: OSError, where: str) -> StateError:
    if error.errno in _FULL:
        return StateUnavailable(f"cannot write {where}: {_NO_ROOM} ({error.strerror})")
    if error.errno in _MAY_PASS:
        return StateUnavailable(f"cannot use {where}: {error.strerror}")
    return StateError(f"cannot use {where}: {error.strerror}, {error.filename!r}")


def _of_sqlite(error: sqlite3.Error, where: str) -> StateError:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    said = f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    match code if code is None else code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StateUnavailable(f"cannot write {where}: {_NO_ROOM} ({said})")
        case sqlite3.SQLITE_IOERR:
            return StateUnavailable(f"cannot write or read {where}: {said}; look at the disk")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StateUnavailable(
                f"another program uses {where}, such as a shell of SQLite: end it ({said})"
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_PROTOCOL:
            return StateUnavailable(f"cannot open {where}: {said}")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StateError(f"cannot write {where}: {said}; this user must own it")
        case _:
            # Our statements never change: when one does not fit, the file is not what it was.
            return StateDamaged(f"{where} is damaged: {said}. Restore it from a copy")
