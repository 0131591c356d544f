"""A folder of files that are appended to at once."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...runtime.contracts import Context
from ._folder_files import hold_folder, open_in
from ._serial import Serial
from ._write_failed import WriteFailed

__all__ = ["DirectFolder"]


class DirectFolder:
    """Shows what is written when `write` returns; holds no file open meanwhile."""

    def __init__(self, path: str, name: str, context: Context) -> None:
        self._path = path
        self._name = name
        self._threads = Serial(context)
        self._held = -1
        self._records = self._bytes = 0

    async def open(self) -> None:
        """Make the folder, and have it for this sink alone."""
        self._held = await self._threads.run(hold_folder, self._path, self._name)

    async def write(self, pieces: Sequence[tuple[str, bytes]], records: int) -> None:
        """Append each piece to the file of its name: all of them, or nothing."""
        await self._threads.run(self._write, pieces)
        self._records += records
        self._bytes += sum(len(data) for _, data in pieces)

    def _write(self, pieces: Sequence[tuple[str, bytes]]) -> None:
        together: dict[str, bytearray] = {}
        for name, data in pieces:
            together.setdefault(name, bytearray()).extend(data)
        before: dict[str, int] = {}
        name = ""
        try:
            for name, whole in together.items():
                file = open_in(self._path, name)
                try:
                    before[name] = os.lseek(file, 0, os.SEEK_END)
                    left = memoryview(whole)
                    while left:
                        left = left[os.write(file, left) :]
                finally:
                    os.close(file)
        except OSError as error:
            for done, size in before.items():
                os.truncate(os.path.join(self._path, done), size)
            raise WriteFailed(
                f"cannot write on to {os.path.join(self._path, name)!r}: {error.strerror}; "
                f"{self._records} records ({self._bytes} bytes) are safely written",
                path=self._path,
                records=self._records,
                bytes=self._bytes,
            ) from error

    async def prepare(self, epoch: int) -> bytes:
        """Nothing is held back."""
        return b""

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Nothing is held back."""

    async def discard(self, epoch: int) -> None:
        """Nothing can be taken back."""

    async def close(self) -> None:
        """Let the folder go."""
        if self._held >= 0:
            held, self._held = self._held, -1
            # Behind a write that nobody awaits any more.
            await self._threads.run(os.close, held)
