"""A store in the memory of this process, for tests: it outlives the job and not the process."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Sequence
from dataclasses import field
from typing import Self

from ..dataclass import dataclass
from ..errors import StateDamaged, StateLost
from .store import Checkpoint, Held, Saved, SavedEpoch, Segment, Store

__all__ = ["MemoryStore"]


@dataclass
class _State:
    """The state of one job."""

    lineage: str
    token: int = 0
    held: bool = False
    epochs: dict[int, Checkpoint] = field(default_factory=dict[int, Checkpoint])
    segments: dict[tuple[str, str], dict[int, Segment]] = field(
        default_factory=dict[tuple[str, str], dict[int, Segment]]
    )


class MemoryStore(Store):
    """Keeps the epochs in the memory of this process: for tests, and for virtual time.

    >>> store = MemoryStore()
    >>> async def twice():
    ...     first = await store.open("counting")
    ...     await store.save(Checkpoint(1, b"head", [], seen=False), keep=3)
    ...     restarted = store.another()
    ...     second = await restarted.open("counting")
    ...     return first.lineage == second.lineage, (await restarted.load(1)).head
    >>> asyncio.run(twice())
    (True, b'head')

    What was saved lives in this object and in each that `another` makes of it. It can be opened
    again after `close`, and after whoever held it is simply gone.

    Parameters: `takeover` (True), whether a later `open` takes a state that is still held: then
    the older copy is told `StateLost` from its next call on. With False the later `open` is.
    """

    def __init__(self, *, takeover: bool = True) -> None:
        self._takeover = takeover
        self._states: dict[str, _State] = {}
        self._job = ""
        self._state: _State | None = None
        self._token = 0
        self._last: int | None = 0

    def another(self) -> Self:
        """Another hand on the same states, as another process would have on a shared disk."""
        return copy.copy(self)

    def forget(self, job: str) -> None:
        """Delete the state of a job; where there is none, nothing happens."""
        self._states.pop(job, None)

    async def open(self, job: str) -> Held:
        self._named(job)
        if self._state is not None and self._job != job:
            raise RuntimeError(
                f"this store is open for job {self._job!r}: give job {job!r} another() of it"
            )
        await asyncio.sleep(0)
        state = self._states.setdefault(job, _State(uuid.uuid4().hex))
        if state.held and not self._takeover:
            raise StateLost(f"another copy of job {job!r} holds its state in memory: close it")
        state.token += 1
        state.held = True
        self._job, self._state, self._token = job, state, state.token
        self._last = None if state.epochs else 0
        return Held(state.lineage, state.token)

    async def epochs(self) -> Sequence[SavedEpoch]:
        await asyncio.sleep(0)
        state = self._held()
        return [SavedEpoch(epoch, state.epochs[epoch].seen) for epoch in sorted(state.epochs)]

    async def load(self, epoch: int) -> Saved:
        await asyncio.sleep(0)
        state = self._held()
        if epoch not in state.epochs:
            raise StateDamaged(f"epoch {epoch} of job {self._job!r} is not in memory")
        checkpoint = state.epochs[epoch]
        self._last = epoch
        found = _needed(state, checkpoint)
        return Saved(
            epoch,
            checkpoint.head,
            {part: [segment.data for segment in rows.values()] for part, rows in found.items()},
        )

    async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        await asyncio.sleep(0)
        state = self._held()
        if self._last is None:
            raise ValueError(f"job {self._job!r} has epochs: load the one to go on from")
        last = state.epochs.get(self._last)
        if checkpoint == last:
            return
        checkpoint.follow(self._last, _needed(state, last) if last else {}, keep=keep)
        _drop_later(state, self._last)
        self._last = checkpoint.epoch
        state.epochs[checkpoint.epoch] = checkpoint
        for segment in checkpoint.segments:
            of_part = state.segments.setdefault((segment.node, segment.part), {})
            of_part[checkpoint.epoch] = segment
        _prune(state, keep)
        # As with a disk: who is cancelled now does not learn that it is saved.
        await asyncio.sleep(0)

    async def check(self) -> None:
        await asyncio.sleep(0)
        self._held()

    async def close(self) -> None:
        state, self._state = self._state, None
        if state is not None and state.token == self._token:
            state.held = False

    def describe(self) -> str:
        """In the memory of this process."""
        return "the memory of this process"

    def _held(self) -> _State:
        state = self._state
        if state is None:
            raise RuntimeError("a store is used between open and close")
        if self._states.get(self._job) is not state:
            raise StateLost(f"the state of job {self._job!r} was deleted from memory")
        if state.token != self._token:
            raise StateLost(f"another copy of job {self._job!r} has taken over its state in memory")
        return state


def _needed(state: _State, checkpoint: Checkpoint) -> dict[tuple[str, str], dict[int, Segment]]:
    """The segments that an epoch needs, by part and epoch, ascending."""
    found: dict[tuple[str, str], dict[int, Segment]] = {}
    for one in checkpoint.segments:
        part = one.node, one.part
        of_part = sorted(state.segments[part].items())
        found[part] = {
            epoch: segment for epoch, segment in of_part if one.since <= epoch <= checkpoint.epoch
        }
    return found


def _drop_later(state: _State, last: int) -> None:
    for epoch in [epoch for epoch in state.epochs if epoch > last]:
        del state.epochs[epoch]
    for of_part in state.segments.values():
        for epoch in [epoch for epoch in of_part if epoch > last]:
            del of_part[epoch]


def _prune(state: _State, keep: int) -> None:
    oldest = sorted(state.epochs)[-keep:][0]
    for epoch in [epoch for epoch in state.epochs if epoch < oldest]:
        del state.epochs[epoch]
    for part, of_part in list(state.segments.items()):
        kept = [segment.since for epoch, segment in of_part.items() if epoch >= oldest]
        needed = min(kept, default=oldest)
        for epoch in [epoch for epoch in of_part if epoch < needed]:
            del of_part[epoch]
        if not of_part:
            del state.segments[part]
