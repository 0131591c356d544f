"""The time that one target may take, of which waiting for our own turn is no part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

__all__ = ["Allowance", "OutOfTime"]


class OutOfTime(Exception):
    """A part of a probe has had its time; `what` names it, `limit` is in seconds.

    `whole` says that it was the deadline of all parts together.
    """

    def __init__(self, what: str, limit: float, *, whole: bool = False) -> None:
        super().__init__(what, limit)
        self.what = what
        self.limit = limit
        self.whole = whole

    def __str__(self) -> str:
        return f"{self.what} took longer than {self.limit:g} s"


class Allowance:
    """What is left of the deadline of one target: only what happens in `spend` is counted."""

    __slots__ = ("_deadline", "left")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.left = deadline

    @asynccontextmanager
    async def spend(self, what: str, limit: float) -> AsyncGenerator[None]:
        """For this part: no longer than its own `limit`, nor than what is left of the deadline.

        Raises `OutOfTime`, which names the part, or the whole.
        """
        if self.left <= 0:
            raise OutOfTime("all of it together", self._deadline, whole=True)
        clock = asyncio.get_running_loop().time
        began = clock()
        own = limit <= self.left
        timeout = asyncio.timeout(min(limit, self.left))
        try:
            async with timeout:
                yield
        except TimeoutError:
            # One that came from inside is not ours to explain.
            if not timeout.expired():
                raise
            if own:
                raise OutOfTime(what, limit) from None
            whole = f"all of it together, {what} at last,"
            raise OutOfTime(whole, self._deadline, whole=True) from None
        finally:
            self.left -= clock() - began
