"""The coordinator: it takes the epochs of a job, one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ..clock import Clock
from ..errors import StateUnavailable
from ..signals import Barrier
from ..stores import Checkpoint, Segment, Store
from .head import Head, Manifest
from .options import State
from .parts import Part
from .recovery import Restored

__all__ = ["Coordinator", "Durations", "Member", "Watch"]

_log = logging.getLogger("thalweg.state")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries to reach a store."""


class Member(Protocol):
    """What the coordinator asks of an actor."""

    @property
    def name(self) -> str:
        """The name of the actor."""
        ...

    def inject(self, barrier: Barrier) -> None:
        """Send a barrier into the stream, if this is where one begins."""
        ...

    def commits(self) -> str | None:
        """The name of the sink that commits, if this is the actor of one."""
        ...

    async def commit(self, epoch: int, prepared: bytes) -> None:
        """Commit in the actor's own turn."""
        ...

    def acknowledge(self, part: Part) -> None:
        """What this part holds is stored and committed."""
        ...


class Durations(NamedTuple):
    """When an epoch began, by the monotonic clock, and the seconds that its steps took."""

    began: float
    barrier: float
    """From the barriers going out to the last part that came in."""
    save: float
    commit: float
    """The commits of the sinks, and the acks."""


class Watch(Protocol):
    """Who wants to know what was in an epoch."""

    def passed(self, name: str, epoch: int | None) -> None:
        """The actor of this name stands at the barrier of this epoch; None: at its end."""
        ...

    def committed(self, epoch: int, durations: Durations) -> None:
        """The epoch is committed."""
        ...


class _Pending:
    """An epoch that is being taken: who has not answered yet, and what the others said."""

    def __init__(self, epoch: int, members: Sequence[Member], whole: asyncio.Future[None]) -> None:
        self.epoch = epoch
        self.waiting = set(members)
        self.parts: dict[Member, Part] = {}
        self.whole = whole

    def take(self, member: Member, part: Part) -> None:
        """A member has answered."""
        self.parts[member] = part
        self.waiting.discard(member)
        if not self.waiting and not self.whole.done():
            self.whole.set_result(None)


