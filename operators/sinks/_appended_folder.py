"""A folder of files to which whole epochs are appended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, field
from typing import Any

import orjson

from ...runtime.contracts import Context, Fence, MisconfiguredError, dataclass
from ._files import can_sync_all, checksum, rename, sync_all, sync_folder
from ._folder_files import hold_folder, open_in, size_in
from ._hidden_file import HiddenFile
from ._hidden_parts import HiddenParts
from ._serial import Serial
from ._write_failed import WriteFailed

__all__ = ["AppendedFolder"]

_ONE_BY_ONE = 8
"""Files that are synced each for itself: of more, the whole file system is synced once instead."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What `commit` needs: the hidden file, and from where on it tells which piece goes where."""

    part: str
    index: int
    length: int
    crc: int
    records: int


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What stands in the files, as a hidden file beside them tells.

    `epoch` is the last one that was appended whole. While `begun` is appended, `sizes` are those
    that its files had before: from there it is done again after a crash.
    """

    lineage: str
    epoch: int = 0
    begun: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])


class AppendedFolder:
    """Holds what is written back in one hidden file, and deals it out at the commit.

    So an epoch costs one synced file before it is stored, however many files it is for, and none
    of them is open longer than it is appended to. `name` tells this sink's hidden files from those
    of another one in the same folder.
    """

    def __init__(self, path: str, name: str, context: Context, fence: Fence) -> None:
        self._path = path
        self._name = name
        self._fence = fence
        self._threads = Serial(context)
        self._parts = HiddenParts(path, name, fence)
        self._part = HiddenFile(self._parts.written())
        self._pieces: list[tuple[str, int]] = []
        self._ledger = _Ledger(fence.lineage)
        self._held = -1
        self._records = self._bytes = 0
        self._recovering = True

    async def open(self) -> None:
        """Make the folder, and have it for this sink alone."""
        self._held = await self._threads.run(hold_folder, self._path, self._name)

    async def write(self, pieces: Sequence[tuple[str, bytes]], records: int) -> None:
        """Note which piece goes to which file: a copy to the page cache needs no thread."""
        try:
            self._part.write(bytearray().join(data for _, data in pieces), records)
        except OSError as error:
            raise self._failed("cannot write on in", error) from error
        self._pieces += [(name, len(data)) for name, data in pieces]

    async def prepare(self, epoch: int) -> bytes:
        """Have the hidden file survive a power cut, under a name that tells its epoch."""
        part, pieces = self._part, self._pieces
        prepared = _Prepared("", 0, 0, 0, 0)
        if part.length:
            index = part.length
            try:
                part.write(bytearray(orjson.dumps(pieces)), 0)
                name = self._parts.prepared(epoch)
                await self._threads.run(self._prepare, name)
            except OSError as error:
                raise self._failed("cannot prepare an epoch in", error) from error
            prepared = _Prepared(name, index, part.length, part.crc, part.records)
        self._recovering = False
        self._pieces = []
        part.close()
        self._part = HiddenFile(part.path)
        return orjson.dumps(asdict(prepared))

    def _prepare(self, name: str) -> None:
        self._part.sync()
        rename(self._part.path, os.path.join(self._path, name))
        sync_folder(self._path)

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Append what the epoch holds, unless that was done before."""
        decoded: Any = orjson.loads(prepared)
        given = _Prepared(**decoded)
        await self._fence.check()
        if not given.part:
            return
        try:
            await self._threads.run(self._commit, epoch, given)
        except OSError as error:
            raise self._failed(f"cannot append epoch {epoch} in", error) from error
        self._records += given.records
        self._bytes += given.index

    def _commit(self, epoch: int, given: _Prepared) -> None:
        part = os.path.join(self._path, given.part)
        if self._ledger.epoch >= epoch:
            # A crash may have come between the two.
            with suppress(FileNotFoundError):
                os.unlink(part)
            return
        if not self._is_whole(part, given):
            raise MisconfiguredError(
                f"epoch {epoch} was prepared in {self._path!r}, and {given.part!r} is not there, "
                "or not whole: give back the folder as it was, or begin anew with another state"
            )
        source = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            pieces: dict[str, list[tuple[int, int]]] = {}
            at = 0
            listed: list[tuple[str, int]] = orjson.loads(
                os.pread(source, given.length - given.index, given.index)
            )
            for name, length in listed:
                pieces.setdefault(name, []).append((at, length))
                at += length
            if self._ledger.begun != epoch:
                sizes = {name: size_in(self._path, name) for name in pieces}
                self._note(_Ledger(self._fence.lineage, self._ledger.epoch, epoch, sizes))
            together = len(pieces) > _ONE_BY_ONE and can_sync_all()
            for name, places in pieces.items():
                self._append(source, name, places, sync=not together)
            if together:
                sync_all(self._held)
        finally:
            os.close(source)
        if not together:
            for folder in {os.path.dirname(name) for name in pieces}:
                sync_folder(os.path.join(self._path, folder))
        self._note(_Ledger(self._fence.lineage, epoch))
        os.unlink(part)

    def _is_whole(self, part: str, given: _Prepared) -> bool:
        if not os.path.exists(part) or os.path.getsize(part) != given.length:
            return False
        return not self._recovering or checksum(part, 0, given.length) == given.crc

    def _append(
        self, source: int, name: str, places: Sequence[tuple[int, int]], *, sync: bool
    ) -> None:
        file = open_in(self._path, name)
        try:
            end = self._ledger.sizes.get(name, 0)
            # Should it be longer, then an earlier attempt was interrupted.
            os.ftruncate(file, min(end, os.fstat(file).st_size))
            os.lseek(file, 0, os.SEEK_END)
            for start, length in places:
                left = memoryview(os.pread(source, length, start))
                while left:
                    left = left[os.write(file, left) :]
            if sync:
                os.fsync(file)
        finally:
            os.close(file)

    def _note(self, ledger: _Ledger) -> None:
        """Have the ledger say this, also after a power cut."""
        path = os.path.join(self._path, f".{self._name}.json")
        made = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            left = memoryview(orjson.dumps(asdict(ledger)))
            while left:
                left = left[os.write(made, left) :]
            os.fsync(made)
        finally:
            os.close(made)
        os.rename(path + ".new", path)
        sync_folder(self._path)
        self._ledger = ledger

    async def discard(self, epoch: int) -> None:
        """Remove the hidden files of other epochs. What was appended stays.

        Raises MisconfiguredError where a later epoch was appended.
        """
        await self._fence.check()
        try:
            await self._threads.run(self._discard, epoch)
        except OSError as error:
            raise self._failed("cannot go on in", error) from error

    def _discard(self, epoch: int) -> None:
        path = os.path.join(self._path, f".{self._name}.json")
        found = _Ledger(self._fence.lineage)
        if os.path.exists(path):
            with open(path, "rb") as file:
                held = file.read()
            try:
                decoded: Any = orjson.loads(held)
                found = _Ledger(**decoded)
            except (ValueError, TypeError):
                raise MisconfiguredError(
                    f"{path!r} does not tell which epoch was appended last: give it back as it "
                    "was, or delete it and begin anew with another state"
                ) from None
        if found.lineage != self._fence.lineage:
            found = _Ledger(self._fence.lineage)
        later = max(found.epoch, found.begun)
        if later > epoch:
            raise MisconfiguredError(
                f"{self._path!r} has committed epoch {later}, and what is in its files cannot be "
                f"taken back to epoch {epoch}: begin anew with another state and another folder"
            )
        self._ledger = found
        self._parts.sweep(epoch)

    async def close(self) -> None:
        """Remove what was not prepared, and let the folder go."""
        await self._threads.run(self._close)

    def _close(self) -> None:
        self._part.close()
        if self._held >= 0:
            held, self._held = self._held, -1
            os.close(held)

    def _failed(self, what: str, error: OSError) -> WriteFailed:
        return WriteFailed(
            f"{what} {error.filename or self._path!r}: {error.strerror or error}; {self._records} "
            f"records of this run ({self._bytes} bytes) are committed",
            path=self._path,
            records=self._records,
            bytes=self._bytes,
        )
