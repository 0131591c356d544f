"""What can be changed of a running node."""

from __future__ import annotations

from ..dataclass import dataclass

__all__ = ["Dials"]


@dataclass(frozen=True, slots=True)
class Dials:
    """The settings of a node that calls: how many at once, and how the batches for it are cut.

    >>> Dials(max_in_flight=8, max_batch_size=256, linger=0.05).max_batch_size
    256

    `max_batch_size` and `linger`, in seconds, are None where no `batch` of its own stands before
    the node.
    """

    max_in_flight: int
    max_batch_size: int | None = None
    linger: float | None = None

    def __str__(self) -> str:
        size = "" if self.max_batch_size is None else f", batches of {self.max_batch_size:,}"
        return f"{self.max_in_flight} in flight{size}"
