"""A folder in which each epoch has files of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from ...runtime.contracts import Context, MisconfiguredError
from ._files import lock, make_folder, rename, sync_folder
from ._hidden_parts import HiddenParts
from ._serial import Serial
from ._write_failed import WriteFailed

__all__ = ["EpochFolder", "Staged"]

Staged = tuple[str, int]
"""A hidden file that is written to its end and synced: its path and its size."""


class EpochFolder:
    """The files of a folder that one sink has for itself: `part-<epoch>-<number><suffix>`.

    A file is written under a hidden name. It is shown by renaming it: at the commit of its epoch,
    or, without a store, when it is whole.
    """

    def __init__(self, path: str, suffix: str, context: Context) -> None:
        self.threads = Serial(context)
        self.records = self.bytes = 0
        """How much this run has shown."""
        self._path = path
        self._whole = os.path.abspath(path)
        self._suffix = suffix
        self._fence = context.fence
        self._parts = HiddenParts(path, "part", context.fence)
        self._seen = re.compile(r"part-(\d{12,})-\d{4,}" + re.escape(suffix) + r"\Z")
        self._counts: dict[int, int] = {}
        self._lock = -1

    async def open(self) -> None:
        """Make the folder and have it for this sink alone; without a store, empty it."""
        try:
            await self.threads.run(self._open)
        except OSError as error:
            raise MisconfiguredError(
                f"cannot write into the folder {self._path!r}: {error.strerror}"
            ) from error

    def _open(self) -> None:
        make_folder(self._path)
        self._lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        lock(self._lock, self._path, "folder")
        if self._fence is None:
            self._discard(0)

    def written(self, number: int) -> str:
        """The path under which to write the file of this number."""
        return self._parts.written(number)

    def shown(self, number: int) -> str:
        """The path under which a file is seen that waits for no epoch: there is no store."""
        return os.path.join(self._path, self._name(0, number))

    def _name(self, epoch: int, number: int) -> str:
        return f"part-{epoch:012}-{number:04}{self._suffix}"

    async def prepare(self, epoch: int, files: Sequence[Staged], records: int) -> dict[str, Any]:
        """Have these files belong to the epoch; what `commit` needs, as JSON."""
        names = [
            (self._parts.prepared(epoch, number), self._name(epoch, number), size)
            for number, (_, size) in enumerate(files)
        ]
        if files:
            await self.threads.run(self._prepare, [path for path, _ in files], names)
        self._counts[epoch] = records
        return {"folder": self._whole, "files": names}

    def _prepare(self, paths: Sequence[str], names: Sequence[tuple[str, str, int]]) -> None:
        try:
            for path, (hidden, _, _) in zip(paths, names, strict=True):
                rename(path, os.path.join(self._path, hidden))
            sync_folder(self._path)
        except OSError as error:
            raise self.failed("cannot prepare an epoch in", error) from error

    async def commit(self, epoch: int, prepared: dict[str, Any]) -> None:
        """Show the files of an epoch, unless that was done before."""
        if self._fence is not None:
            await self._fence.check()
        files: list[tuple[str, str, int]] = prepared["files"]
        if files:
            await self.threads.run(self._commit, epoch, files, prepared["folder"])
        self.records += self._counts.pop(epoch, 0)
        self.bytes += sum(size for _, _, size in files)

    def _commit(self, epoch: int, files: Sequence[tuple[str, str, int]], folder: str) -> None:
        for hidden, name, size in files:
            if not any(self._size(one) == size for one in (hidden, name)):
                raise MisconfiguredError(
                    f"epoch {epoch} was prepared in {folder!r}, but {self._path!r} holds neither "
                    f"{name!r} nor {hidden!r} with its {size} bytes: give back the files as they "
                    "were, or begin anew with another state"
                )
        try:
            for hidden, name, size in files:
                if self._size(hidden) == size:
                    os.rename(os.path.join(self._path, hidden), os.path.join(self._path, name))
            sync_folder(self._path)
        except OSError as error:
            raise self.failed(f"cannot show epoch {epoch} in", error) from error

    def _size(self, name: str) -> int:
        try:
            return os.path.getsize(os.path.join(self._path, name))
        except FileNotFoundError:
            return -1

    async def discard(self, epoch: int) -> None:
        """Remove the files of later epochs, hidden or shown, and nothing that is not ours."""
        if self._fence is not None:
            await self._fence.check()
        try:
            await self.threads.run(self._discard, epoch)
        except OSError as error:
            raise self.failed("cannot go on in", error) from error

    def _discard(self, epoch: int) -> None:
        self._parts.sweep(epoch)
        for name in os.listdir(self._path):
            seen = self._seen.match(name)
            # Without a store there is no epoch, and 0 in its place.
            if seen is not None and (epoch == 0 or int(seen[1]) > epoch):
                os.unlink(os.path.join(self._path, name))
        sync_folder(self._path)

    def close(self) -> None:
        """Let the folder go."""
        if self._lock >= 0:
            descriptor, self._lock = self._lock, -1
            os.close(descriptor)

    def failed(self, what: str, error: OSError) -> WriteFailed:
        """The error that tells how much of the folder is whole."""
        return WriteFailed(
            f"{what} {self._path!r}: {error.strerror or error}; {self.records} records of this "
            f"run ({self.bytes} bytes) stand in whole files",
            path=self._path,
            records=self.records,
            bytes=self.bytes,
        )
