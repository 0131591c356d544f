"""The contract of a sink, which writes records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ..columns import Columns
from ..context import Context
from ..outcome import Outcome
from ..retry import Retry
from ..tables.results import Results

__all__ = ["Sink"]

R_contra = TypeVar("R_contra", contravariant=True)
"""A record that goes in: a `Sink[object]` may stand where a `Sink[DeadLetter]` is asked for."""


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
