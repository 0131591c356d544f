"""`uptime`, and `/proc/uptime`."""

from __future__ import annotations

import re
from typing import TypedDict

from ..probe_result import ProbeResult
from ._output import lines_of, wrong

__all__ = ["Uptime", "uptime"]

_PROC = re.compile(r"(\d+(?:\.\d+)?) \d+(?:\.\d+)?\s*\Z")
_UP = re.compile(r"\bup\s+(.*?),?\s*(?:(\d+)\s+users?\s*,?\s*)?load averages?:\s*(.*)\Z")
_LOAD = re.compile(r"(\d+[.,]\d+)(?:,?\s+|\Z)")
_PART = re.compile(r"(\d+):(\d\d)|(\d+)\s*(day|hour|hr|min|sec)")
_SECONDS = {"day": 86_400, "hour": 3_600, "hr": 3_600, "min": 60, "sec": 1}


class Uptime(TypedDict):
    """Since how many seconds a machine runs, how many are logged in, and its load averages.

    `uptime` tells minutes, `/proc/uptime` hundredths of a second, but neither users nor load: those
    are None and empty then, as they are where a small system leaves them out. See `uptime`.
    """

    seconds: float
    users: int | None
    load: list[float]


def uptime(result: ProbeResult) -> Uptime:
    """What `uptime` says, or what stands in `/proc/uptime`.

    >>> from thalweg.operators.fleet import result_of
    >>> uptime(result_of(" 16:47:50 up 2 days,  3:29,  2 users,  load average: 0.08, 0.21, 0.33"))
    {'seconds': 185340.0, 'users': 2, 'load': [0.08, 0.21, 0.33]}

    Raises DataError for another form.
    """
    number, line = next(lines_of(result, "uptime"))
    proc = _PROC.match(line)
    if proc is not None:
        return {"seconds": float(proc[1]), "users": None, "load": []}
    match = _UP.search(line)
    parts = list(_PART.finditer(match[1])) if match is not None else []
    if match is None or not parts or re.sub(r"s?[\s,]*", "", _PART.sub("", match[1])):
        raise wrong("uptime", number, "this is not what uptime says", line)
    seconds = 0
    for part in parts:
        if part[1]:
            seconds += int(part[1]) * 3_600 + int(part[2]) * 60
        else:
            seconds += int(part[3]) * _SECONDS[part[4]]
    load = [float(one.replace(",", ".")) for one in _LOAD.findall(match[3])]
    if len(load) != 3:
        raise wrong("uptime", number, "three load averages are meant", line)
    return {"seconds": float(seconds), "users": int(match[2]) if match[2] else None, "load": load}
