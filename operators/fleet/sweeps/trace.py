"""The trace of an experiment: one line for each sweep, as text that people and programs read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from .sweep_summary import SweepSummary, percent_ok

__all__ = ["read_trace", "trace_line"]

_SPECIAL = re.compile(r"[%|,\s]")
_FIELDS = 9


def trace_line(summary: SweepSummary) -> str:
    r"""A sweep as a line of a trace, without a line break.

    >>> trace_line({"sweep": 1081948390, "probe": "usage", "seconds": 381.94,
    ...             "ok": ["m1", "m2"], "failed": [], "unavailable": ["m12"]})
    '1081948390|2|0|1|66.7|381.9|m1,m2,| |m12,|'

    That is `sweep|ok|failed|unavailable|percent ok|seconds|ok names,|failed names,|unavailable
    names,|`, where no name is a space. In a name, what would be taken for a part of the line
    stands as `%` and two digits.
    """
    kinds = (summary["ok"], summary["failed"], summary["unavailable"])
    counts = "|".join(str(len(names)) for names in kinds)
    names = "|".join(map(_names, kinds))
    return (
        f"{summary['sweep']:d}|{counts}|{percent_ok(summary):.1f}|{summary['seconds']:.1f}|{names}|"
    )


def _names(names: Sequence[str]) -> str:
    return "".join(f"{_escaped(name)}," for name in names) or " "


def _escaped(name: str) -> str:
    safe = name.encode("utf-8", "backslashreplace").decode()
    if safe.isprintable() and not _SPECIAL.search(safe):
        return safe
    return "".join(
        each
        if each.isprintable() and not _SPECIAL.match(each)
        else "".join(f"%{byte:02X}" for byte in each.encode())
        for each in safe
    )


def read_trace(path: str | os.PathLike[str], *, probe: str = "") -> Iterator[SweepSummary]:
    """The sweeps of a trace file, one by one.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "usage.trace"
    >>> _ = path.write_text("1081948390|2|0|1|66.7|381.9|m1,m2,| |m12,|\\n")
    >>> [(sweep["sweep"], sweep["ok"]) for sweep in read_trace(path)]
    [(1081948390, ['m1', 'm2'])]

    Parameters: `path`, the file; `probe`, the name that the sweeps are to have, where it is not
    that of the file without its ending. Raises ValueError for a line that is none of a trace, with
    its number.
    """
    where: str = os.fspath(path)
    probe = probe or unquote(os.path.basename(where).removesuffix(".trace"))
    with open(where, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _parsed(line, probe)
            except ValueError as error:
                raise ValueError(f"{where!r}, line {number}: {error}") from None


def _parsed(line: str, probe: str) -> SweepSummary:
    fields = line.rstrip("\n").split("|")
    if not line.endswith("\n") or len(fields) != _FIELDS + 1 or fields[-1]:
        raise ValueError(f"{line[:80]!r} is no sweep: {_FIELDS} fields with | behind each")
    ok, failed, unavailable = (
        [unquote(name) for name in names.strip(" ").split(",") if name] for names in fields[6:9]
    )
    if [len(ok), len(failed), len(unavailable)] != [int(count) for count in fields[1:4]]:
        raise ValueError("the names are not as many as it says")
    return SweepSummary(
        sweep=int(fields[0]),
        probe=probe,
        seconds=float(fields[5]),
        ok=ok,
        failed=failed,
        unavailable=unavailable,
    )
