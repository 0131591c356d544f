"""What an `event_time` node is: a function, how to read what it returns, and its lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .context import Context
from .contracts import Operator
from .lanes import Lanes
from .nodes import describe_callable
from .timestamps import Timestamps

__all__ = ["EventTime"]


class EventTime(Operator[object, object]):
    """Says when each record happened. An actor of its own runs it, a batch at a time.

    What it remembers is saved with each epoch where there is a store. Without one nothing is lost
    with it: a job that begins anew reads its lanes anew.
    """

    def __init__(
        self,
        function: Callable[[object], object],
        stamps: Timestamps,
        *,
        lateness: float,
        max_ahead: float | None,
        idle_after: float | None,
        column: str | None = None,
    ) -> None:
        self.function = function
        self.column = column
        """Where the times stand in a column, its name: then it works on columns."""
        self.stamps = stamps
        self.lateness = lateness
        self.max_ahead = max_ahead
        self.idle_after = idle_after

    def __repr__(self) -> str:
        idle = "never" if self.idle_after is None else f"after {self.idle_after:g} s"
        what = describe_callable(self.function) if self.column is None else self.column
        return f"{what}, up to {self.lateness:g} s late, a lane idle {idle}"

    async def open(self, context: Context) -> None:
        """Begin without lanes."""
        self.lanes = Lanes(self.lateness, self.idle_after)

    def process(self, record: object) -> Iterable[object]:
        """The record as it is: what is said of it stands beside it."""
        return (record,)

    def snapshot(self) -> bytes:
        """How far each lane has come."""
        return self.lanes.snapshot()

    def restore(self, data: bytes) -> None:
        """Go on from there."""
        self.lanes.restore(data)
