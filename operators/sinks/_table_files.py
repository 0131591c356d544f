"""The files in which a table of a job survives the process."""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

import orjson

from ...runtime.contracts import (
    Change,
    Columns,
    Fence,
    MisconfiguredError,
    TableMode,
    UnavailableError,
    arrow,
    dataclass,
)
from ._files import sync_folder

__all__ = ["KEPT", "Manifest", "TableFiles"]

KEPT = 10
"""Epochs that can be gone back to: what only earlier ones need is removed."""

_NAME = re.compile(r"(\d{12,})-(\d+)(?:-\w+\.arrow|\.json)(?:\.new)?\Z")
_SMALL = 1 << 20
"""Bytes: so much may pile up before rows that were replaced are left out."""


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Some rows of a table in a file, and what it must hold."""

    name: str
    rows: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a table was made of at an epoch: files, to be applied in order.

    `rest` are rows of a whole result that had not come to its end.
    """

    lineage: str
    epoch: int
    files: tuple[RowsFile, ...] = ()
    rest: tuple[RowsFile, ...] = field(default=())

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """From JSON."""
        found: Any = orjson.loads(data)
        return cls(
            found["lineage"],
            int(found["epoch"]),
            tuple(RowsFile(**one) for one in found["files"]),
            tuple(RowsFile(**one) for one in found["rest"]),
        )

    @property
    def names(self) -> set[str]:
        """The files that it needs."""
        return {one.name for one in (*self.files, *self.rest)}


class TableFiles:
    """The files of one table: rows as Arrow has them, and for each epoch a list of them.

    An epoch adds a file with what has changed. Now and then the files are made one: of a table
    with a key when what was replaced is as much as what stands, else those of like size, so that
    what an epoch costs does not grow with the table. All of it blocks.
    """

    def __init__(self, folder: Path, fence: Fence, mode: TableMode, key: Sequence[str]) -> None:
        self._folder = folder
        self._fence = fence
        self._mode: TableMode = mode
        self._key = tuple(key)
        self._last: Manifest | None = None
        self._number = 0

    def discard(self, epoch: int) -> Manifest | None:
        """Remove what came after an epoch; what the table was made of then, if anything."""
        with _told(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found: dict[tuple[int, int], Manifest] = {}
            for path in self._ours():
                later = epoch == 0 or self._epoch_of(path) > epoch
                if not later and path.suffix == ".json":
                    manifest = Manifest.decode(path.read_bytes())
                    if manifest.lineage == self._fence.lineage:
                        # A copy that was replaced may have written on for a while.
                        found[self._token_of(path), manifest.epoch] = manifest
                elif later or path.suffix == ".new":
                    path.unlink()
            sync_folder(str(self._folder))
        self._last = found[max(found)] if found else None
        return self._last

    def load(self, files: Sequence[RowsFile]) -> list[Change]:
        """The rows of these files, in order. Raises MisconfiguredError where one is not whole."""
        return [Change(self._mode, [self._read(one)], self._key) for one in files]

    def prepare(
        self,
        epoch: int,
        changes: Sequence[Change],
        rest: Sequence[Columns],
        contents: Callable[[], Columns],
        *,
        anew: bool,
    ) -> bytes:
        """Have these changes survive a power cut; `contents` tells the rows that stand by now.

        `anew` says that the rest of the last epoch has come to its end, and is part of the table.
        """
        before, left = ((), ()) if self._last is None else (self._last.files, self._last.rest)
        with _told(self._folder):
            if anew:
                before, left = self._promoted(epoch, before, left, contents)
            files = self._with(epoch, before, changes)
            if rest:
                left = (*left, self._write(epoch, Columns.join(rest)))
            made = Manifest(self._fence.lineage, epoch, files, left)
            self._put(f"{epoch:012}-{self._fence.token}.json", made.encode())
            sync_folder(str(self._folder))
        self._last = made
        return made.encode()

    def clean(self) -> None:
        """Remove what only epochs need that are too old to be gone back to."""
        with contextlib.suppress(OSError):  # The next one will.
            lists = sorted(path for path in self._ours() if path.suffix == ".json")
            for path in lists[:-KEPT]:
                path.unlink()
            needed: set[str] = set()
            for path in lists[-KEPT:]:
                needed |= Manifest.decode(path.read_bytes()).names
            for path in self._ours():
                if path.suffix == ".arrow" and path.name not in needed:
                    path.unlink()

    def _promoted(
        self,
        epoch: int,
        before: tuple[RowsFile, ...],
        left: tuple[RowsFile, ...],
        contents: Callable[[], Columns],
    ) -> tuple[tuple[RowsFile, ...], tuple[RowsFile, ...]]:
        """The files when what was left of the last epoch has come to its end."""
        if self._mode == "complete":
            return before, ()  # It is given again, as a part of the whole result.
        replaced = sum(one.size for one in before[1:])
        if self._mode == "update" and before and replaced > max(_SMALL, before[0].size):
            before = (self._write(epoch, contents()),)
        return (*before, *left), ()

    def _with(
        self, epoch: int, before: tuple[RowsFile, ...], changes: Sequence[Change]
    ) -> tuple[RowsFile, ...]:
        """The files of the table with these changes."""
        files = list(before)
        for change in changes:
            rows = Columns.join(change.rows)
            if self._mode == "complete":
                files = []
            while self._mode == "append" and files and files[-1].rows <= 2 * len(rows):
                # As in a binary counter: each row is written again as often as it doubles.
                rows = Columns.join([self._read(files.pop()), rows])
            files.append(self._write(epoch, rows))
        return tuple(files)

    def _write(self, epoch: int, rows: Columns) -> RowsFile:
        pa = arrow()
        self._number += 1
        name = f"{epoch:012}-{self._fence.token}-{self._number}.arrow"
        packed = "zstd" if pa.Codec.is_available("zstd") else None
        stream = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression=packed)
        with pa.ipc.new_file(stream, rows.table.schema, options=options) as writer:
            writer.write(rows.table)
        data = stream.getvalue()
        self._put(name, data)
        return RowsFile(name, len(rows), data.size, zlib.crc32(data))

    def _put(self, name: str, data: Any) -> None:
        hidden = self._folder / f"{name}.new"
        with open(hidden, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, self._folder / name)

    def _read(self, one: RowsFile) -> Columns:
        try:
            data = (self._folder / one.name).read_bytes()
        except OSError as error:
            raise self._lost(one, error.strerror or str(error)) from error
        if len(data) != one.size or zlib.crc32(data) != one.crc:
            raise self._lost(one, "it is not what was written")
        return Columns(arrow().ipc.open_file(data).read_all())

    def _lost(self, one: RowsFile, why: str) -> MisconfiguredError:
        return MisconfiguredError(
            f"{str(self._folder / one.name)!r} holds {one.rows:,} rows of a table and cannot be "
            f"read: {why}. Give back the folder as it was, together with the state, or begin anew "
            "with another state"
        )

    def _ours(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if _NAME.match(path.name)]

    def _token_of(self, path: Path) -> int:
        found = _NAME.match(path.name)
        assert found is not None
        return int(found[2])

    def _epoch_of(self, path: Path) -> int:
        found = _NAME.match(path.name)
        assert found is not None
        return int(found[1])


@contextlib.contextmanager
def _told(folder: Path) -> Generator[None]:
    """A disk that is full may have room again; the folder is named."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"cannot write into the folder {str(folder)!r}: {error.strerror or error}"
        ) from error
