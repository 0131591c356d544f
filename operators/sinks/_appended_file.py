"""A file to which whole epochs are appended."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import orjson

from ...runtime.contracts import Context, Fence, MisconfiguredError, dataclass
from ._files import append, checksum, rename, sync_folder
from ._hidden_file import HiddenFile
from ._hidden_parts import HiddenParts
from ._serial import Serial
from ._write_failed import WriteFailed

__all__ = ["AppendedFile"]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What `commit` needs: which bytes of the file are the epoch's, and where they wait."""

    path: str
    start: int
    length: int
    crc: int
    part: str

    @property
    def end(self) -> int:
        return self.start + self.length


class AppendedFile:
    """Holds what is written back in a hidden file beside it, and appends that at the commit.

    `file` is the open output, which this has for itself and closes.
    """

    def __init__(self, path: str, file: int, context: Context, fence: Fence) -> None:
        self._path = path
        self._whole = os.path.abspath(path)
        self._folder, name = os.path.split(self._whole)
        self._file = file
        self._fence = fence
        self._threads = Serial(context)
        self._parts = HiddenParts(self._folder, name, fence)
        self._part = HiddenFile(self._parts.written())
        self._end = 0  # of the output, once all that is prepared is appended
        self._committed = self._records = 0
        self._counts: dict[int, int] = {}
        self._recovering = True

    async def write(self, data: bytearray, records: int) -> None:
        """Add to the hidden file: a copy to the page cache, for which a thread would cost more."""
        try:
            self._part.write(data, records)
        except OSError as error:
            raise self._failed("cannot write on to", error) from error

    async def prepare(self, epoch: int) -> bytes:
        """Have the hidden file survive a power cut, under a name that tells its epoch."""
        part = self._part
        name = self._parts.prepared(epoch) if part.length else ""
        prepared = _Prepared(self._whole, self._end, part.length, part.crc, name)
        if name:
            await self._threads.run(self._prepare, name)
        self._recovering = False
        self._counts[epoch] = part.records
        self._end = prepared.end
        part.close()
        self._part = HiddenFile(part.path)
        return orjson.dumps(asdict(prepared))

    def _prepare(self, name: str) -> None:
        try:
            self._part.sync()
            rename(self._part.path, os.path.join(self._folder, name))
            sync_folder(self._folder)
        except OSError as error:
            raise self._failed("cannot prepare an epoch for", error) from error

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Append what the epoch holds, unless that was done before."""
        decoded: Any = orjson.loads(prepared)
        given = _Prepared(**decoded)
        await self._fence.check()
        await self._threads.run(self._commit, epoch, given)
        self._committed = given.end
        self._records += self._counts.pop(epoch, 0)
        if self._recovering:
            self._end = given.end

    def _commit(self, epoch: int, given: _Prepared) -> None:
        try:
            size = os.fstat(self._file).st_size
            part = os.path.join(self._folder, given.part)
            if size >= given.start and self._waits(given, part):
                self._append(given, part)
                os.fsync(self._file)
                os.unlink(part)
            elif not self._holds(given, size):
                raise MisconfiguredError(self._missing(epoch, given, size))
            elif size > given.end:
                os.ftruncate(self._file, given.end)
                os.fsync(self._file)
        except OSError as error:
            raise self._failed(f"cannot append epoch {epoch} to", error) from error

    def _waits(self, given: _Prepared, part: str) -> bool:
        """Whether the hidden file is there, whole as it was."""
        if not given.part or not os.path.exists(part) or os.path.getsize(part) != given.length:
            return False
        return not self._recovering or checksum(part, 0, given.length) == given.crc

    def _append(self, given: _Prepared, part: str) -> None:
        # Should the output be longer, then an earlier attempt was interrupted.
        os.ftruncate(self._file, given.start)
        source = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            append(source, self._file, given.start)
        except OSError:
            os.ftruncate(self._file, given.start)
            raise
        finally:
            os.close(source)

    def _holds(self, given: _Prepared, size: int) -> bool:
        """Whether the output holds the epoch already."""
        return size >= given.end and checksum(self._whole, given.start, given.length) == given.crc

    def _missing(self, epoch: int, given: _Prepared, size: int) -> str:
        what = (
            f"epoch {epoch} was prepared for {given.path!r}, as the {given.length} bytes from "
            f"{given.start} on; but {self._path!r} holds {size} bytes"
        )
        if size >= given.end:
            what += ", and others in that place"
        if given.part:
            what += f", and {given.part!r} is not beside it, or not whole"
        return (
            f"{what}: give back the file as it was, or begin anew with another state; nobody else "
            "may write to a file that a job with a state writes"
        )

    async def discard(self, epoch: int) -> None:
        """Remove the hidden files of other epochs; a job that begins anew empties the output."""
        await self._fence.check()
        self._end = await self._threads.run(self._discard, epoch)

    def _discard(self, epoch: int) -> int:
        try:
            self._parts.sweep(epoch)
            if not epoch:
                os.ftruncate(self._file, 0)
            sync_folder(self._folder)
            return os.fstat(self._file).st_size
        except OSError as error:
            raise self._failed("cannot go on in", error) from error

    async def close(self) -> None:
        """Remove what was not prepared, and let the file go."""
        if self._threads.idle:
            self._close()
        else:
            await self._threads.run(self._close)

    def _close(self) -> None:
        self._part.close()
        os.close(self._file)

    def _failed(self, what: str, error: OSError) -> WriteFailed:
        return WriteFailed(
            f"{what} {self._path!r}: {error.strerror or error}; {self._records} records of this "
            f"run ({self._committed} bytes in all) are committed",
            path=self._path,
            records=self._records,
            bytes=self._committed,
        )
