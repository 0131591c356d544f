"""When sweeps begin, and when they end for good."""

from __future__ import annotations

from typing import Literal, cast, get_args

from ....runtime.contracts import Duration, dataclass, in_seconds

__all__ = ["Mode", "Timetable"]

Mode = Literal["periodic", "single_shot"]
"""Whether every sweep asks everything, or only what has not been answered before."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """When the next sweep begins: `every` seconds after the last one began, but never sooner than
    `minimum_gap` after it ended. There are no more than `sweeps`, and none begins later than
    `lasting` seconds after the first.

    >>> Timetable.of(every="15min", minimum_gap="30s").due(began=0.0, ended=880.0)
    910.0
    """

    every: float
    minimum_gap: float
    mode: Mode
    sweeps: int | None
    lasting: float | None

    @classmethod
    def of(
        cls,
        *,
        every: Duration,
        minimum_gap: Duration = 0.0,
        mode: Mode = "periodic",
        sweeps: int | None = None,
        lasting: Duration | None = None,
    ) -> Timetable:
        """Of what a user writes. Raises ValueError or TypeError where that makes no sense."""
        if mode not in get_args(Mode):
            raise ValueError(f"mode is one of {get_args(Mode)}, not {mode!r}")
        given = cast(object, sweeps)
        if given is not None and (not isinstance(given, int) or given < 1):
            raise ValueError(f"sweeps is 1 or more, or None, not {given!r}")
        seconds = in_seconds(every, "every")
        if seconds <= 0:
            raise ValueError("every is more than 0 seconds")
        return cls(
            seconds,
            in_seconds(minimum_gap, "minimum_gap"),
            mode,
            sweeps,
            None if lasting is None else in_seconds(lasting, "lasting"),
        )

    def due(self, *, began: float, ended: float) -> float:
        """When the sweep after this one is to begin."""
        return max(began + self.every, ended + self.minimum_gap)

    def is_over(self, *, begun: int, since_first: float) -> bool:
        """Whether no sweep begins any more: so many have, and the first one so long ago."""
        if self.sweeps is not None and begun >= self.sweeps:
            return True
        return self.lasting is not None and begun > 0 and since_first > self.lasting
