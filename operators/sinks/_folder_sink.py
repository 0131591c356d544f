"""A sink that appends to files of a folder."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ...runtime.contracts import Context, DataError, Outcome, Sink

if TYPE_CHECKING:
    from ._appended_folder import AppendedFolder
    from ._direct_folder import DirectFolder

__all__ = ["FolderSink"]

R = TypeVar("R")

_NOT_OURS = (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError)
"""What comes of a record that is something else."""


class FolderSink(Sink[R]):
    """Appends what `pieces` makes of each record, each piece to the file of its name.

    `what` is what a record is, in a few words; `name` is that of the sink, for its hidden files.
    """

    gap = "another copy is looked for right before the files are appended to, not with them"
    name: ClassVar[str]
    what: ClassVar[str]

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._path = os.fspath(folder)
        if not self._path or "\0" in self._path:
            raise ValueError(f"folder is the folder of an experiment, not {self._path!r}")
        self._folder: AppendedFolder | DirectFolder | None = None

    @abstractmethod
    def pieces(self, record: R) -> list[tuple[str, bytes]]:
        """What is appended for a record, and to which files."""

    async def open(self, context: Context) -> None:
        """Make the folder."""
        if context.fence is None:
            from ._direct_folder import DirectFolder

            self._folder = DirectFolder(self._path, self.name, context)
        else:
            from ._appended_folder import AppendedFolder

            self._folder = AppendedFolder(self._path, self.name, context, context.fence)
        await self._folder.open()

    async def write(self, records: Sequence[R]) -> Outcome[None] | None:
        """Append all of the batch, or nothing."""
        pieces: list[tuple[str, bytes]] = []
        rejected: dict[int, Exception] = {}
        for index, record in enumerate(records):
            try:
                pieces += self.pieces(record)
            except _NOT_OURS as error:
                rejected[index] = DataError(f"this is no {self.what}: {error!r}")
        if pieces:
            await self._opened.write(pieces, len(records) - len(rejected))
        return Outcome([], rejected) if rejected else None

    async def prepare(self, epoch: int) -> bytes:
        """Have what was written since the last time survive a power cut."""
        return await self._opened.prepare(epoch)

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Append it to the files."""
        await self._opened.commit(epoch, prepared)

    async def discard(self, epoch: int) -> None:
        """Remove what later epochs have prepared."""
        await self._opened.discard(epoch)

    async def close(self) -> None:
        """Let the folder go."""
        folder, self._folder = self._folder, None
        if folder is not None:
            await folder.close()

    @property
    def _opened(self) -> AppendedFolder | DirectFolder:
        assert self._folder is not None, "the sink is not open"
        return self._folder
