"""Compressed files, made large for a reader, and never larger than is sensible."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Any, cast

from ...runtime.contracts import DataError, MisconfiguredError

__all__ = ["inflated"]

_CHUNK = 1 << 20
_ALWAYS = 16 << 20
"""Bytes: a file may always become as large as that."""

_ENDINGS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_OTHERS = (".7z", ".br", ".bz2", ".lz4", ".lzma", ".sz", ".tar", ".tgz", ".xz", ".z", ".zip")
"""What is packed otherwise, and would be read as rows that are none."""


@contextmanager
def inflated(path: str, max_ratio: float) -> Generator[str]:
    """The path of the plain file: this one, or a copy that is gone afterwards.

    Raises DataError where it becomes more than `max_ratio` times as large as it is, is torn, or is
    packed in another way, and MisconfiguredError where there is no room for it.
    """
    ending = os.path.splitext(path)[1].lower()
    kind = _ENDINGS.get(ending)
    if ending in _OTHERS:
        raise DataError(f"{path}: what is packed as {ending} is not read, but .gz and .zst are")
    if kind is None:
        with _named(path) as name:
            yield name
        return
    # Most files are plain.
    import tempfile
    import zlib

    with tempfile.NamedTemporaryFile(prefix="thalweg-", suffix=".plain") as copy:
        most = max(_ALWAYS, int(max_ratio * os.path.getsize(path)))
        written = 0
        with _opened(path, kind) as packed:
            while True:
                try:
                    chunk: bytes = packed.read(_CHUNK)
                except (OSError, EOFError, zlib.error) as error:
                    raise DataError(f"{path} is no whole {kind} file: {error}") from None
                if not chunk:
                    break
                written += len(chunk)
                if written > most:
                    raise DataError(
                        f"{path} becomes more than {max_ratio:g} times as large when it is "
                        f"unpacked, which is where it was stopped: raise max_ratio if it is meant"
                    )
                _write(copy, chunk, path)
        yield copy.name


@contextmanager
def _named(path: str) -> Generator[str]:
    """The path; or one that leads to the same file where its name is no UTF-8."""
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="thalweg-") as folder:
            name = os.path.join(folder, "plain")
            os.symlink(os.path.abspath(path), name)
            yield name
        return
    yield path


def _write(copy: IO[bytes], chunk: bytes, path: str) -> None:
    try:
        copy.write(chunk)
        copy.flush()
    except OSError as error:
        import tempfile

        # That is this machine's fault, not the file's.
        raise MisconfiguredError(
            f"there is no room to unpack {path} in {tempfile.gettempdir()}: {error.strerror}. "
            "Make room, or let TMPDIR name another folder"
        ) from None


def _opened(path: str, kind: str) -> IO[bytes]:
    if kind == "gzip":
        import gzip

        return cast("IO[bytes]", gzip.open(path, "rb"))
    from ...runtime.contracts import arrow

    opened: Any = arrow().CompressedInputStream(open(path, "rb"), "zstd")  # noqa: SIM115
    stream: IO[bytes] = opened
    return stream
