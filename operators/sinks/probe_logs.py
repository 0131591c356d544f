"""`probe_logs`: what each machine said, in files of its own."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ._folder_sink import FolderSink
from ._safe_name import safe_name

if TYPE_CHECKING:
    from ..fleet.probes.probe_result import ProbeResult

__all__ = ["ProbeLogs", "probe_logs"]


class ProbeLogs(FolderSink["ProbeResult"]):
    """The sink that `probe_logs` makes; see there."""

    name = "probe_logs"
    what = "result of a probe"

    def pieces(self, record: ProbeResult) -> list[tuple[str, bytes]]:
        """What the machine said, and what it said on its standard error, if anything."""
        place = f"{safe_name(record['target'])}/{safe_name(record['probe'])}"
        made = [(f"{place}.stdout", _entry(record, record["stdout"]))]
        if record["stderr"]:
            made.append((f"{place}.stderr", _entry(record, record["stderr"])))
        return made


def probe_logs(folder: str | os.PathLike[str]) -> ProbeLogs:
    """What each machine said, in files of its own: `FOLDER/TARGET/PROBE.stdout` and `.stderr`.

    >>> sink = probe_logs("out/experiment")

    Parameters: `folder`, that of the experiment; it is made, with those above it, where missing.

    Records are results of probes. Each is appended behind a line that tells of it:

        # sweep 1081948390 2004-04-14T13:13:10Z ok exit_status=0 elapsed=0.213 bytes=5
        3.14

    A result without output has its line in the `.stdout` too, so that the file tells of each
    sweep, and why it brought nothing; `.stderr` has only those that said something there. `bytes`
    is the length of what follows, so that no output can pass for such a line; a line break is
    added where there is none at the end.

    A name is one part of a path, whatever is in it: what is not a letter of ASCII, a digit or one
    of `._-@+=:,` stands as `%` and two digits, and so does a dot at the beginning. A longer one
    than 160 bytes is cut, with a checksum behind it. No link is followed from a file of this name.

    With a store each result stands in the files exactly once: until its epoch is committed it waits
    in a hidden file of the folder (`.probe_logs.….part`), one for all targets. Which epoch was
    appended stands in `.probe_logs.json`. Files may be rotated and shortened between epochs. No
    file is held open.

    Raises ValueError for an empty path. Opening raises `MisconfiguredError` where the folder
    cannot be made, or another sink writes logs there.

    - Emits when: never; without a store a result is delivered when it is handed to the operating
      system, with one when its epoch is committed.
    - Waits when: with a store, for the disk to have what an epoch prepares and appends.
    - Ends when: its input does.
    - Order: that of the input, in each file.
    - State: what is in the files stays: a job that begins anew appends. A job cannot go back to an
      earlier epoch than the folder has committed: `MisconfiguredError` names it. Right before it
      appends, the sink asks the store whether another copy of the job has taken over.
    - On error: what is no result is rejected alone. Where a batch cannot be written whole, such as
      on a full disk, the files are cut back to the batch before it and `WriteFailed` tells how
      much is safe; with a store, what was prepared is appended by the next start.
    """
    return ProbeLogs(folder)


def _entry(record: ProbeResult, said: str) -> bytes:
    sweep = record["sweep"]
    when = datetime.fromtimestamp(sweep, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = [f"# sweep {sweep:d} {when} {record['outcome']}"]
    if record.get("exit_status") is not None:
        told.append(f"exit_status={record['exit_status']:d}")
    if record.get("signal"):
        told.append(f"signal={safe_name(str(record['signal']))}")
    told.append(f"elapsed={record['elapsed_here']:.3f}")
    if record.get("truncated"):
        told.append("truncated")
    data = said.encode("utf-8", "backslashreplace")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    told.append(f"bytes={len(data)}")
    if record["detail"]:
        told.append(_one_line(record["detail"]))
    return " ".join(told).encode("utf-8", "backslashreplace") + b"\n" + data


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
