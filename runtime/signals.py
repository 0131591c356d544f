"""The signals that travel in the channels among the batches."""

from __future__ import annotations

from .dataclass import dataclass

__all__ = ["Barrier", "End", "LanesLeft", "Signal", "Trigger", "Watermark"]


@dataclass(frozen=True, slots=True)
class Watermark:
    """The promise that no record older than `at` (event time, seconds since 1970) will follow.

    It may come later than it could, and never earlier. `idle` says that nothing is heard from above
    for now: where several streams meet, the others do not wait for this one. It is over with the
    next watermark that is not idle, which comes before the next record.
    """

    at: float
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Barrier:
    """What came before belongs to the checkpoint of this `epoch`; what follows does not."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Trigger:
    """What came since the last one belongs together, such as some files: now results are told.

    `number` counts from 0. Of a source that has no such thing there is none.

    >>> Trigger(0)
    Trigger(number=0)
    """

    number: int


@dataclass(frozen=True, slots=True)
class End:
    """Nothing follows: the source has ended, or the job is drained."""


@dataclass(frozen=True, slots=True)
class LanesLeft:
    """The lanes of a source that still have something to come, which `event_time` waits for.

    None takes back what was told: the source does not know, or not any more.
    """

    source: str
    lanes: tuple[str, ...] | None

    def only_fewer(self, before: LanesLeft | None) -> bool:
        """Whether it names no lane that was not told before: then it does no harm if it is late."""
        if self.lanes is None:
            return True
        return (
            before is not None
            and before.lanes is not None
            and frozenset(before.lanes).issuperset(self.lanes)
        )


Signal = Watermark | Barrier | LanesLeft | Trigger | End
