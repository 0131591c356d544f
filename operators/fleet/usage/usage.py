"""What a Linux machine is and does: the probe `usage`, and what it prints as a record."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from ....runtime.contracts import DataError

__all__ = [
    "USAGE_SCRIPT",
    "Disk",
    "DiskWear",
    "Facts",
    "Interface",
    "Session",
    "Traffic",
    "Usage",
    "parse_usage",
]

USAGE_SCRIPT = Path(__file__).with_name("usage.sh")
"""The probe: a script for any POSIX shell, that of busybox too, which prints what it finds."""

_LARGEST = 2**63 - 1
_MOST = 1_000
"""Disks, interfaces or sessions of one machine."""
_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?\Z")
_WHEN = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2}) +(\d{1,2}):(\d{2})\b")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Disk(TypedDict):
    """A disk: its name, its size in bytes, and its model where it tells one."""

    name: str
    bytes: int
    model: str


class Interface(TypedDict):
    """A network interface, with its hardware address."""

    name: str
    address: str


class Facts(TypedDict):
    """What a machine is: it changes seldom. See `parse_usage`.

    `memory` and `swap` are in bytes; `os_installed` is in Unix seconds, from when its file system
    was made. Interfaces are those of hardware, or all where there are none of hardware.
    """

    cpu: str
    cpus: int
    os: str
    os_version: str
    os_installed: int | None
    kernel: str
    memory: int
    swap: int
    disks: list[Disk]
    interfaces: list[Interface]


class Traffic(TypedDict):
    """Bytes that went through an interface since the machine was started."""

    name: str
    received: int
    sent: int


class Session(TypedDict):
    """Somebody who is logged in, on which line, and since when in Unix seconds."""

    user: str
    line: str
    since: int | None


class DiskWear(TypedDict):
    """How often a disk was started and for how many hours it ran, as SMART tells."""

    disk: str
    start_stops: int | None
    power_on_hours: int | None


class Usage(TypedDict):
    """What a machine is and does now. See `parse_usage`.

    `boot_id` is another one after each start of the machine, which was at `booted` (Unix seconds),
    `uptime` seconds ago. `idle` are the seconds that its processors had nothing to do since then,
    all together. Memory, swap and disk are in bytes; `disk` and `disk_free` are sums over its file
    systems. `traffic` is that of the interfaces among the facts. `sessions` is None where the
    machine does not tell who is logged in.
    """

    facts: Facts
    boot_id: str
    booted: int
    uptime: float
    idle: float
    memory_free: int
    swap_free: int
    disk: int
    disk_free: int
    traffic: list[Traffic]
    sessions: list[Session] | None
    wear: list[DiskWear]


class _Lines:
    """The lines of key=value, looked up by key."""

    def __init__(self, text: str) -> None:
        self._found: dict[str, list[str]] = {}
        # What no database takes as text is not worth a sample.
        for line in text.replace("\0", "\ufffd").split("\n"):
            key, equals, value = line.partition("=")
            if equals:
                self._found.setdefault(key, []).append(value.strip())
        if "usage" not in self._found:
            raise DataError("this is not what the probe usage prints: there is no usage=")
        if "end" not in self._found:
            raise DataError("what the probe usage printed is cut off: there is no end=")
        if self._found["usage"] != ["1"]:
            raise DataError(f"usage={self._found['usage'][0]!r:.40} is not known here, only 1")

    def text(self, key: str) -> str:
        return self._found.get(key, [""])[0]

    def optional(self, key: str) -> int | None:
        return None if key not in self._found else _integer(key, self._found[key][0])

    def integer(self, key: str) -> int:
        return _integer(key, self._needed(key))

    def seconds(self, key: str) -> float:
        value = self._needed(key)
        if not _SECONDS.match(value):
            raise DataError(f"{key}={value!r:.40} is no number of seconds")
        return float(value)

    def words(self, key: str, count: int) -> list[list[str]]:
        """The values of a key, each cut into so many words; what remains is the last."""
        values = self._found.get(key, [])
        if len(values) > _MOST:
            raise DataError(f"there are {len(values)} lines with {key}=, more than {_MOST}")
        made: list[list[str]] = []
        for value in values:
            words = value.split(None, count - 1)
            made.append([*words, *[""] * (count - len(words))])
        return made

    def _needed(self, key: str) -> str:
        if key not in self._found:
            raise DataError(f"the probe usage printed no {key}=")
        return self._found[key][0]


def _integer(key: str, value: str) -> int:
    # Text of any length is not tried: that takes the longer, the more there is.
    if value.isdecimal() and value.isascii() and len(value) < 20 and (number := int(value)) < 2**63:
        return number
    raise DataError(f"{key}={value!r:.40} is no whole number below 2^63")


def _kilobytes(key: str, value: str) -> int:
    made = 1024 * _integer(key, value)
    if made > _LARGEST:
        raise DataError(f"{key}={value} is more than can be")
    return made


def parse_usage(text: str) -> Usage:
    """What the probe printed, as a record.

    >>> text = "usage=1\\nuptime=90.5\\nidle=100.0\\nboot=1081940000\\ncpus=2\\nmemory=1024\\nend=1"
    >>> usage = parse_usage(text)
    >>> usage["uptime"], usage["facts"]["memory"]
    (90.5, 1048576)

    Raises DataError for what is something else, or is cut off, with the key.
    """
    lines = _Lines(text)
    interfaces = lines.words("interface", 3)
    hardware = [words for words in interfaces if words[1] == "physical"]
    names = {words[0] for words in hardware or interfaces}
    booted, uptime = lines.integer("boot"), lines.seconds("uptime")
    filesystems = lines.words("filesystem", 3)
    memory, swap = (_kilobytes(key, lines.text(key) or "0") for key in ("memory", "swap"))
    facts = Facts(
        cpu=lines.text("cpu"),
        cpus=max(1, lines.integer("cpus")),
        os=lines.text("os"),
        os_version=lines.text("os_version"),
        os_installed=lines.optional("os_installed"),
        kernel=lines.text("kernel"),
        memory=memory,
        swap=swap,
        disks=[
            Disk(name=name, bytes=_kilobytes("disk", size), model=model)
            for name, size, model in lines.words("disk", 3)
        ],
        interfaces=[
            Interface(name=name, address=address) for name, _, address in hardware or interfaces
        ],
    )
    return Usage(
        facts=facts,
        boot_id=lines.text("boot_id"),
        booted=booted,
        uptime=uptime,
        idle=lines.seconds("idle"),
        memory_free=min(memory, _kilobytes("memory_free", lines.text("memory_free") or "0")),
        swap_free=min(swap, _kilobytes("swap_free", lines.text("swap_free") or "0")),
        disk=_sum(_kilobytes("filesystem", words[0]) for words in filesystems),
        disk_free=_sum(_kilobytes("filesystem", words[1]) for words in filesystems),
        traffic=[
            Traffic(
                name=name, received=_integer("traffic", received), sent=_integer("traffic", sent)
            )
            for name, received, sent in lines.words("traffic", 3)
            if name in names
        ],
        sessions=_sessions(lines, booted + uptime),
        wear=[
            DiskWear(
                disk=disk,
                start_stops=None if starts == "-" else _integer("smart", starts),
                power_on_hours=None if hours == "-" else _integer("smart", hours),
            )
            for disk, starts, hours in lines.words("smart", 3)
        ],
    )


def _sum(sizes: Iterable[int]) -> int:
    return min(_LARGEST, sum(sizes))


def _sessions(lines: _Lines, now: float) -> list[Session] | None:
    if lines.text("sessions") != "known":
        return None
    return [
        Session(user=user, line=line, since=_since(when, now))
        for user, line, when in lines.words("session", 3)
    ]


def _since(when: str, now: float) -> int | None:
    """When a session began: `@` and Unix seconds, or as `who` says it in UTC, without a year."""
    if when.startswith("@"):
        return _integer("session", when[1:]) if when[1:] else None
    found = _WHEN.match(when)
    if found is None or found[1] not in _MONTHS:
        return None
    month, (day, hour, minute) = _MONTHS.index(found[1]) + 1, map(int, found.groups()[1:])
    try:
        year = datetime.fromtimestamp(now, UTC).year
        # The last one that is not to come. A day is left for a clock that was set meanwhile.
        for candidate in range(year + 1, year - 9, -1):
            try:
                began = datetime(candidate, month, day, hour, minute, tzinfo=UTC).timestamp()
            except ValueError:
                continue  # The 29th of February, in most years.
            if began <= now + 86_400:
                return int(began)
    except (ValueError, OverflowError, OSError):
        pass
    return None
