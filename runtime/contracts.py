"""The contracts between the engine and everything that runs in it.

This is the one file to read before writing an operator, and the only one an operator imports.
Operators are passive: records in, records out. They hold no queue, no task, no clock and no
sequence number, so they cannot break order, lose a record or forget a metric. There are four:

- `Source` reads records, `Sink` writes them;
- a function of a record is any callable and needs no contract; a function of a batch that has
  something to open (a connection, a model) is a `BatchFunction`;
- `Operator` works one record at a time, and may remember; `ColumnOperator` works on many rows at
  once, which stand in columns.

An object in a graph is a prototype: each job gets a shallow copy of it, so create what changes in
`open`, not in `__init__`. `open` is awaited once before the first record, `close` once after the
last, also after an error, and never without `open` having begun.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from .bookmarks import Bookmark
from .columns import Columns, Late, Row, arrow
from .context import Context, Fence
from .counters import Counter
from .dataclass import dataclass
from .dead_letters import Cause, DeadLetter
from .did_you_mean import did_you_mean, nearest
from .durations import Duration, in_seconds
from .endpoint_statistics import EndpointStatistics
from .errors import (
    BusyError,
    DataError,
    LateError,
    MisconfiguredError,
    MissingExtra,
    QueryError,
    StateLost,
    StateMismatch,
    TableMissing,
    ThalwegError,
    UnavailableError,
)
from .lazily import offer_lazily
from .origins import Origin
from .outcome import Outcome
from .reads import Read, Rejected
from .retry import Retry, WhenDown, WhenMisconfigured
from .signals import Barrier, End, Trigger, Watermark
from .state import KeyedState
from .tables.change import Change, TableMode
from .tables.results import Results
from .trail import Attempt
from .tuning.objective import Throughput

if TYPE_CHECKING:
    # Only the types: a stream stands on this file itself, and tables are for few.
    from .stream import Stream as Stream
    from .tables.tables import Table as Table
    from .tables.tables import Tables as Tables

__all__ = [
    "Attempt", "Barrier", "BatchFunction", "Bookmark", "BusyError", "Cause", "Change",
    "ColumnOperator", "Columns", "Context", "Counter", "DataError", "DeadLetter", "Duration", "End",
    "EndpointStatistics", "Fence", "KeyedState", "Late", "LateError", "MisconfiguredError",
    "MissingExtra", "Operator", "Origin", "Outcome", "QueryError", "Read", "Rejected", "Results",
    "Retry", "Row", "Sink", "Source", "StateLost", "StateMismatch", "TableMissing", "TableMode",
    "ThalwegError", "Throughput", "Trigger", "UnavailableError", "Watermark", "WhenDown",
    "WhenMisconfigured", "arrow", "dataclass", "did_you_mean", "in_seconds", "nearest",
    "offer_lazily",
]  # fmt: skip

R_contra = TypeVar("R_contra", contravariant=True)
"""A record that goes in: a `Sink[object]` may stand where a `Sink[DeadLetter]` is asked for."""
S_co = TypeVar("S_co", covariant=True)
"""A record that comes out: a `Source[int]` may stand where a `Source[object]` is asked for."""


class Source(ABC, Generic[S_co]):
    """Reads records. A list is enough; positions, lanes and acknowledgements are there on demand.

    >>> class Countdown(Source[int]):
    ...     async def open(self, context):
    ...         self.left = 3
    ...     async def read(self, limit):
    ...         self.left -= 1
    ...         return [self.left] if self.left >= 0 else None

    `rate`, if set, is kept by the runtime: so many records a second. `max_unsettled`, if set, is
    the number of records that may be under way before the runtime stops reading: credit.

    What a restart means for a source: one that overrides `seek` goes on where it was; one that
    says `redelivers` gets again what it has not acked, from whoever delivers it; any other loses
    what was under way, which a graph with a store must accept by `lossy=True`.

    One that says `gives_columns` hands over `Columns` in a `Read`, as many rows as it likes: they
    are not cut, so it keeps them to what memory holds several of. Who wants columns gets them
    untouched; for anybody else they are converted, once.
    """

    rate: float | None = None
    max_unsettled: int | None = None
    redelivers: bool = False
    gives_columns: bool = False
    gives_triggers: bool = False
    """Whether it says, by a `Trigger`, what belongs together."""

    looked: float | None = None
    """When it last looked for news and found none, by the loop's time, if it does so at intervals:
    -inf before the first look. Who waits for all that there is waits for one more look.
    """

    wanted: frozenset[str] | None = None
    """The columns that anybody below asks for, set by the runtime before `open`; None for all."""

    def load_ahead(self) -> None:
        """A job is about to be made: begin, in a thread of your own, to load what takes long.

        Called on the prototype, while the runtime still gets ready itself; `open` follows, on a
        copy, unless the job is never entered. What goes wrong is raised there.
        """

    async def open(self, context: Context) -> None:
        """Get ready to read from the start. No record is read before this."""

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on behind these bookmarks, one for each lane; called once, between open and read.

        A lane that is not among them is read from its start. A source that finds that it cannot
        go on there, as in a file that was replaced by another, raises `MisconfiguredError`.
        """

    @abstractmethod
    async def read(
        self, limit: int
    ) -> Sequence[S_co] | Read[S_co] | Watermark | Trigger | Barrier | None:
        """Return 1 to `limit` records as soon as there are some; None when there will be no more.

        A `Watermark` or a `Trigger` in the place of records is passed on; a `Barrier` is for tests,
        and has the job take an epoch right there.
        Wait rather than return an empty list, and never block the loop: what blocks goes through
        `context.in_thread`. A list is counted by the runtime, from 0; with `Read` the source
        numbers its records itself, each lane ascending. When the job drains, a `read` that waits
        is cancelled (see `drain`); a record that was not returned counts as not read.
        """

    async def ack(self, lane: str, position: int) -> None:
        """All records of `lane` up to `position` have arrived. Called in the order of reading.

        With a store this means: they are part of an epoch that is stored and committed.
        """

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

    A sink whose target can be transactional overrides `prepare`, `commit` and `discard`, all
    three: then what it writes under a store counts exactly once. Until a write is committed nobody
    else may see it. Without a store (`context.fence` is None) none of them is ever called, and a
    write is visible when it returns. They are called in turn with `write`, never during one. One
    whose target may be of another kind, such as a pipe, also overrides `transactional`.
    """

    gap: str = ""
    """For a sink that commits: what can still go wrong, in a few words, for the plan to show."""

    function: Callable[[R_contra], object] | None = None
    """A sink that does nothing but call a plain function for each record may say so: it is then
    run in one loop with the functions before it, and `write` is only called where there are none.
    """

    table: str | None = None
    """The name of the table of the job that this sink fills, for one that does."""

    takes: Results | None = None
    """What becomes of results in that table, for the plan to check that they mean the same."""

    repeatable: bool = False
    retry: Retry = Retry()
    timeout: float = 60.0

    @property
    def transactional(self) -> bool:
        """Whether a sink that overrides `prepare`, `commit` and `discard` can do so here.

        One that writes to a file or to a pipe, as it is told, may say False: then none of the
        three is called, and a write is visible when it returns. Asked of the prototype too.
        """
        return True

    async def open(self, context: Context) -> None:
        """Get ready to write."""

    @abstractmethod
    async def write(self, records: Sequence[R_contra]) -> Outcome[None] | None:
        """Deliver the records, in order. Return when they are delivered, not before.

        Bad records are told by returning `Outcome([], rejected={index: error})`: they become dead
        letters and the others count as delivered. Any other exception fails the job.
        """

    async def write_columns(self, columns: Columns) -> Outcome[None] | None:
        """Override this to take columns as they are, where they come; `write` takes all else."""
        raise NotImplementedError

    async def write_keyed(
        self, records: Sequence[R_contra], keys: Sequence[str | None]
    ) -> Outcome[None] | None:
        """Override this to write with a key for each record, for targets that know repeats.

        The same record has the same key after a restart: its source, lane and position, and a
        number where it is one of several that were made of one. These are numbered as they come:
        where they come by several paths that are united, or overtake one another
        (`ordered=False`), they may have each other's number after a restart. None stands for a
        record that no single record of a source made, such as one emitted on a timer.
        """
        raise NotImplementedError

    async def on_trigger(self, number: int) -> None:
        """What a source handed over since the last trigger has all been written."""

    async def on_end(self) -> None:
        """Nothing more will be written: the sources have ended, or the job drains."""

    async def prepare(self, epoch: int) -> bytes:
        """Make what was written since the last `prepare` survive a crash, without showing it.

        Returns what `commit` needs to show it, which is stored with the epoch: some bytes, such as
        the name of a file. What is written after this belongs to the next epoch, which is not
        prepared before this one is committed. Where it raises `UnavailableError` or `BusyError`
        it is called again for the same epoch: keep what was written until it has succeeded.
        """
        return b""

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """The epoch is stored: show what was prepared for it.

        May be called again for an epoch that was committed, after a restart; then it does nothing
        that was done before. Look at `context.fence` in the same transaction, or just before.
        """

    async def discard(self, epoch: int) -> None:
        """Throw away what was written or prepared after `epoch`: called once at each start.

        It comes between `open` and the first write; 0 is a job that begins anew. Should the
        epoch have prepared something, `commit` is called next.
        """

    async def close(self) -> None:
        """Let go of everything. What was not prepared is gone, without a store it is safe."""


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

    Memory is whatever `snapshot` returns and every `KeyedState` among the attributes; a store saves
    it with each epoch. In a job without a store, an operator with memory needs `volatile=True` in
    `.via(...)`: what it remembers is lost when the process ends. Only an operator with memory may
    emit outside `process`.

    `version` is that of what `snapshot` returns. Raise it when the form changes, and let `upgrade`
    turn the older form into the present one.
    """

    version: int = 1
    clock: Literal["event", "processing"] = "event"
    results: Results | None = None
    """Which results it tells of what it remembers, for one that a table may stand below."""
    takes: Results | None = None
    """Which results it may be told, for one that would count those of another mode twice."""

    async def open(self, context: Context) -> None:
        """Get ready. `restore` has not been called yet."""

    @abstractmethod
    def process(self, record: R_contra) -> Iterable[S_co]:
        """Return what this record makes: nothing, one record or many.

        An exception makes this record a dead letter, and the next one is processed. What was
        yielded before the exception stays.
        """

    def process_at(self, record: R_contra, at: float) -> Iterable[S_co]:
        """As `process`, with the record's time in seconds since 1970.

        Override this, and it is called in the place of `process`. Which time it is, `clock` says:
        "event" is that of the record, and the graph must then say `event_time` above; "processing"
        is that of the runtime's clock. Raise `LateError` for a record that comes too late to be
        counted: it goes to the `late` port.
        """
        return self.process(record)

    def process_each(self, records: Iterator[R_contra], emit: Callable[[S_co], object]) -> None:
        """Where a loop of your own is faster: as `process` for each, `emit` called with what comes.

        It must do just what `process` does, one record after the other: take the next one only
        when done with the one before, since that tells the runtime which record made what. An
        exception makes the record that was taken last a dead letter; then this is called again,
        with the rest. So it must leave everything in order, whenever it raises.
        """
        raise NotImplementedError

    def process_each_at(
        self, pairs: Iterator[tuple[R_contra, float]], emit: Callable[[S_co], object]
    ) -> None:
        """As `process_each`, for an operator that overrides `process_at`: records with times."""
        raise NotImplementedError

    def wake_at(self) -> float | None:
        """When to call `on_wake`, in seconds since 1970; asked after each batch and wake-up."""
        return None

    def on_wake(self, now: float) -> Iterable[S_co]:
        """The time that `wake_at` asked for has come."""
        return ()

    def on_watermark(self, at: float) -> Iterable[S_co]:
        """No record older than `at` (event time, seconds since 1970) will follow."""
        return ()

    def on_trigger(self, number: int) -> Iterable[S_co]:
        """What a source handed over since the last trigger, such as some files, is complete."""
        return ()

    def on_end(self) -> Iterable[S_co]:
        """No record will follow at all. What is returned is the last that this operator emits."""
        return ()

    def snapshot(self) -> bytes | None:
        """What is remembered beside `KeyedState`, as bytes; None for nothing."""
        return None

    def restore(self, data: bytes) -> None:
        """Remember what `snapshot` returned. Called between `open` and the first record."""

    def upgrade(self, version: int, data: bytes) -> bytes:
        """What `snapshot` of an older `version` returned, in today's form; for `restore`."""
        raise StateMismatch(
            f"{type(self).__name__} has version {self.version} and was saved with version "
            f"{version}: write upgrade(version, data), or forget what it remembers"
        )

    async def close(self) -> None:
        """Let go of everything."""


