"""`ndjson`: one line of JSON for each record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from ...runtime.contracts import Outcome
from ._line_sink import LineSink
from ._lines import encode
from ._write_failed import WriteFailed

__all__ = ["Ndjson", "WriteFailed", "ndjson"]


class Ndjson(LineSink):
    """The sink that `ndjson` makes; see there."""

    suffix = ".ndjson"

    async def write(self, records: Sequence[object]) -> Outcome[None] | None:
        """Write all records in one piece, or none of them."""
        data, rejected = encode(records)
        if data:
            await self.target.write(data, len(records) - len(rejected))
        return Outcome([], rejected) if rejected else None


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

    Records are whatever orjson encodes: dicts with text for keys, lists, dataclasses, dates, UUIDs;
    a Decimal is a number with all of its digits. NaN and the infinities become null. A dead letter
    is always written: what cannot be encoded in it becomes text.

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
