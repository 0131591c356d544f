"""What an operator remembers, as the runtime finds, saves and restores it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from .contracts import Operator
from .dataclass import dataclass
from .errors import GraphError, StateMismatch
from .nodes import Node, is_a, overrides
from .state import KeyedState
from .stores import Segment

__all__ = [
    "WHOLE",
    "Kept",
    "Memory",
    "check_without_store",
    "needs_store",
    "remembers",
    "upgraded_by",
    "versions_of",
]

WHOLE = ""
"""The part that holds what the operator's own `snapshot` returns."""


def remembers(work: object) -> bool:
    """Whether it is an operator that declares memory: a `snapshot`, or a `KeyedState`."""
    return is_a(work, Operator) and (
        bool(overrides(work, Operator, "snapshot")) or bool(_states(work))
    )


def needs_store(node: Node) -> bool:
    """Whether a node remembers something that may not be lost with the process."""
    return node.kind != "event_time" and not node.options.volatile and remembers(node.work)


def check_without_store(nodes: Iterable[Node]) -> None:
    """Raise GraphError where something remembers and may not forget."""
    for node in nodes:
        if needs_store(node):
            raise GraphError(
                f"{node.name!r} has memory, and this job has no store to keep it in: start it with "
                "one (--state DIR, or graph.start(state=...)), or say "
                f".via({node.name!r}, …, volatile=True) if it may be lost when the process ends",
                where=node.where,
            )


def versions_of(work: object) -> dict[str, int]:
    """The schema version of each part of what an operator remembers."""
    found: dict[str, int] = {}
    if is_a(work, Operator):
        if overrides(work, Operator, "snapshot"):
            found[WHOLE] = cast("Operator[Any, Any]", work).version
        found |= {name: state.version for name, state in _states(work).items()}
    return found


def upgraded_by(work: object) -> frozenset[str]:
    """The parts of what an operator remembers whose older versions it can upgrade."""
    if not is_a(work, Operator):
        return frozenset()
    found = {name for name, state in _states(work).items() if state.upgrades}
    if overrides(work, Operator, "upgrade"):
        found.add(WHOLE)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Kept:
    """How many keys the keyed states of an operator hold, and what the last epoch saved of them.

    `changed` and `removed` are the keys that were assigned and deleted between the last two epochs.
    """

    keys: int
    changed: int
    removed: int


class Memory:
    """The memory of one operator: its own snapshot, and each `KeyedState` among its attributes."""

    def __init__(self, node: str, operator: Operator[Any, Any]) -> None:
        self._node = node
        self._operator = operator
        self._states: tuple[KeyedState[Any, Any], ...] = ()
        self._now: Callable[[], float] = time.time
        self._at = 0.0
        self._ages = False

    def begin(self, now: Callable[[], float] | None = None, *, saved: bool = True) -> None:
        """Give the operator empty keyed states of its own, by the clock `now`; before it opens.

        `saved` says whether there is a store for them.
        """
        self._now = self._now if now is None else now
        for name, state in _states(self._operator).items():
            setattr(self._operator, name, state.fresh(self._looked, saved=saved))
        self._states = tuple(_states(self._operator).values())
        self._ages = any(state.ages for state in self._states)
        self.look()

    def look(self) -> None:
        """What time it is for keys that grow old, until the next look.

        In between their time stands still: a key that is there when a record comes is there until
        the operator is done with it.
        """
        if self._ages:
            self._at = self._now()

    def _looked(self) -> float:
        return self._at

    def kept(self) -> Kept | None:
        """How much is in its keyed states; None where it has none. Safe from any thread."""
        states = self._states
        if not states:
            return None
        return Kept(
            max(state.size for state in states),
            max(state.saved_changed for state in states),
            max(state.saved_removed for state in states),
        )

    def save(self, epoch: int) -> Iterator[Segment | None]:
        """The segments of an epoch; None in between, where others may have a turn.

        Nothing may change what is remembered until the last one is taken.
        """
        for name, state in _states(self._operator).items():
            since, slices = state.save(epoch)
            data: list[bytes] = []
            for piece in slices:
                data.append(piece)
                yield None
            yield Segment(self._node, name, b"".join(data), since)
        whole = self._operator.snapshot()
        if whole is not None:
            yield Segment(self._node, WHOLE, whole, epoch)

    def restore(self, parts: Mapping[str, Sequence[bytes]], versions: Mapping[str, int]) -> None:
        """Remember what was saved. Raises StateMismatch, which names the operator."""
        states = _states(self._operator)
        for name, segments in parts.items():
            try:
                if name == WHOLE:
                    self._restore_whole(segments[-1], versions.get(name, 1))
                elif name in states:
                    states[name].restore(segments)
            except StateMismatch as error:
                what = f"the state {name!r} of {self._node!r}" if name else repr(self._node)
                raise StateMismatch(
                    f"{what} cannot go on from what was saved: {error}. "
                    f"--forget {self._node} begins it anew, without its memory."
                ) from error

    def _restore_whole(self, data: bytes, version: int) -> None:
        operator = self._operator
        if version != operator.version:
            data = operator.upgrade(version, data)
        operator.restore(data)


def _states(operator: object) -> dict[str, KeyedState[Any, Any]]:
    found: dict[str, object] = getattr(operator, "__dict__", {})
    return {
        name: cast("KeyedState[Any, Any]", value)
        for name, value in found.items()
        if is_a(value, KeyedState)
    }
