"""`df -P`."""

from __future__ import annotations

import re
from typing import TypedDict

from ..probe_result import ProbeResult
from ._output import lines_of, wrong

__all__ = ["Filesystem", "df"]

_HEADER = re.compile(
    r"Filesystem\s+(?:(\d+)-blocks|(1[KMG])-blocks)\s+Used\s+Avail\w*\s+\S+\s+Mount"
)
_ROW = re.compile(r"(.*?)\s+(\d+|-)\s+(-?\d+|-)\s+(-?\d+|-)\s+(?:-?\d+%|-)\s+(/.*|\S.*)\Z")
_UNITS = {"1K": 1024, "1M": 1024**2, "1G": 1024**3}


class Filesystem(TypedDict):
    """One line of `df`; sizes are in bytes, `free` is what a user may still fill.

    See `df`.
    """

    filesystem: str
    mount: str
    size: int
    used: int
    free: int


def df(result: ProbeResult) -> list[Filesystem]:
    """The file systems that `df -P` lists, for `flat_map` or a `parse`.

    >>> from thalweg.operators.fleet import result_of
    >>> df(result_of('''Filesystem     1024-blocks    Used Available Capacity Mounted on
    ... /dev/sda1          1000000  400000    550000      43% /
    ... '''))
    [{'filesystem': '/dev/sda1', 'mount': '/', 'size': 1024000000, 'used': 409600000, \
'free': 563200000}]

    Raises DataError for another form: ask with `-P`, which keeps each in a line.
    """
    rows: list[Filesystem] = []
    unit = 0
    for number, line in lines_of(result, "df"):
        if not unit:
            header = _HEADER.match(line)
            if header is None:
                raise wrong("df", number, "this is no header of df -P", line)
            unit = int(header[1]) if header[1] else _UNITS[header[2]]
            continue
        row = _ROW.match(line)
        if row is None or not row[1]:
            raise wrong("df", number, "a file system, three numbers, % and a mount are meant", line)
        size, used, free = (0 if cell == "-" else int(cell) * unit for cell in row.groups()[1:4])
        rows.append(
            {"filesystem": row[1], "mount": row[5], "size": size, "used": used, "free": free}
        )
    return rows
