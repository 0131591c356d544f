"""What was found, as rows of the tables of the usage experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ....runtime.contracts import dataclass
from ..probes.probe_result import ProbeResult
from ..sweeps.sweep_summary import SweepSummary
from .samples import UsageSample

__all__ = [
    "ATTEMPTS",
    "FACTS",
    "SAMPLES",
    "SESSIONS",
    "SWEEPS",
    "TRAFFIC",
    "WEAR",
    "Row",
    "Table",
    "attempt_row",
    "facts_row",
    "sample_row",
    "session_rows",
    "sweep_row",
    "traffic_rows",
    "wear_rows",
]

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its columns with their types, and which of them tell a row."""

    name: str
    columns: Mapping[str, type]
    key: tuple[str, ...]
    texts: tuple[str, ...] = field(init=False)
    """The columns that hold text."""

    def __post_init__(self) -> None:
        texts = tuple(name for name, kind in self.columns.items() if kind is str)
        object.__setattr__(self, "texts", texts)


ATTEMPTS = Table(
    "attempts",
    {
        "sweep": int,
        "target": str,
        "probe": str,
        "outcome": str,
        "exit_status": int,
        "signal": str,
        "started": float,
        "elapsed_there": float,
        "elapsed_here": float,
        "attempt": int,
        "bytes": int,
        "truncated": bool,
        "detail": str,
    },
    ("sweep", "target", "probe"),
)
"""Each attempt of a probe on a target, whatever came of it."""

SWEEPS = Table(
    "sweeps",
    {
        "sweep": int,
        "probe": str,
        "seconds": float,
        "attempts": int,
        "ok": int,
        "failed": int,
        "unavailable": int,
    },
    ("sweep", "probe"),
)
"""Each sweep."""

FACTS = Table(
    "facts",
    {
        "target": str,
        "sweep": int,
        "cpu": str,
        "cpus": int,
        "os": str,
        "os_version": str,
        "os_installed": int,
        "kernel": str,
        "memory": int,
        "swap": int,
        "disks": list,
        "interfaces": list,
    },
    ("target", "sweep"),
)
"""What a machine is, from a sweep on: a row only where it is new or has changed."""

SAMPLES = Table(
    "samples",
    {
        "sweep": int,
        "target": str,
        "at": float,
        "booted": int,
        "uptime": float,
        "restarted": bool,
        "cpu_idle": float,
        "cpu_idle_between": float,
        "memory_load": float,
        "swap_load": float,
        "disk_free": int,
        "received": int,
        "sent": int,
        "received_rate": float,
        "sent_rate": float,
        "users": int,
    },
    ("sweep", "target"),
)
"""What each machine does, each time."""

TRAFFIC = Table(
    "traffic",
    {
        "sweep": int,
        "target": str,
        "interface": str,
        "received": int,
        "sent": int,
        "received_rate": float,
        "sent_rate": float,
    },
    ("sweep", "target", "interface"),
)
"""The traffic of each interface, each time."""

SESSIONS = Table(
    "sessions",
    {"sweep": int, "target": str, "login": str, "line": str, "since": int},
    ("sweep", "target", "login", "line"),
)
"""Who is logged in, each time, and since when."""

WEAR = Table(
    "wear",
    {"sweep": int, "target": str, "disk": str, "start_stops": int, "power_on_hours": int},
    ("sweep", "target", "disk"),
)
"""How often each disk was started and how long it ran, each time, where it tells."""


def attempt_row(result: ProbeResult) -> Row:
    """The row of an attempt."""
    return _picked(ATTEMPTS, result)


def sweep_row(summary: SweepSummary) -> Row:
    """The row of a sweep."""
    counts = [len(summary[kind]) for kind in ("ok", "failed", "unavailable")]
    return {
        "sweep": summary["sweep"],
        "probe": _text(summary["probe"]),
        "seconds": summary["seconds"],
        "attempts": sum(counts),
        "ok": counts[0],
        "failed": counts[1],
        "unavailable": counts[2],
    }


def facts_row(sample: UsageSample) -> Row:
    """The row of what a machine is."""
    return _picked(FACTS, {**sample["facts"], **_of(sample)})


def sample_row(sample: UsageSample) -> Row:
    """The row of what a machine does."""
    return _picked(SAMPLES, sample)


def traffic_rows(sample: UsageSample) -> list[Row]:
    """A row for each interface."""
    return [
        _picked(TRAFFIC, {**each, **_of(sample), "interface": each["name"]})
        for each in sample["interfaces"]
    ]


def session_rows(sample: UsageSample) -> list[Row]:
    """A row for each session."""
    return [
        _picked(SESSIONS, {**each, **_of(sample), "login": each["user"]})
        for each in sample["sessions"] or ()
    ]


def wear_rows(sample: UsageSample) -> list[Row]:
    """A row for each disk that tells."""
    return [_picked(WEAR, {**each, **_of(sample)}) for each in sample["wear"]]


def _of(sample: UsageSample) -> Row:
    return {"sweep": sample["sweep"], "target": sample["target"]}


def _picked(table: Table, fields: Mapping[str, object]) -> Row:
    """The fields that are columns, with text that any database takes."""
    get = fields.get
    row = {name: get(name) for name in table.columns}
    for name in table.texts:
        value = row[name]
        if isinstance(value, str):
            row[name] = _text(value)
    return row


def _text(value: str) -> str:
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode()
