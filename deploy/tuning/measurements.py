"""What was measured of each setting, and which of them is the best."""

from __future__ import annotations

from ...runtime.dataclass import dataclass
from ...runtime.tuning.dials import Dials
from ...runtime.tuning.objective import Throughput
from ...runtime.tuning.trial import Measured

__all__ = ["Measurements", "Point"]

_BAD = 0.01
"""The share of calls that may be refused or fail, for a setting to be proposed."""

_AS_GOOD = 0.98
"""Rates that differ by less are the same: then the quicker answers win."""


@dataclass(slots=True)
class Point:
    """One setting: records a second, times of calls in seconds, and what went wrong.

    `calls` and the numbers before it are of the last measurement (None: it has none, since calls
    were refused or failed before), the others of all the time that it was in force. `confirmed`
    says that it was measured once more, for longer.
    """

    max_batch_size: int
    max_in_flight: int
    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    calls: int = 0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    rejected: int = 0
    confirmed: bool = False

    @property
    def failures(self) -> int:
        """Calls that were told to wait or came to nothing, and records that were given up."""
        return self.refused + self.failed + self.rejected

    @property
    def sound(self) -> bool:
        """Whether nearly all calls were answered."""
        bad = self.refused + self.failed
        return bad <= _BAD * (self.answered + bad)

    def within(self, goal: Throughput) -> bool:
        """Whether it was measured, and kept to the bound."""
        return self.p99 is not None and self.p99 <= goal.p99


class Measurements:
    """The settings that were in force, in the order in which they came to be."""

    def __init__(self, goal: Throughput) -> None:
        self.goal = goal
        self._points: dict[tuple[int, int], Point] = {}

    @property
    def points(self) -> list[Point]:
        """All of them."""
        return list(self._points.values())

    def of(self, dials: Dials) -> Point:
        """The point of a setting."""
        key = (dials.max_batch_size or 1, dials.max_in_flight)
        point = self._points.get(key)
        if point is None:
            point = self._points[key] = Point(*key)
        return point

    def note(self, measured: Measured, *, confirmed: bool = False) -> None:
        """A setting has shown this."""
        point = self.of(measured.dials)
        if measured.calls:
            point.rate, point.p50, point.p99 = measured.rate, measured.p50, measured.p99
            point.calls = measured.calls
        point.confirmed = confirmed

    def best(self, *, sure: bool = False) -> Point | None:
        """The fastest within the bound; of those that are as fast, the one with quick answers.

        With `sure`, one that was confirmed is taken before those that were not.
        """
        able = [one for one in self.points if one.within(self.goal) and one.sound and one.rate]
        if not able:
            return None
        top = max(one.rate or 0.0 for one in able)
        return min(
            (one for one in able if (one.rate or 0.0) >= _AS_GOOD * top),
            key=lambda one: (sure and not one.confirmed, one.p99 or 0.0),
        )

    def least_refused(self) -> int | None:
        """The fewest calls at once of which more than a few were refused."""
        refused = [one.max_in_flight for one in self.points if one.refused and not one.sound]
        return min(refused, default=None)
