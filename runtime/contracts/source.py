"""The contract of a source, which reads records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from ..bookmarks import Bookmark
from ..context import Context
from ..reads import Read
from ..signals import Barrier, Trigger, Watermark

__all__ = ["Source"]

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

    makes_digests: bool = False
    """Whether it looks at `digest`."""

    digest: object | None = None
    """What all who read it make of its columns, if that is one thing and all that they do with
    them, set by the runtime before `open` (see `ColumnOperator.digest`). A source that knows how
    to make it may put it into `Unread` columns, and leave the rows where they are.
    """

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
