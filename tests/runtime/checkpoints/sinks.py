"""A target that outlives the jobs that write to it, and a sink that commits to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from thalweg import Context, Sink, StateLost


@dataclass
class Target:
    """What everybody sees, and what is staged."""

    shown: list[object] = field(default_factory=list[object])
    staged: dict[int, list[object]] = field(default_factory=dict[int, list[object]])
    calls: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    token: int = 0


class Committing(Sink[object]):
    """Commits to a target, with delays, and refuses an older copy of the job."""

    def __init__(self, target: Target, *, delay: float = 0.0) -> None:
        self.target = target
        self.delay = delay

    async def open(self, context: Context) -> None:
        self.held: list[object] = []
        self.busy = False
        assert context.fence is not None
        self.fence = context.fence
        self.target.token = max(self.target.token, self.fence.token)

    async def write(self, records: Sequence[object]) -> None:
        await self._step("", 0)
        self.held += records

    async def prepare(self, epoch: int) -> bytes:
        await self._step("prepare", epoch)
        self.target.staged[epoch], self.held = self.held, []
        return str(epoch).encode()

    async def commit(self, epoch: int, prepared: bytes) -> None:
        await self._step("commit", epoch)
        assert prepared == str(epoch).encode()
        if self.fence.token < self.target.token:
            raise StateLost("an older copy")
        self.target.shown += self.target.staged.pop(epoch, [])

    async def discard(self, epoch: int) -> None:
        await self._step("discard", epoch)
        for number in [one for one in self.target.staged if one > epoch]:
            del self.target.staged[number]

    async def _step(self, what: str, epoch: int) -> None:
        # None of them may be called while another one runs.
        assert not self.busy
        self.busy = True
        if what:
            self.target.calls.append((what, epoch))
        await asyncio.sleep(self.delay)
        self.busy = False
