"""A file, a pipe or a device that is written at once."""

from __future__ import annotations

import os
import select

from ...runtime.contracts import Context
from ._write_failed import WriteFailed

__all__ = ["DirectFile"]


class DirectFile:
    """Shows what is written when `write` returns.

    `file` is the open output, which this closes; `owned` says that it is a regular file that this
    has for itself, which can be cut back.
    """

    def __init__(self, path: str, file: int, context: Context, *, owned: bool) -> None:
        self._path = path
        self._file = file
        self._context = context
        self._owned = owned
        self._records = self._bytes = 0

    async def write(self, data: bytearray, records: int) -> None:
        """Write all of it, or nothing."""
        if self._owned:
            # Directly: this is a copy to the page cache, and a thread would cost more.
            self._write_all(data)
        else:
            await self._context.in_thread(self._write_all, data)
        self._records += records
        self._bytes += len(data)

    async def prepare(self, epoch: int) -> bytes:
        """Nothing is held back."""
        return b""

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Nothing is held back."""

    async def discard(self, epoch: int) -> None:
        """Nothing can be taken back."""

    async def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write_all(self, data: bytearray) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._file, left) :]
            except BlockingIOError:
                # An inherited pipe may have been made non-blocking by whoever shares it.
                select.select([], [self._file], [])
            except OSError as error:
                raise self._failed(error) from error

    def _failed(self, error: OSError) -> WriteFailed:
        state = f"{self._records} records ({self._bytes} bytes) are safely written"
        if self._owned:
            # Back to the last batch that was counted: no torn line, and none twice.
            os.lseek(self._file, self._bytes, os.SEEK_SET)
            os.ftruncate(self._file, self._bytes)
        elif isinstance(error, BrokenPipeError):
            state = f"its reader has gone after {self._records} records ({self._bytes} bytes)"
        else:
            state += "; what follows them may be torn"
        return WriteFailed(
            f"cannot write on to {self._path!r}: {error.strerror}; {state}",
            path=self._path,
            records=self._records,
            bytes=self._bytes,
        )
