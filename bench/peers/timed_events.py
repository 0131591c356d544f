"""The events of `analytics_time.py`: the same for everyone, with nothing imported."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

__all__ = ["BOUND", "LATENESS", "LENGTH", "START", "Event", "events", "sides"]

Event = dict[str, Any]

LENGTH, LATENESS, BOUND = 10.0, 5.0, 60.0
"""Seconds of a window, how far behind an event is counted, and how far apart a pair may be."""

START = 1_700_000_000.0
KEYS = 1_000
SIDE_KEYS = 50_000


def events(count: int, *, dated: bool = False) -> list[Event]:
    """A thousand events a second, of as many keys; one of a hundred comes half a minute late.

    None of the first of its key does: bytewax judges each key by itself, Thalweg the whole lane.
    With `dated` their times are datetimes, as bytewax asks for them, and not numbers.
    """
    made: list[Event] = []
    for n in range(count):
        at = START + n / 1_000 - (30.0 if n >= KEYS and (n + n // KEYS) % 100 == 99 else 0.0)
        when = datetime.fromtimestamp(at, UTC) if dated else at
        made.append({"key": f"key-{n * 7919 % KEYS}", "at": when, "value": n % 61})
    return made


def sides(count: int) -> tuple[list[Event], list[Event]]:
    """Two streams in the order of time: what is on the right comes up to 99 s later.

    So 61 pairs of a hundred are within the bound. A key comes again after 500 s.
    """
    left = [{"key": f"key-{n % SIDE_KEYS}", "at": START + n / 100, "n": n} for n in range(count)]
    right = [
        {"key": f"key-{n % SIDE_KEYS}", "at": START + n / 100 + n % 100, "m": n}
        for n in range(count)
    ]
    return left, sorted(right, key=lambda event: event["at"])
