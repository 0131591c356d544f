"""`/proc/meminfo`."""

from __future__ import annotations

import re
from typing import TypedDict

from .....runtime.contracts import DataError
from ..probe_result import ProbeResult
from ._output import lines_of, wrong

__all__ = ["Memory", "meminfo"]

_LINE = re.compile(r"([^\s:]+):\s+(\d+)(\s+kB)?\s*\Z")


class Memory(TypedDict):
    """Memory and swap, in bytes; the loads are percentages of what there is, 0 where is none.

    See `meminfo`.
    """

    total: int
    available: int
    load: float
    swap_total: int
    swap_free: int
    swap_load: float


def meminfo(result: ProbeResult) -> Memory:
    """Memory and swap as `/proc/meminfo` tells them.

    >>> from thalweg.operators.fleet import result_of
    >>> meminfo(result_of('''MemTotal:  1000 kB
    ... MemAvailable:   250 kB
    ... SwapTotal:  0 kB
    ... SwapFree:  0 kB
    ... '''))["load"]
    75.0

    Before Linux 3.14 there is no `MemAvailable`; then free memory, buffers and cache count as
    available. Raises DataError for a line of another form, or a missing one.
    """
    found: dict[str, int] = {}
    for number, line in lines_of(result, "meminfo"):
        match = _LINE.match(line)
        if match is None:
            raise wrong("meminfo", number, "a name, a number and kB are meant", line)
        found[match[1]] = int(match[2]) * (1024 if match[3] else 1)
    old = ("MemFree", "Buffers", "Cached")
    if "MemAvailable" not in found and all(name in found for name in old):
        found["MemAvailable"] = sum(found[name] for name in old)
    for name in ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree"):
        if name not in found:
            raise DataError(f"meminfo: there is no {name}")
    return {
        "total": found["MemTotal"],
        "available": found["MemAvailable"],
        "load": _load(found["MemTotal"], found["MemAvailable"]),
        "swap_total": found["SwapTotal"],
        "swap_free": found["SwapFree"],
        "swap_load": _load(found["SwapTotal"], found["SwapFree"]),
    }


def _load(total: int, free: int) -> float:
    return round(100 * (total - free) / total, 3) if total else 0.0
