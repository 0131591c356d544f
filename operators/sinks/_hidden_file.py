"""A hidden file, while it is written."""

from __future__ import annotations

import contextlib
import os
import zlib

__all__ = ["HiddenFile"]


class HiddenFile:
    """Holds what a sink was given for an epoch, whole batches only.

    It is made by the first write, and gone when it is closed, unless it was renamed before. All
    methods raise OSError; after a failed `sync` no other one succeeds.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.length = self.crc = self.records = 0
        self._file = -1
        self._broken: OSError | None = None

    def write(self, data: bytearray, records: int) -> None:
        """Add all of it, or nothing."""
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._file = os.open(self.path, flags, 0o666)
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            os.lseek(self._file, self.length, os.SEEK_SET)
            os.ftruncate(self._file, self.length)
            raise
        self.length += len(data)
        self.crc = zlib.crc32(data, self.crc)
        self.records += records

    def sync(self) -> None:
        """Have what was written survive a power cut; this blocks."""
        if self._broken is not None:
            raise self._broken
        try:
            os.fsync(self._file)
        except OSError as error:
            # The system may have dropped what it could not write, and would say yes next time.
            self._broken = error
            raise

    def close(self) -> None:
        """Let it go."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
