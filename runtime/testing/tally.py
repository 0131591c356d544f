"""A count that a test can wait for."""

from __future__ import annotations

import asyncio

__all__ = ["Tally"]


class Tally:
    """A number that only grows, and wakes who waits for it."""

    __slots__ = ("_waiters", "count")

    def __init__(self) -> None:
        self.count = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def add(self, amount: int) -> None:
        """Count `amount` more."""
        self.count += amount
        due = [waiter for goal, waiter in self._waiters if goal <= self.count]
        self._waiters = [(goal, waiter) for goal, waiter in self._waiters if goal > self.count]
        for waiter in due:
            if not waiter.done():
                waiter.set_result(None)

    async def reach(self, goal: int) -> None:
        """Wait until the count is `goal` or more."""
        if self.count >= goal:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (goal, waiter)
        self._waiters.append(entry)
        try:
            await waiter
        finally:
            if entry in self._waiters:
                self._waiters.remove(entry)
