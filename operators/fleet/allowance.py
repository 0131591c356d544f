"""The time that one target may take, of which waiting for our own turn is no part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Allowance", "OutOfTime"]


class OutOfTime(Exception):
    """A part of a probe has had its time; `what` names it, `limit` is in seconds."""

    def __init__(self, what: str, limit: float) -> None:
        super().__init__(what, limit)
        self.what = what
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.what} took longer than {self.limit:g} s"


class Allowance:
    """What is left of the deadline of one target: only what happens in `spend` is counted."""

    __slots__ = ("_deadline", "left")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.left = deadline

    @asynccontextmanager
    async def spend(self, what: str, limit: float) -> AsyncIterator[None]:
        """For this part: no longer than its own `limit`, nor than what is left of the deadline.

        Raises `OutOfTime`, which names the part, or the whole.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        own = limit <= self.left
        if self.left <= 0:
            raise OutOfTime("all of it together", self._deadline)
        try:
            async with asyncio.timeout(min(limit, self.left)) as timeout:
                yield
        except TimeoutError:
            # One that came from inside is not ours to explain.
            if not timeout.expired():
                raise
            if own:
                raise OutOfTime(what, limit) from None
            raise OutOfTime(f"{what}, the last part of all", self._deadline) from None
        finally:
            self.left -= clock() - began
