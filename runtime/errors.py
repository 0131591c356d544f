"""What can go wrong, in the two words of this field.

An *error* is bad data: it concerns records, becomes a dead letter and the stream goes on. A
*failure* is a broken part: the job stops and says which part, on which record, in which line.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "BusyError",
    "DataError",
    "GraphError",
    "JobCancelled",
    "JobFailed",
    "LateError",
    "MisconfiguredError",
    "MissingExtra",
    "QueryError",
    "QueryTimeout",
    "RuntimeFault",
    "SettingError",
    "StateDamaged",
    "StateError",
    "StateLost",
    "StateMismatch",
    "StateUnavailable",
    "TableMissing",
    "ThalwegError",
    "UnavailableError",
]


class ThalwegError(Exception):
    """The base of everything this package raises on purpose."""

    said_by: str | None = None
    """Which of several endpoints said so, where there are several, for the dead letters."""


class GraphError(ThalwegError):
    """A graph that cannot run: raised while it is declared or planned, never later.

    `where` is the `file:line` of the declaration, or None where there is none.
    """

    def __init__(self, message: str, *, where: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class SettingError(GraphError):
    """A setting that is unknown, or whose value does not fit its type or its limits."""


class MissingExtra(ThalwegError):
    """An operator needs a package that is not installed; the message names the extra."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra package: pip install 'thalweg[{extra}]'")
        self.extra = extra


class DataError(ThalwegError):
    """The data was refused. Raised for a whole batch by a repeatable function, it is halved
    until the bad record stands alone; raised for one record, that record becomes a dead letter.

    An operator on columns that knows bad rows names them in `rows`, by index, each with its own
    error. They become dead letters, and it is given the others again.
    """

    def __init__(self, *args: object, rows: Mapping[int, Exception] | None = None) -> None:
        super().__init__(*args)
        self.rows = rows


class LateError(ThalwegError):
    """A record came too late to be counted: raised by an operator, it sends it to `late`."""


class BusyError(ThalwegError):
    """The other side asks for patience: the call is repeated, and nobody is to blame.

    `retry_after` is in seconds from now, `retry_at` in seconds since 1970; at most one is given.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, retry_at: float | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.retry_at = retry_at


class UnavailableError(ThalwegError):
    """The other side is broken or out of reach: the call is repeated with backoff.

    `answered` tells an answer that says "broken" (an HTTP 5xx), which may be the data's doing
    after all, from silence, which cannot be.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class MisconfiguredError(ThalwegError):
    """The call can never succeed for any record (no such model, no permission): a failure."""


class RuntimeFault(ThalwegError):
    """The runtime broke a promise of its own, such as a gap in sequence numbers: report it."""


class JobFailed(ThalwegError):
    """A part of the job broke; `node` names it and `__cause__` holds the first exception."""

    def __init__(self, message: str, *, graph: str, node: str) -> None:
        super().__init__(message)
        self.graph = graph
        self.node = node


class JobCancelled(ThalwegError):
    """The job was cancelled, or its drain took too long, with records left unprocessed.

    `unprocessed` maps each node to the records it still held, `settled` each source and lane to
    the last position that was delivered in full.
    """

    def __init__(
        self, message: str, *, unprocessed: dict[str, int], settled: dict[str, int | None]
    ) -> None:
        super().__init__(message)
        self.unprocessed = unprocessed
        self.settled = settled


class QueryError(ThalwegError):
    """A query that the tables of a job cannot answer, or will not; the message says why."""


class TableMissing(QueryError):
    """A query names a table that there is not, or that nothing came for yet."""


class QueryTimeout(QueryError):
    """A query that was not answered in its time, and was stopped."""


class StateError(ThalwegError):
    """The base of what goes wrong with the saved state of a job."""


class StateUnavailable(StateError):
    """The store cannot be reached, or has no room, right now: the save is tried again."""


class StateDamaged(StateError):
    """What was saved cannot be read back as it was written; the message names it."""


class StateLost(StateError):
    """Another copy of the job has taken over its state: this one stops, and changes nothing."""


class StateMismatch(StateError):
    """The graph has changed in a way that its saved state cannot follow; the message names the
    operator. Raised before anything runs.
    """
