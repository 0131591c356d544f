"""How long a server says that it took: the header Server-Timing of W3C."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["ServerTiming"]

_EVERY = 16
"""Answers from one look to the next: it is an average of many anyhow."""

_NEW = 0.1
"""The weight of what was seen last."""

_DURATION = re.compile(r"(?:^|,)\s*total\s*;[^,]*?\bdur=([0-9]{1,9}(?:\.[0-9]{1,9})?)", re.ASCII)


class ServerTiming:
    """A moving average of the times that answers tell, of the entry `total`.

    >>> timing = ServerTiming()
    >>> for _ in range(16):
    ...     timing.look({"Server-Timing": "total;dur=12.5"})
    >>> timing.seconds
    0.0125
    """

    __slots__ = ("_until", "seconds")

    def __init__(self) -> None:
        self._until = 1
        self.seconds: float | None = None
        """The seconds that an answer took the server, or None where it does not tell."""

    def look(self, headers: Mapping[str, str]) -> None:
        """An answer came with these headers."""
        self._until -= 1
        if self._until:
            return
        self._until = _EVERY
        found = _DURATION.search(headers.get("Server-Timing", ""))
        if found is None:
            return
        told = float(found[1]) / 1000.0
        before = self.seconds
        self.seconds = told if before is None else before + _NEW * (told - before)
