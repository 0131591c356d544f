"""One step of an operator: a record, a watermark, or the clock."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..contracts import Operator
from ..errors import RuntimeFault
from ..signals import Watermark
from ..state import KeyedState

__all__ = ["Memory", "Wake", "recall", "remember", "remembers", "step"]

Memory = tuple[bytes | None, dict[str, bytes]]
"""What an operator remembers: its own snapshot, and its keyed states by attribute."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Among the records for an operator: the clock has come to `at`, seconds since 1970.

    `on_wake` is called as often as `wake_at` asks for up to then.

    >>> Wake(at=60.0)
    Wake(at=60.0)
    """

    at: float


def step(operator: Operator[object, object], value: object) -> Iterable[object]:
    """What the operator makes of a `Watermark`, of a `Wake`, or of a record."""
    if isinstance(value, Watermark):
        return operator.on_watermark(value.at)
    if isinstance(value, Wake):
        return _wake(operator, value.at)
    return operator.process(value)


def _wake(operator: Operator[object, object], at: float) -> Iterator[object]:
    last: float | None = None
    while (due := operator.wake_at()) is not None and due <= at:
        if due == last:
            raise RuntimeFault(
                f"wake_at() asks for {due} again right after on_wake({due}): "
                "let it return a later time, or None, once on_wake was called"
            )
        last = due
        yield from operator.on_wake(due)


def remembers(operator: Operator[object, object]) -> bool:
    """Whether the operator declares memory: a `snapshot` of its own, or a `KeyedState`."""
    return type(operator).snapshot is not Operator[object, object].snapshot or bool(
        _states(operator)
    )


def remember(operator: Operator[object, object]) -> Memory:
    """All that the operator remembers, as a checkpoint would keep it."""
    states = {name: state.snapshot(pickle.dumps) for name, state in _states(operator).items()}
    return operator.snapshot(), states


def recall(operator: Operator[object, object], memory: Memory) -> None:
    """Make an operator that was just opened remember what another one did."""
    whole, states = memory
    for name, state in _states(operator).items():
        if name in states:
            state.restore(states[name], pickle.loads)
    if whole is not None:
        operator.restore(whole)


def _states(operator: Operator[object, object]) -> dict[str, KeyedState[object, object]]:
    return {
        name: value
        for name, value in getattr(operator, "__dict__", {}).items()
        if isinstance(value, KeyedState)
    }
