"""`parquet`: columnar files in a folder."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import orjson

from ...runtime.contracts import Context, MisconfiguredError, Outcome, Sink
from ._tables import TableOptions

if TYPE_CHECKING:
    from ._epoch_folder import EpochFolder
    from ._parquet_parts import ParquetParts

__all__ = ["ArrowSchema", "Parquet", "parquet"]

Compression = Literal["zstd", "snappy", "gzip", "brotli", "lz4", "none"]

_COMPRESSIONS = ("zstd", "snappy", "gzip", "brotli", "lz4", "none")


class ArrowSchema(Protocol):
    """A `pyarrow.Schema`, by what tells it from anything else."""

    @property
    def names(self) -> list[str]: ...
    def empty_table(self) -> Any: ...


class Parquet(Sink[object]):
    """The sink that `parquet` makes; see there."""

    gap = "another copy is looked for right before its files are shown, not with them"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        schema: ArrowSchema | Mapping[str, type] | None = None,
        row_group_size: int = 131_072,
        max_file_rows: int = 10_000_000,
        max_file_bytes: int = 512 * 2**20,
        compression: Compression = "zstd",
    ) -> None:
        self._path = os.fspath(folder)
        if not self._path:
            raise ValueError("folder is empty: name the folder to write into")
        limits = {
            "row_group_size": row_group_size,
            "max_file_rows": max_file_rows,
            "max_file_bytes": max_file_bytes,
        }
        for option, value in limits.items():
            if not isinstance(cast("object", value), int) or value < 1:
                raise ValueError(f"{option} is 1 or more, not {value!r}")
        if compression not in _COMPRESSIONS:
            raise ValueError(f"compression is one of {_COMPRESSIONS}, not {compression!r}")
        self._kinds = None
        given: object = schema
        if isinstance(given, Mapping):
            self._kinds = TableOptions.checked("t", cast("object", given), None).kinds
        elif given is not None and not hasattr(given, "empty_table"):
            raise TypeError(
                f"schema is a pyarrow.Schema, or a dict of types by name, not {given!r}"
            )
        self._schema: Any = None if self._kinds is not None else given
        self._compression = compression
        self._limits = limits
        self._parts: ParquetParts | None = None
        self._folder: EpochFolder | None = None

    async def open(self, context: Context) -> None:
        """Have the folder for this sink alone; without a store, remove what it wrote before."""
        from ._arrow_rows import ArrowRows, arrow, check_schema, schema_of_kinds
        from ._epoch_folder import EpochFolder
        from ._parquet_parts import ParquetOptions, ParquetParts

        pa, codec = arrow(), self._compression
        if codec != "none" and not pa.Codec.is_available(codec):
            raise MisconfiguredError(f"this pyarrow was built without {codec}: choose another")
        schema = self._schema if self._kinds is None else schema_of_kinds(self._kinds)
        if schema is not None:
            check_schema(schema)
        self._folder = EpochFolder(self._path, ".parquet", context)
        await self._folder.open()
        self._parts = ParquetParts(
            self._folder,
            ParquetOptions(compression=codec, **self._limits),
            show=context.fence is None,
        )
        if schema is not None:
            self._parts.rows = ArrowRows(schema, named=True)

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        """Add the records to the file that is open."""
        folder, parts = self._opened
        rejected = await folder.threads.run(parts.write, records)
        return Outcome([], rejected) if rejected else None

    async def prepare(self, epoch: int) -> bytes:
        """Close the file that is open, and have the files survive a power cut, hidden."""
        folder, parts = self._opened
        await folder.threads.run(parts.finish)
        prepared = await folder.prepare(epoch, parts.staged, parts.records)
        parts.prepared()
        if parts.rows is not None:
            # The next run may begin with other records, and has to go on with these columns.
            schema = parts.rows.schema.serialize().to_pybytes()
            prepared["schema"] = b64encode(schema).decode()
        return orjson.dumps(prepared)

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Show the files of the epoch."""
        folder, parts = self._opened
        given: Any = orjson.loads(prepared)
        await folder.commit(epoch, given)
        if parts.rows is None and "schema" in given:
            from ._arrow_rows import ArrowRows, arrow

            schema = arrow().ipc.read_schema(arrow().py_buffer(b64decode(given["schema"])))
            parts.rows = ArrowRows(schema, named=False)

    async def discard(self, epoch: int) -> None:
        """Remove the files of later epochs."""
        await self._opened[0].discard(epoch)

    async def close(self) -> None:
        """Let the folder go; without a store, show what was written."""
        folder, self._folder = self._folder, None
        parts, self._parts = self._parts, None
        if folder is not None:
            try:
                if parts is not None:
                    await folder.threads.run(parts.close)
            finally:
                folder.close()

    @property
    def _opened(self) -> tuple[EpochFolder, ParquetParts]:
        assert self._folder is not None, "the sink is not open"
        assert self._parts is not None, "the sink is not open"
        return self._folder, self._parts


