"""The contracts between the engine and everything that runs in it.

This is the one file to read before writing an operator, and the only one an operator imports.
Operators are passive: records in, records out. They hold no queue, no task, no clock and no
sequence number, so they cannot break order, lose a record or forget a metric. There are four:

- `Source` reads records, `Sink` writes them;
- a function of a record is any callable and needs no contract; a function of a batch that has
  something to open (a connection, a model) is a `BatchFunction`;
- `Operator` works one record at a time, and may remember.

An object in a graph is a prototype: each job gets a shallow copy of it, so create what changes in
`open`, not in `__init__`. `open` is awaited once before the first record, `close` once after the
last, also after an error, and never without `open` having begun.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .context import Context
from .counters import Counter
from .dead_letters import Cause, DeadLetter
from .errors import (
    BusyError,
    DataError,
    MisconfiguredError,
    MissingExtra,
    ThalwegError,
    UnavailableError,
)
from .origins import Origin
from .retry import Retry, WhenDown
from .signals import Barrier, End, Watermark
from .state import KeyedState

__all__ = [
    "Barrier",
    "BatchFunction",
    "BusyError",
    "Cause",
    "Context",
    "Counter",
    "DataError",
    "DeadLetter",
    "End",
    "KeyedState",
    "MisconfiguredError",
    "MissingExtra",
    "Operator",
    "Origin",
    "Outcome",
    "Read",
    "Rejected",
    "Retry",
    "Sink",
    "Source",
    "ThalwegError",
    "UnavailableError",
    "Watermark",
    "WhenDown",
]

R_contra = TypeVar("R_contra", contravariant=True)
"""A record that goes in: a `Sink[object]` may stand where a `Sink[DeadLetter]` is asked for."""
S_co = TypeVar("S_co", covariant=True)
"""A record that comes out: a `Source[int]` may stand where a `Source[object]` is asked for."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One piece of input that a source could not make a record of.

    >>> Rejected(7, b"5.1;;", ValueError("4 fields are needed")).position
    7
    """

    position: int
    record: object
    error: Exception


@dataclass(frozen=True)
class Read(Generic[S_co]):
    """What a source read, with positions.

    `records` stand at `positions` of `lane` (one each, ascending; a `range` costs nothing);
    `rejected` becomes dead letters of the source's failed port.

    >>> Read(["a", "b"], range(10, 12), lane="file-1").positions[1]
    11
    """

    records: Sequence[S_co]
    positions: Sequence[int]
    lane: str = ""
    rejected: Sequence[Rejected] = ()


@dataclass(frozen=True)
class Outcome(Generic[S_co]):
    """What a batch function made of a batch of which some records are bad.

    `records` holds one output for each record that is not in `rejected`, in their order;
    `rejected` maps the index of each bad record to the reason.

    >>> outcome = Outcome(["first", "third"], rejected={1: DataError("too long")})
    >>> list(outcome.rejected)
    [1]
    """

    records: Sequence[S_co]
    rejected: Mapping[int, Exception] = field(default_factory=dict[int, Exception])


class Source(ABC, Generic[S_co]):
    """Reads records. A list is enough; positions, lanes and acknowledgements are there on demand.

    >>> class Countdown(Source[int]):
    ...     async def open(self, context, position=None):
    ...         self.left = 3
    ...     async def read(self, limit):
    ...         self.left -= 1
    ...         return [self.left] if self.left >= 0 else None

    `rate`, if set, is kept by the runtime: so many records a second. `max_unsettled`, if set, is
    the number of records that may be under way before the runtime stops reading: credit.
    """

    rate: float | None = None
    max_unsettled: int | None = None

    async def open(self, context: Context, position: int | None = None) -> None:
        """Get ready to read after `position`, or from the start. No record is read before this."""

    @abstractmethod
    async def read(self, limit: int) -> Sequence[S_co] | Read[S_co] | Watermark | Barrier | None:
        """Return 1 to `limit` records as soon as there are some; None when there will be no more.

        A `Watermark` in the place of records is passed on; a `Barrier` is for tests.
        Wait rather than return an empty list, and never block the loop: what blocks goes through
        `context.in_thread`. A list is counted by the runtime, from 0; with `Read` the source
        numbers its records itself, each lane ascending. When the job drains, a `read` that waits
        is cancelled (see `drain`); a record that was not returned counts as not read.
        """

    async def ack(self, lane: str, position: int) -> None:
        """All records of `lane` up to `position` have arrived. Called in the order of reading."""

    async def drain(self) -> None:
        """The job drains. A source that overrides this ends by itself: once it has handed over
        what it had taken in, its `read` returns None. Without it a `read` that waits is cancelled.
        """

    async def nack(self, lane: str, position: int) -> None:
        """The job stops, and the records of `lane` from `position` on have not all arrived."""

    async def close(self) -> None:
        """Let go of everything."""


class Sink(ABC, Generic[R_contra]):
    """Writes records; `write` returns when they are delivered.

    >>> class Counting(Sink[object]):
    ...     async def open(self, context):
    ...         self.count = 0
    ...     async def write(self, records):
    ...         self.count += len(records)

    `repeatable` says that a write may be made again after it raised `BusyError` or
    `UnavailableError`, as `retry` says.
    """

    function: Callable[[R_contra], object] | None = None
    """A sink that does nothing but call a plain function for each record may say so: it is then
    run in one loop with the functions before it, and `write` is only called where there are none.
    """

    repeatable: bool = False
    retry: Retry = Retry()
    timeout: float = 60.0

    async def open(self, context: Context) -> None:
        """Get ready to write."""

    @abstractmethod
    async def write(self, records: Sequence[R_contra]) -> Outcome[None] | None:
        """Deliver the records, in order. Return when they are delivered, not before.

        Bad records are told by returning `Outcome([], rejected={index: error})`: they become dead
        letters and the others count as delivered. Any other exception fails the job.
        """

    async def close(self) -> None:
        """Let go of everything. All that `write` returned for is already safe."""


class BatchFunction(ABC, Generic[R_contra, S_co]):
    """A function of a batch with something to open: one output for each record, in order.

    >>> class Doubled(BatchFunction[int, int]):
    ...     async def call(self, records):
    ...         return [2 * record for record in records]

    `max_in_flight` calls run at once; results leave in input order unless `ordered` is False. A
    call that takes longer than `timeout` seconds is cancelled. `repeatable` says that the same
    records may be sent again: then a batch that raises `DataError` is halved until the bad record
    stands alone, and `BusyError` and `UnavailableError` are retried as `retry` says. Otherwise an
    exception rejects the whole batch. It has no memory.
    """

    max_in_flight: int = 1
    ordered: bool = True
    timeout: float = 60.0
    repeatable: bool = False
    retry: Retry = Retry()

    async def open(self, context: Context) -> None:
        """Get ready for calls."""

    @abstractmethod
    async def call(self, records: Sequence[R_contra]) -> Sequence[S_co] | Outcome[S_co]:
        """Return one output for each record, or an `Outcome` that names the bad ones."""

    async def close(self) -> None:
        """Let go of everything."""


class Operator(ABC, Generic[R_contra, S_co]):
    """Works one record at a time, in order, and may remember.

    >>> class Changes(Operator[int, int]):
    ...     async def open(self, context):
    ...         self.last = None
    ...     def process(self, record):
    ...         if record != self.last:
    ...             yield record
    ...         self.last = record
    ...     def snapshot(self):
    ...         return str(self.last).encode()
    ...     def restore(self, data):
    ...         self.last = int(data)

    Memory is whatever `snapshot` returns and every `KeyedState` among the attributes. An operator
    that has either needs `volatile=True` in `.via(...)` as long as the job has no store: what it
    remembers is lost when the process ends. Only an operator with memory may emit outside
    `process`.
    """

    async def open(self, context: Context) -> None:
        """Get ready. `restore` has not been called yet."""

    @abstractmethod
    def process(self, record: R_contra) -> Iterable[S_co]:
        """Return what this record makes: nothing, one record or many.

        An exception makes this record a dead letter, and the next one is processed. What was
        yielded before the exception stays.
        """

    def wake_at(self) -> float | None:
        """When to call `on_wake`, in seconds since 1970; asked after each batch and wake-up."""
        return None

    def on_wake(self, now: float) -> Iterable[S_co]:
        """The time that `wake_at` asked for has come."""
        return ()

    def on_watermark(self, at: float) -> Iterable[S_co]:
        """No record older than `at` (event time, seconds since 1970) will follow."""
        return ()

    def on_end(self) -> Iterable[S_co]:
        """No record will follow at all. What is returned is the last that this operator emits."""
        return ()

    def snapshot(self) -> bytes | None:
        """What is remembered beside `KeyedState`, as bytes; None for nothing."""
        return None

    def restore(self, data: bytes) -> None:
        """Remember what `snapshot` returned. Called between `open` and the first record."""

    async def close(self) -> None:
        """Let go of everything."""
