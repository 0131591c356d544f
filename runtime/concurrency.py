"""How many calls may be under way at once: fewer after a refusal, one by one more again."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Concurrency"]

_LESS = 0.7
"""What is left of the allowance after a refusal."""


class Concurrency:
    """Permits for calls: at most `most`, and fewer once the other side has said that it is busy.

    >>> permits = Concurrency(8)
    >>> rounds = [permits.begin() for _ in range(8)]
    >>> permits.refused(rounds[0])
    >>> permits.allowed
    6

    The allowance shrinks by three tenths for a refusal, and grows by one for as many calls as it
    allows that passed: additive increase, multiplicative decrease, as in RFC 5681. Calls that were
    under way together are refused together, and count as one refusal. Who waits for a permit gets
    it in the order of asking.
    """

    __slots__ = ("_allowed", "_most", "_round", "_waiting", "running")

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)
        self._round = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.running = 0
        """The permits that are out."""

    @property
    def allowed(self) -> int:
        """The permits that there are just now."""
        return max(1, round(self._allowed))

    @property
    def most(self) -> int:
        """The permits that there are when nothing is refused."""
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        whole = self._allowed >= self._most
        self._most = most
        self._allowed = float(most) if whole else min(self._allowed, most)
        self._hand_out()

    def begin(self) -> int | None:
        """A permit, where one is free and nobody waits for it; None otherwise.

        What is returned is for `refused`.
        """
        if self._waiting or self.running >= self.allowed:
            return None
        self.running += 1
        return self._round

    async def wait(self) -> int:
        """A permit as soon as it is this one's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.end()  # It came too late, and is for the next.
            else:
                self._waiting.remove(turn)
            raise
        return self._round

    def end(self) -> None:
        """A permit comes back."""
        self.running -= 1
        if self._waiting:
            self._hand_out()

    def refused(self, began: int | None) -> None:
        """A call that began with this permit was refused: the other side has too much to do."""
        if began == self._round:
            self._round += 1
            self._allowed = max(1.0, _LESS * min(self._allowed, self.running))

    def passed(self) -> None:
        """A call has passed."""
        if self._allowed < self._most:
            self._allowed = min(float(self._most), self._allowed + 1.0 / self._allowed)
            self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.running < self.allowed:
            turn = self._waiting.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)
