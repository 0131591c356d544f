"""`ndjson`: one line of JSON for each record."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import re
import select
import stat
from collections.abc import Sequence
from operator import length_hint

import orjson

from ...runtime.contracts import (
    Context,
    DeadLetter,
    MisconfiguredError,
    Outcome,
    Sink,
    ThalwegError,
)
from ._readable import readable

__all__ = ["Ndjson", "WriteFailed", "ndjson"]

_FIELDS = [field.name for field in dataclasses.fields(DeadLetter)]
_INHERITED = re.compile(r"/dev/(?:stdout|stderr|fd/(\d+))\Z")


class WriteFailed(ThalwegError):
    """A file could not be written on; `records` and `bytes` say how much of it is whole."""

    def __init__(self, message: str, *, path: str, records: int, bytes: int) -> None:  # noqa: A002
        super().__init__(message)
        self.path = path
        self.records = records
        self.bytes = bytes


class Ndjson(Sink[object]):
    """The sink that `ndjson` makes; see there."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        if not self._path:
            raise ValueError("path is empty: name the file to write")

    async def open(self, context: Context) -> None:
        """Make the folders above the file, and replace what the file held."""
        self._context = context
        self._records = self._bytes = 0
        self._file = -1
        try:
            self._file, self._owned = _opened(self._path)
        except OSError as error:
            reason = error.strerror
            if error.errno == errno.ENXIO:
                reason = "nothing reads this pipe; start its reader first"
            raise MisconfiguredError(f"cannot write {self._path!r}: {reason}") from error

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        """Write all records in one piece, or none of them."""
        data, rejected = _encode(records)
        if data:
            if self._owned:
                # Directly: this is a copy to the page cache, and a thread would cost more.
                self._write_all(data)
            else:
                await self._context.in_thread(self._write_all, data)
            self._records += len(records) - len(rejected)
            self._bytes += len(data)
        return Outcome([], rejected) if rejected else None

    async def close(self) -> None:
        """Close the file."""
        if getattr(self, "_file", -1) >= 0:
            file, self._file = self._file, -1
            os.close(file)

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


def ndjson(path: str | os.PathLike[str]) -> Ndjson:
    """One line of JSON for each record.

    >>> sink = ndjson("out/scored.ndjson")

    Parameters: `path`, the file; folders above it are made, and what it held is replaced when the
    job starts. `/dev/stdout` and other pipes and devices may be named as well.

    Records are whatever orjson encodes: dicts with text for keys, lists, dataclasses, dates, UUIDs.
    NaN and the infinities become null. A dead letter is always written: what cannot be encoded in
    it becomes text.

    Raises ValueError for an empty path. Opening raises `MisconfiguredError` where the file cannot
    be written or another sink is writing it.

    - Emits when: never; a record is delivered when its line is handed to the operating system.
    - Waits when: a pipe is full.
    - Ends when: its input does.
    - Order: that of the input.
    - State: none; a run replaces the output of the one before.
    - On error: a record that cannot be encoded is rejected alone. Where a batch cannot be written
      whole, such as on a full disk, the file is cut back to the batch before it and `WriteFailed`
      tells how much is safe: each line of a file is whole, and was counted. A pipe cannot be cut.
    """
    return Ndjson(path)


def _encode(records: Sequence[object]) -> tuple[bytearray, dict[int, Exception]]:
    # Into one buffer: to keep what each orjson.dumps returns takes ten times as long.
    dumps, data = orjson.dumps, bytearray()
    rejected: dict[int, Exception] = {}
    # A list's iterator knows how many are left, so the good path need not count.
    iterator = iter(records if isinstance(records, list) else list(records))
    while True:
        try:
            for record in iterator:
                data += dumps(record, None, orjson.OPT_APPEND_NEWLINE)
            return data, rejected
        except Exception as error:
            index = len(records) - length_hint(iterator) - 1
            record = records[index]
            if isinstance(record, DeadLetter):
                data += _letter(record)
            else:
                rejected[index] = error


def _letter(letter: DeadLetter) -> bytes:
    fields = {name: readable(getattr(letter, name)) for name in _FIELDS}
    return orjson.dumps(fields, None, orjson.OPT_APPEND_NEWLINE)


def _opened(path: str) -> tuple[int, bool]:
    """The open file, and whether it is a regular file that this sink has for itself."""
    inherited = _INHERITED.match(path)
    if inherited:
        # Opened anew it would have an offset of its own, and overwrite what others print to it.
        number = {"/dev/stdout": 1, "/dev/stderr": 2}.get(path)
        return os.dup(int(inherited[1]) if number is None else number), False
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{error.filename!r} is no folder") from None
    # O_NONBLOCK matters for a pipe alone: without a reader it is refused instead of waited for.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    file = os.open(path, flags, 0o666)
    try:
        os.set_blocking(file, True)
        owned = stat.S_ISREG(os.fstat(file).st_mode)
        if owned:
            _lock(file, path)
            os.ftruncate(file, 0)
    except BaseException:
        os.close(file)
        raise
    return file, owned


def _lock(file: int, path: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MisconfiguredError(
            f"cannot write {path!r}: another sink is writing it; give each a file of its own"
        ) from None
    except OSError:
        pass  # a file system without locks