class Coordinator:
    """Takes epochs: barriers go out, parts come in, the store saves, sinks commit, sources ack.

    One at a time: the next begins when all has been committed, and not before it is due. A member
    that has come to its end answers once more, for good; it is let go when the epoch that holds
    its end has been committed.
    """

    def __init__(
        self,
        state: State,
        store: Store,
        restored: Restored,
        nodes: Mapping[str, Manifest],
        clock: Clock,
        *,
        acked: Sequence[str],
    ) -> None:
        self.epoch = restored.epoch
        """The last epoch that was committed."""
        self.restored = restored
        self.epochs = 0
        """How many epochs this run has committed."""
        self.seconds = 0.0
        """How long the last epoch took from its barrier to its last commit."""
        self.bytes = 0
        """The size of the last epoch."""
        self.waiting: str | None = None
        """What an epoch waits for, when that is the store."""
        self.taken_at: float | None = None
        """When the last epoch was committed, by the monotonic clock."""
        self.patience = state.patience
        self._state = state
        self._store = store
        self._nodes = nodes
        self._clock = clock
        self._last = restored.last
        self.watch: Watch | None = None
        self._acked = tuple(acked)
        self._members: list[Member] = []
        self._left: dict[Member, Part] = {}
        """The parts of those that have ended."""
        self._let_go: dict[Member, asyncio.Future[None]] = {}
        self._pending: _Pending | None = None
        self._done: asyncio.Future[None] | None = None
        self._due = asyncio.Event()
        self._asked: list[asyncio.Future[int]] = []
        self._counted = 0

    def add(self, members: Sequence[Member]) -> None:
        """These take part; before `run`."""
        self._members = list(members)

    async def run(self) -> None:
        """Take epochs until every member has ended and the epoch that holds that is committed."""
        began = self._clock.monotonic()
        while True:
            await self._until_due(began)
            began = self._clock.monotonic()
            asked, self._asked = self._asked, []
            try:
                await self._take()
            except BaseException:
                for one in asked:
                    one.cancel()
                raise
            for one in asked:
                if not one.done():
                    one.set_result(self.epoch)
            if not self._let_go and len(self._left) == len(self._members):
                return

    async def checkpoint(self) -> int:
        """Take an epoch that holds all that was read by now; its number, once it is committed."""
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._due.set()
        return await asked

    def batch_read(self) -> None:
        """A source has handed over a batch."""
        if self._state.batches is not None:
            self._counted += 1
            if self._counted >= self._state.batches:
                self._due.set()

    async def check(self) -> None:
        """Raise StateLost, in the words of the store, if another copy holds the state."""
        await self._store.check()

    def hurry(self) -> None:
        """Take the next epoch now: a source has ended, or waits for what only an epoch brings."""
        self._due.set()

    def passed(self, member: Member, epoch: int, part: Part) -> None:
        """A barrier has passed a member, which adds its part to the epoch."""
        pending = self._pending
        if pending is not None and pending.epoch == epoch:
            if self.watch is not None:
                self.watch.passed(member.name, epoch)
            pending.take(member, part)

    def upcoming(self, member: Member) -> int:
        """The number of the epoch that will hold the end of this member."""
        pending = self._pending
        if pending is not None and member in pending.waiting:
            return pending.epoch
        return self._last + 1

    def ended(self, member: Member, part: Part) -> asyncio.Future[None]:
        """A member has come to its end: what it adds to every epoch from now on.

        Returns what is done when the epoch that holds this has been committed.
        """
        self._left[member] = part
        let_go = self._let_go[member] = asyncio.get_running_loop().create_future()
        if self.watch is not None:
            self.watch.passed(member.name, None)
        pending = self._pending
        if pending is not None and member in pending.waiting:
            pending.take(member, part)
        self._due.set()
        return let_go

    def under_way(self, member: Member) -> asyncio.Future[None] | None:
        """Done when the epoch is committed that this member has answered for; None for none."""
        pending = self._pending
        if self._done is None or (pending is not None and member in pending.waiting):
            return None
        return self._done

    @property
    def taking(self) -> bool:
        """Whether an epoch is being taken."""
        return self._done is not None

    async def _until_due(self, began: float) -> None:
        """Wait for the interval to pass, unless somebody is in a hurry."""
        left = began + self._state.interval - self._clock.monotonic()
        if left > 0:
            try:
                async with asyncio.timeout(left):
                    await self._due.wait()
            except TimeoutError:
                pass
        else:
            await asyncio.sleep(0)
        self._due.clear()

    async def _take(self) -> None:
        began = self._clock.monotonic()
        self._done = asyncio.get_running_loop().create_future()
        self._counted = 0
        epoch = self._last = self._last + 1
        live = [member for member in self._members if member not in self._left]
        whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pending = self._pending = _Pending(epoch, live, whole)
        for member, part in self._left.items():
            pending.parts[member] = part
        for member in live:
            member.inject(Barrier(epoch))
        if not live:
            whole.set_result(None)
        await whole
        passed = self._clock.monotonic()
        self._pending = None
        held = [member for member in self._left if member in pending.parts]
        # One that ended after it had passed this barrier is part of the next epoch only.
        held = [one for one in held if pending.parts[one] is self._left[one]]
        checkpoint = self._checkpoint(epoch, pending.parts, {one.name for one in held})
        await self._save(checkpoint)
        saved = self._clock.monotonic()
        await self._commit(epoch, pending.parts)
        for member, part in pending.parts.items():
            member.acknowledge(part)
        self.epoch = epoch
        self.epochs += 1
        self._done.set_result(None)
        self._done = None
        self.taken_at = self._clock.monotonic()
        self.seconds = self.taken_at - began
        if self.watch is not None:
            steps = passed - began, saved - passed, self.taken_at - saved
            self.watch.committed(epoch, Durations(began, *steps))
        for member in held:
            # What it has prepared and remembered is done with; where it stood stays for good.
            self._left[member] = Part(bookmarks=self._left[member].bookmarks)
            let_go = self._let_go.pop(member, None)
            if let_go is not None and not let_go.done():
                let_go.set_result(None)

    def _checkpoint(self, epoch: int, parts: Mapping[Member, Part], ended: set[str]) -> Checkpoint:
        segments: list[Segment] = [one for part in parts.values() for one in part.segments]
        prepared = {
            name: part.prepared
            for member, part in parts.items()
            if part.prepared is not None and (name := member.commits()) is not None
        }
        head = Head(
            epoch=epoch,
            at=self._clock.now(),
            bookmarks={m.name: part.bookmarks for m, part in parts.items() if part.bookmarks},
            prepared=prepared,
            ended=frozenset(ended),
            nodes=self._nodes,
        ).encode()
        self.bytes = len(head) + sum(len(one.data) for one in segments)
        return Checkpoint(epoch, head, segments, bool(prepared or self._acked))

    async def _save(self, checkpoint: Checkpoint) -> None:
        """Save, and try again for as long as the store is only out of reach."""
        pause, began = _FIRST_PAUSE, self._clock.monotonic()
        while True:
            try:
                await self._store.save(checkpoint, keep=self._state.keep)
            except StateUnavailable as error:
                if self._clock.monotonic() - began + pause > self._state.patience:
                    raise
                if self.waiting is None:
                    _log.warning("epoch %d cannot be saved yet: %s", checkpoint.epoch, error)
                self.waiting = str(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if self.waiting is not None:
                    _log.warning("epoch %d is saved after all", checkpoint.epoch)
                self.waiting = None
                return

    async def _commit(self, epoch: int, parts: Mapping[Member, Part]) -> None:
        commits = [
            member.commit(epoch, part.prepared)
            for member, part in parts.items()
            if part.prepared is not None
        ]
        if commits:
            await asyncio.gather(*commits)
