"""Going back to the last epoch: which one it is, and whether the graph can follow it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from ..bookmarks import Bookmark
from ..dataclass import dataclass
from ..errors import StateDamaged, StateError, StateMismatch
from ..nodes import nearest
from ..stores import Held, Saved, SavedEpoch, Store
from .head import Head, Manifest

__all__ = ["Restored", "recover"]

_log = logging.getLogger("thalweg.state")


@dataclass(frozen=True, slots=True)
class Restored:
    """What a job goes on from. `epoch` is 0 where it begins anew; `last` is the highest number
    that any epoch of this state has had.
    """

    held: Held
    epoch: int = 0
    last: int = 0
    head: Head | None = None
    segments: Mapping[tuple[str, str], Sequence[bytes]] = field(
        default_factory=dict[tuple[str, str], Sequence[bytes]]
    )

    def bookmarks(self, source: str) -> Mapping[str, Bookmark] | None:
        """Where a source goes on, by lane; None where it begins."""
        return None if self.head is None else self.head.bookmarks.get(source)

    def memory(self, node: str) -> dict[str, Sequence[bytes]]:
        """The segments of each part of what a node remembered."""
        return {part: data for (name, part), data in self.segments.items() if name == node}

    def versions(self, node: str) -> Mapping[str, int]:
        """The schema versions with which a node's memory was saved."""
        if self.head is None or node not in self.head.nodes:
            return {}
        return self.head.nodes[node].versions

    def prepared(self, sink: str) -> bytes | None:
        """What a sink had prepared for the epoch."""
        return None if self.head is None else self.head.prepared.get(sink)

    def ended(self, node: str) -> bool:
        """Whether a node had come to its end."""
        return self.head is not None and node in self.head.ended

    @property
    def finished(self) -> bool:
        """Whether the job had come to its end: nothing is left to do."""
        return self.head is not None and self.head.ended.issuperset(self.head.nodes)


async def recover(
    store: Store,
    job: str,
    nodes: Mapping[str, Manifest],
    *,
    from_epoch: int | None,
    forget: frozenset[str],
) -> Restored:
    """Hold the state of a job and find the epoch to go on from.

    Raises StateDamaged where the last epoch that anybody outside knows of cannot be read,
    StateMismatch where the graph (its `nodes`) cannot follow it, StateLost where another copy runs.
    """
    held = await store.open(job)
    epochs = await store.epochs()
    if not epochs:
        if from_epoch is not None or forget:
            what = f"epoch {from_epoch}" if from_epoch is not None else repr(sorted(forget)[0])
            raise StateError(f"{store.describe()} holds no epoch of {job!r}, and no {what}")
        return Restored(held)
    saved = await _choose(store, job, epochs, from_epoch)
    head = Head.decode(saved.head)
    if head.epoch != saved.epoch:
        raise StateDamaged(f"{store.describe()}: epoch {saved.epoch} says it is {head.epoch}")
    head, segments = _forget(head, saved.segments, forget)
    for name, was in head.nodes.items():
        _follow(job, name, was, nodes)
        if name in head.ended:
            _stay_ended(job, name, nodes[name], head)
    return Restored(held, saved.epoch, epochs[-1].epoch, head, segments)


async def _choose(
    store: Store, job: str, epochs: Sequence[SavedEpoch], from_epoch: int | None
) -> Saved:
    numbers = [one.epoch for one in epochs]
    if from_epoch is not None:
        if from_epoch not in numbers:
            raise StateError(
                f"{store.describe()} holds the epochs {numbers} of {job!r}, and not {from_epoch}"
            )
        return await store.load(from_epoch)
    for one in reversed(epochs):
        try:
            return await store.load(one.epoch)
        except StateDamaged as error:
            before = [number for number in numbers if number < one.epoch]
            if one.seen or not before:
                raise StateDamaged(_refusal(error, one, before)) from error
            _log.warning(
                "%s; nobody outside has seen epoch %d, so %r goes on from epoch %d",
                error, one.epoch, job, before[-1],
            )  # fmt: skip
    raise AssertionError("the loop returns or raises")


