"""The contract of a function of a batch that has something to open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from ..context import Context
from ..endpoint_statistics import EndpointStatistics
from ..outcome import Outcome
from ..retry import Retry
from ..tuning.objective import Throughput

__all__ = ["BatchFunction"]

R_contra = TypeVar("R_contra", contravariant=True)
"""A record that goes in: a `Sink[object]` may stand where a `Sink[DeadLetter]` is asked for."""
S_co = TypeVar("S_co", covariant=True)
"""A record that comes out: a `Source[int]` may stand where a `Source[object]` is asked for."""


class BatchFunction(ABC, Generic[R_contra, S_co]):
    """A function of a batch with something to open: one output for each record, in order.

    >>> class Doubled(BatchFunction[int, int]):
    ...     async def call(self, records):
    ...         return [2 * record for record in records]

    `max_in_flight` calls run at once; results leave in input order unless `ordered` is False. A
    call that takes longer than `timeout` seconds is cancelled. `repeatable` says that the same
    records may be sent again: then a batch that raises `DataError` is halved until the bad record
    stands alone, and `BusyError` and `UnavailableError` are retried as `retry` says. Otherwise an
    exception rejects the whole batch. `divide` says how a refused batch is taken apart: "halves",
    which takes 2·log2(n) calls for one bad record of n, or "singly", one by one. With `tune` the
    runtime finds `max_in_flight`, and the size and linger of the `batch` before it, by itself; it
    has to be `repeatable` then. It has no memory.
    """

    max_in_flight: int = 1
    ordered: bool = True
    timeout: float = 60.0
    repeatable: bool = False
    retry: Retry = Retry()
    divide: Literal["halves", "singly"] = "halves"
    tune: Throughput | None = None

    async def open(self, context: Context) -> None:
        """Get ready for calls."""

    @abstractmethod
    async def call(self, records: Sequence[R_contra]) -> Sequence[S_co] | Outcome[S_co]:
        """Return one output for each record, or an `Outcome` that names the bad ones."""

    def told_seconds(self) -> float | None:
        """The seconds that a call took by the other side's own clock, on average of the last few.

        None where it does not tell. Asked for the progress, from any thread.
        """
        return None

    def endpoints(self) -> tuple[EndpointStatistics, ...]:
        """How each of several endpoints stands of which any may answer a call; () for a single one.

        Asked for the progress, from any thread, also before `open` and after `close`.
        """
        return ()

    async def close(self) -> None:
        """Let go of everything."""
