"""What a record went through: the tries that failed, the first and the last few of them."""

from __future__ import annotations

from .dataclass import dataclass, replace

__all__ = ["Attempt", "Trail"]

_KEPT = 3
"""So many tries are kept from the start, and as many up to the end: a side that is down for a
night is asked ten thousand times."""

_LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that failed, as it stands on a dead letter.

    `number` counts the tries of the record from 1: where numbers are missing between two, tries
    like these were left out. `error` is the class of the failure, `message` what was answered,
    shortened. `records` were asked for together, and `waited` is the time in seconds from then to
    the next try. `by` names the endpoint that answered, or was asked when the time was up, where
    there are several.

    >>> Attempt(1, "BusyError", "POST http://127.0.0.1:8501/… answered 429", records=64, waited=2.0)
    Attempt(number=1, error='BusyError', message='POST http://127.0.0.1:8501/… answered 429', records=64, waited=2.0, by=None)
    """  # noqa: E501

    number: int
    error: str
    message: str
    records: int
    waited: float = 0.0
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """The failed tries of some records. Each is a new object: what is divided shares its start.

    It holds no exception, since one holds the records by its traceback.
    """

    count: int
    """The tries in all."""

    first: tuple[Attempt, ...]
    last: tuple[Attempt, ...] = ()

    @staticmethod
    def after(before: Trail | None, error: Exception, records: int) -> Trail:
        """The trail with one more try, which failed with `error` for so many records."""
        message = str(error)
        if len(message) > _LONGEST_MESSAGE:
            message = message[:_LONGEST_MESSAGE] + "…"
        by: str | None = getattr(error, "said_by", None)
        number = 1 if before is None else before.count + 1
        attempt = Attempt(number, type(error).__name__, message, records, by=by)
        if before is None:
            return Trail(1, (attempt,))
        if number <= _KEPT:
            return Trail(number, (*before.first, attempt))
        return Trail(number, before.first, (*before.last, attempt)[-_KEPT:])

    def waited(self, seconds: float) -> Trail:
        """The same, after a wait of so many seconds behind the last try."""
        kept = self.last or self.first
        kept = (*kept[:-1], replace(kept[-1], waited=round(seconds, 6)))
        return replace(self, last=kept) if self.last else replace(self, first=kept)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those that were kept, in order."""
        return self.first + self.last
