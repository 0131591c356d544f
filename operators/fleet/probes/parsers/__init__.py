"""Parsers: what a probe printed, as values. Each is a plain function of a `ProbeResult`.

They raise DataError, with the line, for what is not as it should be; `fleet.parse` makes an
outcome of that.
"""

from __future__ import annotations

from .csv_rows import csv_rows as csv_rows
from .df import Filesystem as Filesystem
from .df import df as df
from .json_value import json_value as json_value
from .key_values import key_values as key_values
from .meminfo import Memory as Memory
from .meminfo import meminfo as meminfo
from .net_dev import Interface as Interface
from .net_dev import net_dev as net_dev
from .smartctl import Disk as Disk
from .smartctl import smartctl as smartctl
from .stat import CpuTimes as CpuTimes
from .stat import stat as stat
from .uptime import Uptime as Uptime
from .uptime import uptime as uptime

__all__ = [
    "CpuTimes",
    "Disk",
    "Filesystem",
    "Interface",
    "Memory",
    "Uptime",
    "csv_rows",
    "df",
    "json_value",
    "key_values",
    "meminfo",
    "net_dev",
    "smartctl",
    "stat",
    "uptime",
]