def parquet(
    folder: str | os.PathLike[str],
    *,
    schema: ArrowSchema | Mapping[str, type] | None = None,
    row_group_size: int = 131_072,
    max_file_rows: int = 10_000_000,
    max_file_bytes: int = 512 * 2**20,
    compression: Compression = "zstd",
) -> Parquet:
    """Columnar files in a folder.

    >>> sink = parquet("out/readings")
    >>> typed = parquet("out/words", schema={"word": str, "n": int}, compression="snappy")

    Parameters:

    - `folder`: it is made, with those above it. A job that begins removes the files that such a
      sink wrote into it before (`part-….parquet`), and no others.
    - `schema`: a `pyarrow.Schema`, or the Python types of the columns by name: bool, int, float,
      str, bytes, datetime (with a time zone), date, time, timedelta, Decimal; others are text,
      dict and list as JSON. Fields that are not in it are passed over. Without it the first batch
      decides, nested fields included, for this job and for all that go on from its state; a column
      that it does not tell is text. Then a record with a field that has no column is rejected.
    - `row_group_size`: rows that are encoded together (131,072); so many are held in memory.
    - `max_file_rows` (10,000,000), `max_file_bytes` (512 MiB): a file that has as many is closed,
      and another begun. It may exceed them by a row group.
    - `compression`: "zstd" (the default), "snappy", "gzip", "brotli", "lz4" or "none".

    Records are dicts, dataclasses, named tuples or dead letters; a field that is missing is null.

    With a store each epoch that has records becomes at least one file of its own, hidden until the
    epoch is committed, and each record stands in one file exactly once: take epochs that are long
    enough for files of a good size. Going back to an earlier epoch removes the files after it.

    Needs the extra `parquet`. Raises ValueError or TypeError for options that make no sense.
    Opening raises `MissingExtra` without pyarrow, and `MisconfiguredError` where the folder cannot
    be written, another sink is writing into it, or Parquet cannot hold the schema.

    - Emits when: never. A file can be read only when it is whole: with a store a record is
      delivered when its epoch is committed; without one it counts as delivered when it is taken,
      and is seen when its file is full or the job ends. What the open file holds is lost if the
      process is killed before.
    - Waits when: a row group is encoded and written, in a thread.
    - Ends when: its input does.
    - Order: that of the input; files are in the order of their names.
    - State: with a store, the files of the last epoch and the schema. Right before it renames
      them, it asks the store whether another copy of the job has taken over. A copy that is
      stopped just behind that question, for longer than the store waits for it, could still
      rename when it goes on: the lock that it has on the folder keeps the other copy out, on file
      systems that have locks.
    - On error: a record that does not fit the schema is rejected alone; nothing is cut or cast
      silently. Where a file cannot be written, such as on a full disk, `WriteFailed` tells how
      much stands in whole files; a file that is torn is never shown, and with a store the job goes
      on from its last epoch.
    """
    return Parquet(
        folder,
        schema=schema,
        row_group_size=row_group_size,
        max_file_rows=max_file_rows,
        max_file_bytes=max_file_bytes,
        compression=compression,
    )
