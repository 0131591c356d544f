"""A store that goes away, is full, is damaged, and loses answers: all as a seed says."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from ...errors import StateDamaged, StateUnavailable
from ...stores import Checkpoint, Held, Saved, SavedEpoch, Store
from .calls import Caller, call

__all__ = ["SimulatedStore"]

T = TypeVar("T")


class SimulatedStore(Store):
    """The hand that one simulated process has on the store of its world."""

    def __init__(self, process: Caller) -> None:
        self._process = process
        self._inner = process.world.store.another()

    async def open(self, job: str) -> Held:
        return await self._call("store open", lambda: self._inner.open(job))

    async def epochs(self) -> Sequence[SavedEpoch]:
        found = await self._call("epochs", self._inner.epochs)
        world = self._process.world
        if world.damage_next and len(found) > 1 and not found[-1].seen:
            world.damage_next = False
            world.damaged.add(found[-1].epoch)
            self._process.blame(f"epoch {found[-1].epoch} cannot be read back")
        return found

    async def load(self, epoch: int) -> Saved:
        if epoch in self._process.world.damaged:
            raise StateDamaged(f"epoch {epoch} in {self.describe()} has a wrong checksum")
        return await self._call("load", lambda: self._inner.load(epoch))

    async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        world = self._process.world
        if world.store_full and self._away():
            raise StateUnavailable(f"no room is left in {self.describe()}")

        async def save() -> None:
            await self._inner.save(checkpoint, keep=keep)
            world.damaged.discard(checkpoint.epoch)
            world.saved(checkpoint.epoch, checkpoint.head)

        await self._call("save", save)

    async def check(self) -> None:
        await self._inner.check()

    async def close(self) -> None:
        if self._process.alive:
            await self._inner.close()

    def describe(self) -> str:
        """A simulated store."""
        return "the simulated store"

    def _away(self) -> bool:
        return self._process.now() < self._process.world.store_back_at

    async def _call(self, name: str, do: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._away() and not self._process.world.store_full:
            raise StateUnavailable(f"{self.describe()} cannot be reached")
        return await call(
            self._process, name, "the store", lambda: _at_once(do()), refusal=_refusal
        )


def _at_once(doing: Coroutine[Any, Any, T]) -> T:
    """Run what only lets others have a turn: here it is one step, done or not done."""
    try:
        while True:
            doing.send(None)
    except StopIteration as stop:
        done: T = stop.value
        return done


def _refusal(chance: random.Random, subject: str) -> Exception:
    return StateUnavailable(f"{subject} cannot be reached (simulated)")
