"""What a node that tunes itself should reach."""

from __future__ import annotations

from ..dataclass import dataclass
from ..nodes import is_count, is_seconds

__all__ = ["Throughput"]


@dataclass(frozen=True, slots=True)
class Throughput:
    """As many records a second as the other side can take, with calls that stay quick.

    >>> Throughput(p99=0.2).max_in_flight
    128

    Parameters: `p99`, the seconds that 99 of 100 calls may take at most, from sending to answer
    (1.0); `max_in_flight`, the most calls at once that may be tried (128); `max_batch_size`, the
    most records in one (8,192). Raises ValueError where a value makes no sense.
    """

    p99: float = 1.0
    max_in_flight: int = 128
    max_batch_size: int = 8192

    def __post_init__(self) -> None:
        if not is_seconds(self.p99) or not 0.0 < self.p99 < 3600.0:
            raise ValueError(f"p99 is a number of seconds above 0, not {self.p99!r}")
        if not is_count(self.max_in_flight) or self.max_in_flight > 10_000:
            raise ValueError(f"max_in_flight is 1 to 10,000, not {self.max_in_flight!r}")
        if not is_count(self.max_batch_size):
            raise ValueError(f"max_batch_size is 1 or more, not {self.max_batch_size!r}")
