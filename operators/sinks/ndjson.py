"""`ndjson`: one line of JSON for each record."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ...runtime.contracts import Context, MisconfiguredError, Outcome, Sink
from ._direct_file import DirectFile
from ._files import lock, make_folder
from ._lines import encode
from ._write_failed import WriteFailed

if TYPE_CHECKING:
    from ._appended_file import AppendedFile
    from ._epoch_folder import EpochFolder
    from ._line_parts import LineParts

__all__ = ["Ndjson", "WriteFailed", "ndjson"]

_INHERITED = re.compile(r"/dev/(?:stdout|stderr|fd/(\d+))\Z")
_FILES = ("one", "epoch")


class Ndjson(Sink[object]):
    """The sink that `ndjson` makes; see there."""

    gap = "another copy is looked for right before the lines are shown, not with them"

    def __init__(
        self, path: str | os.PathLike[str], *, files: Literal["one", "epoch"] = "one"
    ) -> None:
        self._path = os.fspath(path)
        if not self._path:
            raise ValueError("path is empty: name the file to write")
        if files not in _FILES:
            raise ValueError(f"files is one of {_FILES}, not {files!r}")
        self._each_epoch = files == "epoch"
        self._target: AppendedFile | DirectFile | LineParts | None = None
        self._folder: EpochFolder | None = None

    @property
    def transactional(self) -> bool:
        """Whether it is a file: a pipe or a device has shown what is written to it."""
        if self._each_epoch:
            return True
        return not _INHERITED.match(self._path) and (
            os.path.isfile(self._path) or not os.path.exists(self._path)
        )

    async def open(self, context: Context) -> None:
        """Make the folders above the file; without a store, replace what the file held."""
        if self._each_epoch:
            from ._epoch_folder import EpochFolder
            from ._line_parts import LineParts

            self._folder = folder = EpochFolder(self._path, ".ndjson", context)
            await folder.open()
            if context.fence is not None:
                self._target = LineParts(folder)
                return
        path = self._path if self._folder is None else self._folder.shown(0)
        try:
            file, owned = _opened(path)
        except OSError as error:
            reason = error.strerror
            if error.errno == errno.ENXIO:
                reason = "nothing reads this pipe; start its reader first"
            raise MisconfiguredError(f"cannot write {path!r}: {reason}") from error
        if owned and context.fence is not None:
            from ._appended_file import AppendedFile

            self._target = AppendedFile(path, file, context, context.fence)
            return
        self._target = DirectFile(path, file, context, owned=owned)
        if owned:
            os.ftruncate(file, 0)

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        """Write all records in one piece, or none of them."""
        data, rejected = encode(records)
        if data:
            await self._opened.write(data, len(records) - len(rejected))
        return Outcome([], rejected) if rejected else None

    async def prepare(self, epoch: int) -> bytes:
        """Have the lines since the last time survive a power cut."""
        return await self._opened.prepare(epoch)

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Append these lines, or show their file."""
        await self._opened.commit(epoch, prepared)

    async def discard(self, epoch: int) -> None:
        """Remove the lines of later epochs that are still hidden."""
        await self._opened.discard(epoch)

    async def close(self) -> None:
        """Close the file."""
        target, self._target = self._target, None
        folder, self._folder = self._folder, None
        try:
            if target is not None:
                await target.close()
        finally:
            if folder is not None:
                folder.close()

    @property
    def _opened(self) -> AppendedFile | DirectFile | LineParts:
        assert self._target is not None, "the sink is not open"
        return self._target


def ndjson(path: str | os.PathLike[str], *, files: Literal["one", "epoch"] = "one") -> Ndjson:
    """One line of JSON for each record.

    >>> sink = ndjson("out/scored.ndjson")
    >>> many = ndjson("out/scored", files="epoch")

    Parameters:

    - `path`: the file; folders above it are made, and what it held is replaced when a job begins.
      `/dev/stdout` and other pipes and devices may be named as well.
    - `files`: "one" (the default) is one file, which grows. With "epoch" the path is a folder, and
      each epoch that has records becomes a file of its own, `part-000000000012-0000.ndjson`: for
      large outputs, and for readers that take whole files. A job that begins replaces the files
      of this name; others stay.

    Records are whatever orjson encodes: dicts with text for keys, lists, dataclasses, dates, UUIDs.
    NaN and the infinities become null. A dead letter is always written: what cannot be encoded in
    it becomes text.

    With a store each record stands in the output exactly once. Until its epoch is committed its
    line waits in a hidden file (`.scored.ndjson.….part`) beside the output; then it is appended,
    or the file is renamed. Going back to an earlier epoch takes away what was committed after it.
    Nobody else may write to the output, shorten it or rotate it. To a pipe or a device a line may
    be written again after a crash.

    Raises ValueError for an empty path and for other `files`. Opening raises `MisconfiguredError`
    where the file cannot be written or another sink is writing it.

    - Emits when: never; without a store a record is delivered when its line is handed to the
      operating system, with one when its epoch is committed.
    - Waits when: a pipe is full; with a store, for the disk to have what an epoch prepares.
    - Ends when: its input does.
    - Order: that of the input.
    - State: without a store none: a run replaces the output of the one before. With one, up to
      where the output belongs to each epoch. Right before it appends or renames, it asks the store
      whether another copy of the job has taken over. A copy that is stopped just behind that
      question, for longer than the store waits for it, could still write when it goes on: the
      lock that it has on the output keeps the other copy out, on file systems that have locks.
    - On error: a record that cannot be encoded is rejected alone. Where a batch cannot be written
      whole, such as on a full disk, the file is cut back to the batch before it and `WriteFailed`
      tells how much is safe: each line of a file is whole, and was counted. A pipe cannot be cut.
      Restored to an epoch whose lines stand neither in the output nor beside it, it raises
      `MisconfiguredError`, which names both.
    """
    return Ndjson(path, files=files)


def _opened(path: str) -> tuple[int, bool]:
    """The open file, and whether it is a regular file that this sink has for itself."""
    inherited = _INHERITED.match(path)
    if inherited:
        # Opened anew it would have an offset of its own, and overwrite what others print to it.
        number = {"/dev/stdout": 1, "/dev/stderr": 2}.get(path)
        return os.dup(int(inherited[1]) if number is None else number), False
    make_folder(os.path.dirname(path))
    # O_NONBLOCK matters for a pipe alone: without a reader it is refused instead of waited for.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    file = os.open(path, flags, 0o666)
    try:
        os.set_blocking(file, True)
        owned = stat.S_ISREG(os.fstat(file).st_mode)
        if owned:
            lock(file, path)
    except BaseException:
        os.close(file)
        raise
    return file, owned
