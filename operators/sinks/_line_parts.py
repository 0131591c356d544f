"""Lines in a folder, with one file for each epoch."""

from __future__ import annotations

import orjson

from ._epoch_folder import EpochFolder
from ._hidden_file import HiddenFile

__all__ = ["LineParts"]


class LineParts:
    """Writes the file of an epoch, hidden until the commit. `folder` is open."""

    def __init__(self, folder: EpochFolder) -> None:
        self._folder = folder
        self._part = HiddenFile(folder.written(0))

    async def write(self, data: bytearray, records: int) -> None:
        """Add to the hidden file: a copy to the page cache, for which a thread would cost more."""
        try:
            self._part.write(data, records)
        except OSError as error:
            raise self._folder.failed("cannot write on in", error) from error

    async def prepare(self, epoch: int) -> bytes:
        """Have the hidden file belong to the epoch, and survive a power cut."""
        part = self._part
        files = [(part.path, part.length)] if part.length else []
        if files:
            try:
                await self._folder.threads.run(part.sync)
            except OSError as error:
                raise self._folder.failed("cannot prepare an epoch in", error) from error
        prepared = await self._folder.prepare(epoch, files, part.records)
        part.close()
        self._part = HiddenFile(part.path)
        return orjson.dumps(prepared)

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Show the file of the epoch."""
        await self._folder.commit(epoch, orjson.loads(prepared))

    async def discard(self, epoch: int) -> None:
        """Remove the files of later epochs."""
        await self._folder.discard(epoch)

    async def close(self) -> None:
        """Remove what was not prepared."""
        if self._folder.threads.idle:
            self._part.close()
        else:
            await self._folder.threads.run(self._part.close)
