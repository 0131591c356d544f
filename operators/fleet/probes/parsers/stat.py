"""`/proc/stat`."""

from __future__ import annotations

import re
from typing import TypedDict

from .....runtime.contracts import DataError
from ..probe_result import ProbeResult
from ._output import lines_of, wrong

__all__ = ["CpuTimes", "stat"]


class CpuTimes(TypedDict):
    """What the processors did since the machine started, all together, in ticks (mostly 10 ms).

    `idle_percent` is that of all the time since then; two of these give it for the time between.
    `booted` is in Unix seconds. See `stat`.
    """

    cpus: int
    idle: int
    total: int
    idle_percent: float
    booted: int


def stat(result: ProbeResult) -> CpuTimes:
    """Processor times since the start, as `/proc/stat` tells them.

    >>> from thalweg.operators.fleet import result_of
    >>> times = stat(result_of('''cpu  100 0 100 700 100 0 0 0 50 0
    ... cpu0 100 0 100 700 100 0 0 0 50 0
    ... btime 1700000000
    ... '''))
    >>> times["cpus"], times["idle_percent"]
    (1, 80.0)

    Waiting for a disk counts as idle; time for guests is a part of what is counted as user time.
    Raises DataError for a line of another form, or a missing one.
    """
    ticks: list[int] = []
    cpus, booted = 0, None
    for number, line in lines_of(result, "stat"):
        name, *cells = line.split()
        if name == "btime" or re.match(r"cpu\d*\Z", name):
            if not cells or not all(cell.isascii() and cell.isdigit() for cell in cells):
                raise wrong("stat", number, "numbers are meant", line)
            if name == "btime":
                booted = int(cells[0])
            elif name == "cpu":
                if len(cells) < 4:
                    raise wrong("stat", number, "four numbers or more are meant", line)
                ticks = [int(cell) for cell in cells]
            else:
                cpus += 1
    if not ticks or booted is None:
        raise DataError(f"stat: there is no line {'btime' if ticks else 'cpu'}")
    idle, total = sum(ticks[3:5]), sum(ticks[:8])
    return {
        "cpus": cpus,
        "idle": idle,
        "total": total,
        "idle_percent": round(100 * idle / total, 3) if total else 100.0,
        "booted": booted,
    }
