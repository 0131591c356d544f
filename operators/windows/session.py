"""`session`: windows that last until nothing comes any more."""

from __future__ import annotations

from typing import TypeVar

from ...runtime.contracts import Duration, Operator, in_seconds
from ..aggregates.aggregate import Aggregate
from ._session_windows import SessionWindows
from .emission import Emit
from .result import Window
from .windower import Clock, Windower

__all__ = ["Session", "session"]

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
V = TypeVar("V")


class Session(Windower):
    """The windower that `session` makes; see there."""

    def __init__(self, gap: Duration) -> None:
        self.gap = in_seconds(gap, "the gap of sessions")
        if not self.gap:
            raise ValueError("the gap of sessions is more than 0 seconds")

    def operator(
        self, aggregate: Aggregate[R, A, V], emit: Emit, clock: Clock | None
    ) -> Operator[tuple[K, R], Window[K, V]]:
        """The operator that keeps sessions. Raises ValueError without a merge."""
        if not aggregate.mergeable:
            raise ValueError(
                "a record may make one session of two, so sessions need an aggregate with merge: "
                "fold(…, merge=…)"
            )
        made: SessionWindows[K, R, A, V] = SessionWindows(
            self.gap, aggregate, emit, clock or "event"
        )
        return made


def session(gap: Duration) -> Session:
    """Windows of one key that last until none of its records has come for `gap`.

    >>> session("30min").gap
    1800.0

    A session starts at its first record and ends `gap` after its last; what comes at its end or
    later begins another. A record that comes late may make one session of two: so the aggregate
    needs a `merge`. With `emit="update"` a session that grows is told with another end, and one
    that two have become with the start of the earlier.

    `gap` is in seconds, or text such as "30min", and more than 0. Raises ValueError and TypeError
    otherwise.
    """
    return Session(gap)
