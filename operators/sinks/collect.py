"""`collect`: append every record to a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ...runtime.contracts import Sink

__all__ = ["Collect", "collect"]

R = TypeVar("R")


class Collect(Sink[R]):
    """The sink that `collect` makes; see there."""

    def __init__(self, into: list[R]) -> None:
        if not isinstance(into, list):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"collect takes the list to append to, not {into!r}")
        self._into = into

    async def write(self, records: Sequence[R]) -> None:
        """Append the records."""
        self._into.extend(records)


def collect(into: list[R]) -> Collect[R]:
    """Append every record to a list of the caller's.

    >>> seen = []
    >>> sink = collect(seen)

    Parameters: `into`, the list itself, not a copy: what was in it stays, and jobs that run the
    same graph append to the same list. It grows with the stream.

    Raises TypeError for what is no list.

    - Emits when: never; a record is delivered when it stands in the list.
    - Waits when: never.
    - Ends when: its input does.
    - Order: that of the input.
    - State: none of its own.
    - On error: cannot fail.
    """
    return Collect(into)
