"""Whether compressed files are whole, and no larger than is sensible."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

from ...runtime.errors import MissingExtra, ThalwegError
from .found_files import PACKED

__all__ = ["check_packed"]

_CHUNK = 1 << 20
_ALWAYS = 16 << 20
"""Bytes: a file may always become as large as that."""


def check_packed(path: str, max_ratio: float, tick: Callable[[], None]) -> int:
    """Unpack a file without keeping any of it, and return the bytes that it becomes.

    `tick` is called now and then, and may raise. Raises ThalwegError where the file becomes more
    than `max_ratio` times as large as it is, or is damaged.
    """
    kind = PACKED[os.path.splitext(path)[1].lower()]
    most = max(_ALWAYS, int(max_ratio * os.path.getsize(path)))
    size = 0
    try:
        with _opened(path, kind) as packed:
            while chunk := packed.read(_CHUNK):
                size += len(chunk)
                tick()
                if size > most:
                    raise ThalwegError(
                        f"{path} becomes more than {max_ratio:g} times as large when it is "
                        "unpacked, and was read no further: say --max-ratio if that is meant"
                    )
    except (OSError, EOFError, zlib.error) as error:
        raise ThalwegError(f"{path} is no whole {kind} file: {error}") from None
    return size


def _opened(path: str, kind: str) -> IO[bytes]:
    if kind == "gzip":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra(f"a look at {path}", "sql") from None
    arrow: Any = pyarrow
    return cast("IO[bytes]", arrow.CompressedInputStream(arrow.OSFile(path, "rb"), "zstd"))