class ColumnOperator(Operator[Any, Any]):
    """Works on columns: on many rows at once, in order, and may remember.

    >>> class Tall(ColumnOperator):
    ...     def process_columns(self, columns):
    ...         import pyarrow.compute as compute
    ...         table = columns.table
    ...         yield Columns(table.filter(compute.greater(table["height"], 1.9)))

    It differs from `Operator` in two ways: it is given `Columns`, and whatever it returns, also
    from `on_trigger`, `on_watermark`, `on_wake` and `on_end`, is `Columns` too. Rows that come as
    records are made columns at its inbox; who reads it and wants records gets rows.

    `process_columns` may be called in a thread, and nothing else of the operator is called
    meanwhile. How many rows come at a time says nothing: no result may depend on it. Where it
    raises, it must leave what it remembers as it was: the rows are then halved until the bad ones
    stand alone and become dead letters; where a `DataError` names bad `rows`, the others are given
    again. So what it made before it raised counts for nothing.
    `MisconfiguredError`, such as for a column that there is not, fails the job.
    """

    def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
        """The columns that it looks at or hands on, where those `below` are asked for further down.

        None, the default, is all of them. A source may then leave the others unread.
        """
        return None

    has_late: bool = False
    """Whether rows may come too late for it, which it then hands over as `Late`."""

    watermark: float | None = None
    """Up to when, in seconds since 1970, rows come too late for it, as far as is known."""

    row_by_row: bool = False
    """Whether it makes just one row of each, in their order, and remembers nothing.

    Then where each row came from is still known behind it, and when it happened.
    """

    def beside(self, others: Sequence[ColumnOperator]) -> None:
        """These read the same stream, or the same ones. What is made of its columns for all of
        them, `Columns.once` makes once. Called once, before `open`, where there are others.
        """

    @abstractmethod
    def process_columns(self, columns: Columns) -> Iterable[Columns]:
        """Return what these rows make: nothing, or columns."""

    def process_columns_at(self, columns: Columns, times: Sequence[float]) -> Iterable[Columns]:
        """As `process_columns`, with the time of each row in seconds since 1970.

        Override this, and it is called in the place of `process_columns`. The graph must then say
        `event_time` above.
        """
        return self.process_columns(columns)

    def process(self, record: Any) -> Iterable[Any]:
        """Never called: the runtime hands over columns."""
        raise NotImplementedError(f"{type(self).__name__} works on columns")
