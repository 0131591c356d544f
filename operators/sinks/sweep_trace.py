"""`sweep_trace`: one line for each sweep, in one file for each probe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...runtime.contracts import Context
from ._folder_sink import FolderSink
from ._safe_name import safe_name

if TYPE_CHECKING:
    from ..fleet.sweeps.sweep_summary import SweepSummary

__all__ = ["SweepTrace", "sweep_trace"]


class SweepTrace(FolderSink["SweepSummary"]):
    """The sink that `sweep_trace` makes; see there."""

    name = "sweep_trace"
    what = "summary of a sweep"

    async def open(self, context: Context) -> None:
        """Make the folder."""
        from ..fleet.sweeps.trace import trace_line

        self._line = trace_line
        await super().open(context)

    def pieces(self, record: SweepSummary) -> list[tuple[str, bytes]]:
        """The line of the sweep."""
        return [(f"{safe_name(record['probe'])}.trace", f"{self._line(record)}\n".encode())]


def sweep_trace(folder: str | os.PathLike[str]) -> SweepTrace:
    """One line for each sweep, in one file for each probe: `FOLDER/PROBE.trace`.

    >>> sink = sweep_trace("out/experiment")

    Parameters: `folder`, that of the experiment; it is made, with those above it, where missing.

    Records are what `fleet.sweep_summaries()` makes of the results of probes. A line is
    `sweep|ok|failed|unavailable|percent ok|seconds|ok names,|failed names,|unavailable names,|`,
    and `fleet.read_trace` reads it:

        1081948390|120|0|49|71.0|381.9|m1,m2,…,| |m12,…,|

    The name of a probe is one part of a path, whatever is in it, as `probe_logs` has it.

    Raises ValueError for an empty path. Opening raises `MisconfiguredError` where the folder
    cannot be made, or another sink writes traces there.

    - Emits when: never; without a store a line is delivered when it is handed to the operating
      system, with one when its epoch is committed.
    - Waits when: with a store, for the disk to have what an epoch prepares and appends.
    - Ends when: its input does.
    - Order: that of the input, in each file.
    - State: what is in the files stays, as with `probe_logs`; with a store each line stands in
      them exactly once. Which epoch was appended stands in `.sweep_trace.json`.
    - On error: what is no summary is rejected alone. Where a batch cannot be written whole, such as
      on a full disk, the files are cut back to the batch before it and `WriteFailed` tells how
      much is safe.
    """
    return SweepTrace(folder)
