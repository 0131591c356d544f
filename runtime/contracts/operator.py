"""The contract of an operator, which works one record at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Literal, TypeVar

from ..context import Context
from ..errors import StateMismatch
from ..tables.results import Results

__all__ = ["Operator"]

R_contra = TypeVar("R_contra", contravariant=True)
"""A record that goes in: a `Sink[object]` may stand where a `Sink[DeadLetter]` is asked for."""
S_co = TypeVar("S_co", covariant=True)
"""A record that comes out: a `Source[int]` may stand where a `Source[object]` is asked for."""


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
