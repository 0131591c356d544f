"""Parquet files of an epoch, while they are written: plain calls that block, for a thread."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence
from typing import IO, Any

from ...runtime.contracts import MisconfiguredError, dataclass
from ._arrow_rows import ArrowRows, arrow, schema_of_records
from ._epoch_folder import EpochFolder, Staged
from ._write_failed import WriteFailed

__all__ = ["ParquetOptions", "ParquetParts"]


@dataclass(frozen=True, slots=True)
class ParquetOptions:
    """How files are written; see `parquet`."""

    row_group_size: int
    max_file_rows: int
    max_file_bytes: int
    compression: str


class ParquetParts:
    """Writes records into one hidden file after the other, each closed when it is large enough.

    With `show` a file is shown when it is closed: there is no store.
    """

    def __init__(self, folder: EpochFolder, options: ParquetOptions, *, show: bool) -> None:
        self.staged: list[Staged] = []
        """The files that are closed, and not prepared yet."""
        self.records = 0
        """How many records are in them, and in the one that is open."""
        self.rows: ArrowRows | None = None
        self._folder = folder
        self._options = options
        self._show = show
        self._number = 0
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._path = ""
        self._waiting: list[Any] = []
        self._in_group = self._in_file = 0
        self._broken: WriteFailed | None = None

    def write(self, records: Sequence[object]) -> dict[int, Exception]:
        """Take records; the errors of those that do not fit. Raises WriteFailed."""
        if self._broken is not None:
            raise self._broken
        if self.rows is None:
            schema = schema_of_records(records)
            if schema is None:
                return ArrowRows(arrow().schema([]), named=False).of(records)[1]
            self.rows = ArrowRows(schema, named=False)
        table, rejected = self.rows.of(records)
        if table.num_rows:
            self._waiting.append(table)
            self._in_group += table.num_rows
            self.records += table.num_rows
        with self._failing("write on in"):
            if self._in_group >= min(self._options.row_group_size, self._options.max_file_rows):
                self._write_group()
        return rejected

    def _write_group(self) -> None:
        assert self.rows is not None
        if self._file is None:
            import pyarrow.parquet as writing

            self._path = self._folder.written(self._number)
            self._file = open(self._path, "wb")  # noqa: SIM115  it stays open
            codec = self._options.compression
            parquet: Any = writing
            self._writer = parquet.ParquetWriter(self._file, self.rows.schema, compression=codec)
        table = arrow().concat_tables(self._waiting)
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._in_file += table.num_rows
        self._waiting, self._in_group = [], 0
        full = self._in_file >= self._options.max_file_rows
        if full or self._file.tell() >= self._options.max_file_bytes:
            self._close_file()

    def _close_file(self) -> None:
        assert self._file is not None
        self._writer.close()
        self._file.flush()
        if not self._show:
            os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        if self._show:
            os.rename(self._path, self._folder.shown(self._number))
            self._folder.records += self._in_file
            self._folder.bytes += size
        else:
            self.staged.append((self._path, size))
        self._number += 1
        self._file, self._in_file = None, 0

    def finish(self) -> None:
        """Close the file that is open. Raises WriteFailed."""
        if self._broken is not None:
            raise self._broken
        with self._failing("finish a file in"):
            if self._in_group:
                self._write_group()
            if self._file is not None:
                self._close_file()

    def prepared(self) -> None:
        """The files that are closed have their names in their epoch."""
        self.staged, self.records, self._number = [], 0, 0

    def close(self) -> None:
        """Let go of what is not prepared; without a store, show it."""
        try:
            if self._show and self._broken is None:
                self.finish()
        finally:
            self._abandon()

    def _abandon(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            for let_go in (self._writer.close, file.close):
                with contextlib.suppress(Exception):
                    let_go()
            self.staged.append((self._path, 0))
        for path, _ in self.staged:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self.staged = []

    @contextlib.contextmanager
    def _failing(self, what: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            # The file is torn, and all that is in it: only the last epoch can be gone on from.
            self._broken = self._folder.failed(f"cannot {what}", error)
            raise self._broken from error
        except arrow().ArrowException as error:
            raise MisconfiguredError(f"Parquet cannot hold these records: {error}") from error
