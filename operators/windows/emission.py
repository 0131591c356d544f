"""When a window is told: once, with each record, or now and then."""

from __future__ import annotations

from typing import Literal

from ...runtime.contracts import Duration, dataclass, in_seconds

__all__ = ["Emit", "Every", "checked_emit", "every"]


@dataclass(frozen=True, slots=True)
class Every:
    """The emission that `every` makes; see there."""

    seconds: float


Emit = Literal["close", "update"] | Every
"""When a window is told: once, when it is closed; after each of its records; or `every(…)`."""


def every(interval: Duration) -> Every:
    """Tell the windows that have changed, each so many seconds by the clock, and at their end.

    >>> every("5s")
    Every(seconds=5.0)

    `interval` is in seconds, or text such as "5s", and more than 0. What is told between depends on
    the clock; what is told last of a window does not. Raises ValueError and TypeError otherwise.
    """
    seconds = in_seconds(interval, "the interval")
    if not seconds:
        raise ValueError("the interval is more than 0 seconds: emit='update' tells every change")
    return Every(seconds)


def checked_emit(emit: Emit) -> Emit:
    """The same, if it is one. Raises ValueError."""
    if not isinstance(emit, Every) and emit not in ("close", "update"):
        raise ValueError(f"emit is 'close', 'update' or every(seconds), not {emit!r}")
    return emit
