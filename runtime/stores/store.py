"""The contract of a store: it keeps epochs, whole or not at all, for one copy of a job at a time.

A store knows nothing of graphs and operators. It keeps bytes, and answers for three things: an
epoch is there in full or not at all, also after a power cut; what is read back is what was
written, or `StateDamaged` names what is not; and a copy of the job that was replaced by another
cannot save any more.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..dataclass import dataclass
from ..errors import StateLost

if TYPE_CHECKING:
    from pathlib import Path  # Loading it takes a tenth of the time that the whole package takes.

__all__ = ["Checkpoint", "Held", "Saved", "SavedEpoch", "Segment", "Store"]

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of one part of a node's memory: what changed in this epoch, or all of it.

    To rebuild the part, the segments from epoch `since` on are needed, in order; with `since`
    equal to the epoch of its checkpoint it is whole. `data` may be empty: nothing changed.
    """

    node: str
    part: str
    data: bytes
    since: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One epoch, ready to be saved. `head` holds all that is no memory.

    `seen` says that somebody outside will know of it: a sink that commits, a source that is acked.
    Recovery does not go below such an epoch unless it is told to aloud.

    Raises ValueError where it contradicts itself: no epoch below 1, none that needs a later one,
    and no part twice.
    """

    epoch: int
    head: bytes
    segments: Sequence[Segment]
    seen: bool

    def __post_init__(self) -> None:
        if self.epoch < 1:
            raise ValueError(f"epochs are counted from 1, and this is {self.epoch}")
        parts: set[tuple[str, str]] = set()
        for segment in self.segments:
            if not 1 <= segment.since <= self.epoch:
                raise ValueError(
                    f"part {segment.part!r} of {segment.node!r} is since epoch {segment.since}, "
                    f"which is not within 1 and {self.epoch}"
                )
            parts.add((segment.node, segment.part))
        if len(parts) < len(self.segments):
            raise ValueError(f"a part of a node is there twice in epoch {self.epoch}")
        object.__setattr__(self, "segments", tuple(self.segments))

    def follow(
        self, last: int, kept: Mapping[tuple[str, str], Collection[int]], *, keep: int
    ) -> None:
        """Raise ValueError unless this can be saved after epoch `last`.

        `kept` tells which epochs of each part that one needs: as far back may a segment reach.
        """
        if keep < 1:
            raise ValueError(f"keep must be 1 or more epochs, not {keep}")
        if self.epoch <= last:
            raise ValueError(f"epoch {self.epoch} cannot be saved after epoch {last}")
        for segment in self.segments:
            known = kept.get((segment.node, segment.part), ())
            if segment.since != self.epoch and segment.since not in known:
                raise ValueError(
                    f"part {segment.part!r} of {segment.node!r} needs epoch {segment.since}, and "
                    f"what epoch {last} kept of it is {sorted(known) or 'nothing'}"
                )


@dataclass(frozen=True, slots=True)
class SavedEpoch:
    """An epoch that was saved, and whether anybody outside knows of it."""

    epoch: int
    seen: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved: the `head` of an epoch, and for each (node, part) its segments, in order."""

    epoch: int
    head: bytes
    segments: Mapping[tuple[str, str], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Held:
    """The state of a job, held for one copy of it.

    `lineage` names the state: made up when a job first begins on it, and kept as long as it is
    there. `token` is larger than that of every copy before.
    """

    lineage: str
    token: int


class Store(ABC):
    """Where the epochs of a job are kept; see the head of this file for what it answers for.

    One object holds the state of one job at a time. Opened again it lets go first, and another job
    is refused with RuntimeError. Before it is open it may be copied, as each job does with its
    operators, and a copy is as good as another object.

    All methods are called one at a time, but for `check`. They raise `StateUnavailable` for what
    may pass (out of reach, no room), `StateLost` once another copy holds the state, and any other
    `StateError` for what needs somebody's hand (no permission, a store of a later version).
    """

    waiting: str | None = None
    """While `open` waits: for what, in words."""

    on_lost: Callable[[StateLost], None] | None = None
    """Called once, on the loop, by a store that hears of another copy before it is asked."""

    @property
    def folder(self) -> Path | None:
        """While it is open: a folder of the job's own, beside what is saved; None for none.

        It need not be there yet. What stands in it goes where the state goes.
        """
        return None

    @abstractmethod
    async def open(self, job: str) -> Held:
        """Hold the state of the job of this name, waiting for a lease that may still run out.

        A name is up to 100 letters, digits, `_`, `-` and `.`, which is not the first; ValueError
        for any other. Raises `StateLost` where a copy of the job holds the state and will not let
        it go by itself, and `StateDamaged` where a state was there and cannot be read at all.
        """

    @abstractmethod
    async def epochs(self) -> Sequence[SavedEpoch]:
        """The epochs that are there, ascending, and the last one also where it is damaged.

        Where it cannot be told whether anybody knows of a damaged epoch, somebody does. Raises
        `StateDamaged` where nothing can be told at all.
        """

    @abstractmethod
    async def load(self, epoch: int) -> Saved:
        """One of these epochs. Raises `StateDamaged`, which names the epoch and what is wrong."""

    @abstractmethod
    async def save(self, checkpoint: Checkpoint, *, keep: int) -> None:
        """Save an epoch, durably and whole, and let go of what the last `keep` do not need.

        It follows the epoch that was loaded or saved last, and its number is larger. Those later
        than the one that was loaded are dropped in the same step. Called again with the same
        checkpoint, after `StateUnavailable`, it does no harm if the first call did reach the store
        after all. Raises ValueError for a checkpoint that cannot follow, and where there are
        epochs and none was loaded.
        """

    @abstractmethod
    async def check(self) -> None:
        """Return if this copy still holds the state; raise `StateLost` if another one does."""

    @abstractmethod
    async def close(self) -> None:
        """Let the state go, so that the next copy need not wait. Raises nothing of its own."""

    def describe(self) -> str:
        """Where it is, in words, without a secret."""
        return type(self).__name__

    @staticmethod
    def _named(job: str) -> str:
        """The name of a job, which can stand in a path and in a row."""
        if not _SAFE_NAME.fullmatch(job):
            raise ValueError(
                "a job with a store is named by up to 100 letters, digits, '_', '-' and '.', "
                f"not {job!r}"
            )
        return job
