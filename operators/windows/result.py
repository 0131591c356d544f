"""`Window`: the value of one window of one key."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Generic, TypeVar

from ...runtime.contracts import dataclass

__all__ = ["Window"]

K_co = TypeVar("K_co", covariant=True)
V_co = TypeVar("V_co", covariant=True)


# Not frozen, which would make it take four times as long to make one: see it as if it were.
@dataclass(slots=True, unsafe_hash=True)
class Window(Generic[K_co, V_co]):
    """The value of one window of one key.

    It holds the times from `start` on and before `end`, in seconds since 1970; for windows that
    count records, the numbers of the records of their key.

    >>> window = Window("Ulm", 1424686500.0, 1424687400.0, 7)
    >>> window.starts().isoformat()
    '2015-02-23T10:15:00+00:00'
    """

    key: K_co
    start: float
    end: float
    value: V_co

    def starts(self, zone: tzinfo = UTC) -> datetime:
        """The start as a datetime."""
        return datetime.fromtimestamp(self.start, zone)

    def ends(self, zone: tzinfo = UTC) -> datetime:
        """The end as a datetime: the first moment that is not in the window."""
        return datetime.fromtimestamp(self.end, zone)
