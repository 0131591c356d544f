"""A sink that writes lines: to a file, a pipe or a device, or to a folder with files."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING, ClassVar, Literal

from ...runtime.contracts import Context, MisconfiguredError, Sink
from ._direct_file import DirectFile
from ._files import lock, make_folder

if TYPE_CHECKING:
    from ._appended_file import AppendedFile
    from ._epoch_folder import EpochFolder
    from ._line_parts import LineParts

__all__ = ["LineSink"]

_INHERITED = re.compile(r"/dev/(?:stdout|stderr|fd/(\d+))\Z")
_FILES = ("one", "epoch")


class LineSink(Sink[object]):
    """Knows where the lines go; who derives from it makes them, and writes to `target`.

    `suffix` is how the files of a folder end.
    """

    gap = "another copy is looked for right before the lines are shown, not with them"
    suffix: ClassVar[str]

    def __init__(
        self, path: str | os.PathLike[str], *, files: Literal["one", "epoch"] = "one"
    ) -> None:
        self.path = os.fspath(path)
        if not self.path:
            raise ValueError("path is empty: name the file to write")
        if files not in _FILES:
            raise ValueError(f"files is one of {_FILES}, not {files!r}")
        self.each_epoch = files == "epoch"
        self._target: AppendedFile | DirectFile | LineParts | None = None
        self._folder: EpochFolder | None = None

    @property
    def transactional(self) -> bool:
        """Whether it is a file: a pipe or a device has shown what is written to it."""
        if self.each_epoch:
            return True
        return not _INHERITED.match(self.path) and (
            os.path.isfile(self.path) or not os.path.exists(self.path)
        )

    async def open(self, context: Context) -> None:
        """Make the folders above the file; without a store, replace what the file held."""
        if self.each_epoch:
            from ._epoch_folder import EpochFolder
            from ._line_parts import LineParts

            self._folder = folder = EpochFolder(self.path, self.suffix, context)
            await folder.open()
            if context.fence is not None:
                self._target = LineParts(folder)
                return
        path = self.path if self._folder is None else self._folder.shown(0)
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

    async def prepare(self, epoch: int) -> bytes:
        """Have the lines since the last time survive a power cut."""
        return await self.target.prepare(epoch)

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Append these lines, or show their file."""
        await self.target.commit(epoch, prepared)

    async def discard(self, epoch: int) -> None:
        """Remove the lines of later epochs that are still hidden."""
        await self.target.discard(epoch)

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
    def target(self) -> AppendedFile | DirectFile | LineParts:
        """What is written to: a file, a pipe or a device, or the files of the epochs."""
        assert self._target is not None, "the sink is not open"
        return self._target


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
