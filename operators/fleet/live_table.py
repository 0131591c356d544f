"""`live_table`: how a fleet stands just now, as lines for a terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, TextIO
from unicodedata import east_asian_width

from .probes.probe_result import ProbeResult
from .sweeps.sweep_summary import Standing, standing_of
from .usage.samples import UsageSample

__all__ = ["live_table", "wants_colour"]

_COLOURS: Mapping[Standing | Literal["head"], str] = {
    "ok": "\x1b[32m",
    "failed": "\x1b[31m",
    "unavailable": "\x1b[2m",
    "head": "\x1b[1m",
}
_PLAIN = "\x1b[0m"
_ORDER: tuple[Standing, ...] = ("failed", "ok", "unavailable")
_NAME = 24


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal that takes colours, and nobody has said NO_COLOR.

    >>> import io
    >>> wants_colour(io.StringIO())
    False
    """
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM", "") != "dumb"


def live_table(
    latest: Mapping[str, ProbeResult],
    samples: Mapping[str, UsageSample] | None = None,
    *,
    width: int = 80,
    height: int = 24,
    colour: bool = False,
) -> list[str]:
    """How a fleet stands just now, as lines for a terminal.

    >>> live_table({})
    ['no machine has answered yet']

    Parameters: `latest`, the last result of each target, by its name; `samples`, the last sample of
    each (none); `width` and `height`, the columns and lines that there are (80, 24); `colour`,
    whether to use colours: see `wants_colour`.

    The first line tells how many are ok, failed and unavailable. Then come the machines, those that
    failed first; where there is no room for all, the last line says how many more there are. What a
    machine says never reaches the terminal as anything but letters.
    """
    if not latest:
        return ["no machine has answered yet"]
    standings: dict[str, Standing] = {
        name: standing_of(result["outcome"]) for name, result in latest.items()
    }
    counts = {kind: sum(each == kind for each in standings.values()) for kind in _ORDER}
    sweep = max(result["sweep"] for result in latest.values())
    head = (
        f"sweep {sweep}: {counts['ok']} ok, {counts['failed']} failed, "
        f"{counts['unavailable']} unavailable"
    )
    columns = f"{'machine':<{_NAME}} {'outcome':<16} {'s':>6} {'idle':>5} {'mem':>5} {'users':>5}"
    lines = [_coloured(_cut(head, width), "head", colour), _cut(columns, width)]
    names = sorted(latest, key=lambda name: (_ORDER.index(standings[name]), name))
    room = max(1, height - len(lines))
    if len(names) > room:
        names, more = names[: room - 1], len(names) - room + 1
    else:
        more = 0
    for name in names:
        line = _line(name, latest[name], (samples or {}).get(name))
        lines.append(_coloured(_cut(line, width), standings[name], colour))
    if more:
        lines.append(_cut(f"and {more} more", width))
    return lines


def _line(name: str, result: ProbeResult, sample: UsageSample | None) -> str:
    told = _cut(_shown(name), _NAME)
    line = (
        f"{told}{' ' * (_NAME - _cells(told))} {result['outcome']:<16} "
        f"{result['elapsed_here']:>6.2f}"
    )
    # An older sample says nothing about a machine that is down now.
    if sample is not None and sample["sweep"] == result["sweep"]:
        idle = (
            sample["cpu_idle"]
            if sample["cpu_idle_between"] is None
            else (sample["cpu_idle_between"])
        )
        users = "?" if sample["users"] is None else str(sample["users"])
        return f"{line} {idle:>4.0f}% {sample['memory_load']:>4.0f}% {users:>5}"
    return f"{line}  {_shown(result['detail'])}".rstrip()


def _coloured(line: str, kind: Standing | Literal["head"], colour: bool) -> str:
    return f"{_COLOURS[kind]}{line}{_PLAIN}" if colour else line


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def _cells(text: str) -> int:
    return sum(2 if east_asian_width(each) in "WF" else 1 for each in text)


def _cut(text: str, width: int) -> str:
    """As much as fits into so many columns."""
    if len(text) <= width and text.isascii():
        return text
    taken, cells = "", 0
    for each in text:
        cells += _cells(each)
        if cells > width:
            return taken[:-1] + "…" if taken else taken
        taken += each
    return taken
