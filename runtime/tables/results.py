"""What is told of results that grow, and what a table makes of it."""

from __future__ import annotations

from ..dataclass import dataclass
from .change import TableMode

__all__ = ["Results"]


@dataclass(frozen=True, slots=True)
class Results:
    """Which results are told: each once, those that have changed, or all of them each time.

    >>> Results("update", key=("device",))
    Results(mode='update', key=('device',))

    `key` are the columns that tell one result from another; None where that is not known. Of a
    sink it says what becomes of what is told: it is added, takes the place of the row with the same
    `key`, or of everything.
    """

    mode: TableMode
    key: tuple[str, ...] | None = None