def _refusal(error: StateDamaged, one: SavedEpoch, before: Sequence[int]) -> str:
    text = f"{error}. What belongs to epoch {one.epoch} has been committed or acknowledged"
    if not one.seen:
        text = f"{error}. There is no epoch before it"
    if before:
        return (
            f"{text}, so the job does not go back below it by itself: --from-epoch {before[-1]} "
            "does, and what came after that may count twice"
        )
    return f"{text}: restore the state from a copy, or begin anew in another place"


def _forget(
    head: Head, segments: Mapping[tuple[str, str], Sequence[bytes]], names: frozenset[str]
) -> tuple[Head, Mapping[tuple[str, str], Sequence[bytes]]]:
    if not names:
        return head, segments
    known = {*head.nodes, *head.bookmarks, *head.prepared}
    for name in sorted(names):
        if name not in known:
            raise StateMismatch(
                f"--forget {name}: nothing is remembered of it, only of {sorted(known)}."
                + nearest(name, known)
            )
    kept = replace(
        head,
        bookmarks={name: marks for name, marks in head.bookmarks.items() if name not in names},
        prepared={name: data for name, data in head.prepared.items() if name not in names},
        ended=head.ended - names,
        nodes={name: node for name, node in head.nodes.items() if name not in names},
    )
    return kept, {key: data for key, data in segments.items() if key[0] not in names}


def _follow(job: str, name: str, was: Manifest, nodes: Mapping[str, Manifest]) -> None:
    """Raise StateMismatch unless what was saved of a node can be followed by what it is now."""
    now = nodes.get(name)
    wrong = ""
    if now is None:
        wrong = f"the graph has no {was.kind} {name!r} that remembers any more." + nearest(
            name, nodes
        )
    elif now.kind != was.kind:
        wrong = f"{name!r} was a {was.kind} and is a {now.kind} now."
    elif now.type != was.type:
        wrong = f"the {was.kind} {name!r} was {was.type} and is {now.type} now."
    elif now.keys != was.keys:
        wrong = f"the keys of {name!r} have changed: {_changed(was.keys, now.keys)}."
    else:
        wrong = next(filter(None, (_part(name, part, was, now) for part in was.versions)), "")
    if wrong:
        raise StateMismatch(
            f"graph {job!r} cannot follow its saved state: {wrong} "
            f"Undo the change, or let go of that state with --forget {name}"
        )


def _part(name: str, part: str, was: Manifest, now: Manifest) -> str:
    """What is wrong with one part of a node's memory, if anything is."""
    what = f"a KeyedState {part!r}" if part else "a snapshot"
    if was.kind == "source":
        what = "the ids of its records (identity)"
    if part not in now.versions:
        return f"{name!r} remembered {what}, which it has no more."
    before, after = was.versions[part], now.versions[part]
    if before == after or (before < after and part in now.upgraded):
        return ""
    return f"{name!r} remembered {what} in version {before}, which is {after} now" + (
        ": it needs an upgrade." if before < after else "."
    )


def _stay_ended(job: str, name: str, now: Manifest, head: Head) -> None:
    """Raise StateMismatch where records would come to an operator that had come to its end."""
    again = [source for source in now.sources if source not in head.ended]
    if again:
        raise StateMismatch(
            f"graph {job!r} cannot follow its saved state: {name!r} had come to its end and let go "
            f"of its memory, and now {again} would send it more. --forget {name} begins it anew"
        )


def _changed(was: Mapping[str, int], now: Mapping[str, int]) -> str:
    parts: list[str] = []
    for name in {**was, **now}:
        if name not in now:
            parts.append(f"the key function {name!r} is gone")
        elif name not in was:
            parts.append(f"the key function {name!r} is new")
        elif was[name] != now[name]:
            parts.append(f"{name!r} had version {was[name]} and has version {now[name]}")
    return ", ".join(parts)
