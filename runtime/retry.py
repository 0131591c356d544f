"""How often and how patiently a call is repeated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from .dataclass import dataclass
from .nodes import is_count, is_seconds

if TYPE_CHECKING:
    import random

__all__ = ["Retry", "WhenDown", "WhenMisconfigured"]

WhenDown = Literal["wait", "fail", "failed"]
"""What happens when the retries are used up and the other side is still down: `wait` keeps the
records and the back-pressure and tries on at `longest` intervals, `fail` fails the job, `failed`
sends the records to the failed port."""

WhenMisconfigured = Literal["pause", "fail"]
"""What happens when the other side says that no call can ever succeed, such as by a 404: `pause`
keeps the records and asks again each `longest` seconds, with the reason in the progress, unless no
call has ever passed, which fails the job; `fail` always fails it. Records are never given up."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Bounded retries with exponential backoff and full jitter.

    >>> Retry(attempts=3, first=0.1, longest=5.0).ceiling(4)
    0.8

    They are for a side that is broken or out of reach. One that says it is busy is waited for as
    it asks, however long that takes, and nobody is to blame.

    Parameters: `attempts`, calls in all (5); `first`, the ceiling of the first pause in seconds
    (0.1), doubled for each further one; `longest`, the ceiling of any pause in seconds (10);
    `when_down`, see `WhenDown`; `when_misconfigured`, see `WhenMisconfigured`. Raises ValueError
    where a value makes no sense.
    """

    attempts: int = 5
    first: float = 0.1
    longest: float = 10.0
    when_down: WhenDown = "wait"
    when_misconfigured: WhenMisconfigured = "pause"

    def __post_init__(self) -> None:
        if not is_count(self.attempts):
            raise ValueError(f"attempts must be 1 or more, not {self.attempts!r}")
        if not (
            is_seconds(self.first)
            and is_seconds(self.longest)
            and 0 < self.first <= self.longest < math.inf
        ):
            raise ValueError(
                "0 < first <= longest, in seconds, is asked for, "
                f"not first={self.first!r}, longest={self.longest!r}"
            )
        if self.when_down not in ("wait", "fail", "failed"):
            raise ValueError(
                f"when_down is one of 'wait', 'fail', 'failed', not {self.when_down!r}"
            )

        if self.when_misconfigured not in ("pause", "fail"):
            raise ValueError(
                f"when_misconfigured is 'pause' or 'fail', not {self.when_misconfigured!r}"
            )

    def ceiling(self, attempt: int) -> float:
        """The longest pause in seconds after the attempt of this number, counted from 1."""
        return float(min(self.longest, self.first * 2.0 ** min(attempt - 1, 60)))

    def pause(self, attempt: int, chance: random.Random) -> float:
        """The pause in seconds after this attempt: anywhere up to the ceiling, so that many
        clients of one server do not come back at the same moment.
        """
        return chance.uniform(0.0, self.ceiling(attempt))
