"""The world around a simulated process: it goes on when the process is killed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...checkpoints.head import Head
from ...stores.memory import MemoryStore
from .faults import Census, Fault, Happened
from .targets import CommittedTarget, PlainTarget

if TYPE_CHECKING:
    from .broker import BrokerSource

__all__ = ["World"]

_BEGAN = 1_767_225_600.0
"""The first of January 2026: the same for each run, so that the same seed does the same."""


class World:
    """What outlives a process: targets, the store, time, and what is still to go wrong.

    With the same `seed` two worlds are the same up to the first of the `faults`: in the order of
    wake-ups, in the pace of sources, in the size of batches.
    """

    def __init__(self, seed: int, faults: Sequence[Fault] = ()) -> None:
        self.chance = random.Random(f"world {seed}")
        self.faulty = bool(faults)
        self.now = 0.0
        self.ahead = 0.0
        """By how much the clock of the machine has jumped, in seconds."""
        self.starts = 0
        self.epoch = 0
        """The last epoch that was saved."""
        self.census = Census()
        self.happened: list[Happened] = []
        self.wrong: list[str] = []
        """What nobody may do and somebody did."""
        self.store = MemoryStore()
        self.store_back_at = 0.0
        """Until then the store cannot be reached."""
        self.store_full = False
        self.damaged: set[int] = set()
        """Epochs that cannot be read any more."""
        self.damage_next = False
        self.targets: dict[str, CommittedTarget | PlainTarget] = {}
        self.brokers: dict[str, BrokerSource[object]] = {}
        self._heads: dict[int, Head] = {}
        """What the epochs of this start hold."""
        self.by_the_clock: set[str] = set()
        """The nodes that have emitted something because it was time to."""
        self.refusing: dict[tuple[str, str], int] = {}
        """How many more calls of a name are refused, by name and subject."""
        self._at_turns = sorted(
            ((one.turn, one) for one in faults if one.turn is not None), key=lambda pair: pair[0]
        )
        self._at_calls = {one.call: one for one in faults if one.call is not None}

    def wall(self, now: float) -> float:
        """What the clock of the machine shows at this virtual moment."""
        return _BEGAN + now + self.ahead

    def tell(self, what: str, now: float | None = None) -> None:
        """Note that a fault was injected."""
        self.happened.append(Happened(self.now if now is None else now, what))

    def complain(self, what: str) -> None:
        """Note that something was done that must not be."""
        self.wrong.append(what)

    def turn(self) -> list[Fault]:
        """One turn of the loop: what is to go wrong in it."""
        self.census.turns += 1
        due: list[Fault] = []
        while self._at_turns and self._at_turns[0][0] <= self.census.turns:
            due.append(self._at_turns.pop(0)[1])
        return due

    def postpone(self, fault: Fault, turns: int) -> None:
        """This cannot go wrong yet, but in so many turns perhaps."""
        self._at_turns.insert(0, (self.census.turns + turns, fault))

    def called(self, name: str) -> Fault | None:
        """A call to the outside: what is to go wrong with it."""
        number = self.census.calls[name]
        self.census.calls[name] += 1
        return self._at_calls.pop((name, number), None)

    def committing(self, name: str) -> CommittedTarget:
        """The target of this sink, which commits."""
        target = self.targets.setdefault(name, CommittedTarget(name, self.complain))
        assert isinstance(target, CommittedTarget)
        return target

    def plain(self, name: str) -> PlainTarget:
        """The target of this sink, which does not commit."""
        target = self.targets.setdefault(name, PlainTarget(name))
        assert isinstance(target, PlainTarget)
        return target

    def go_back(self, epoch: int) -> None:
        """A start goes on from this epoch."""
        self._heads.clear()
        for target in self.targets.values():
            if isinstance(target, PlainTarget):
                target.go_back(epoch)

    def saved(self, epoch: int, head: bytes) -> None:
        """The store has saved an epoch."""
        self.epoch = epoch
        self._heads[epoch] = Head.decode(head)

    def may_commit(self, sink: str, epoch: int) -> None:
        """Complain of a commit that comes before its epoch is stored."""
        if epoch > self.epoch:
            self.complain(f"{sink}: epoch {epoch} was committed before it was stored")

    def may_ack(self, source: str, lane: str, position: int) -> None:
        """Complain of an ack that comes before its epoch is stored and committed."""
        holding = [
            epoch
            for epoch, head in self._heads.items()
            if (mark := head.bookmarks.get(source, {}).get(lane)) and mark.last >= position
        ]
        if not holding:
            self.complain(f"{source}: {lane!r} was acked up to {position} before its epoch")
            return
        epoch = holding[0]
        for name in self._heads[epoch].prepared:
            target = self.targets.get(name)
            if isinstance(target, CommittedTarget) and target.last < epoch:
                self.complain(
                    f"{source}: {lane!r} was acked up to {position} before {name} had committed "
                    f"epoch {epoch}"
                )
