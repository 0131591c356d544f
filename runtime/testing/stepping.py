"""One step of an operator: a record, a watermark, or the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar, cast

from ..contracts import Operator
from ..dataclass import dataclass
from ..errors import RuntimeFault
from ..nodes import overrides
from ..signals import Watermark
from ..state import KeyedState

__all__ = [
    "At",
    "Memory",
    "Wake",
    "asks_for_times",
    "loops",
    "recall",
    "record_of",
    "remember",
    "remembers",
    "run_loop",
    "step",
]

R = TypeVar("R")

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


# Without slots: on Python 3.11, `At[int](…)` fails for a frozen generic class that has them.
@dataclass(frozen=True)
class At(Generic[R]):
    """Among the records for an operator: one of which is known when it happened.

    `at` is in seconds since 1970. An operator that asks for times, by `process_at`, is fed these;
    for one with `clock = "processing"`, it is the time on the clock when the record comes.

    >>> At("started", 60.0).at
    60.0
    """

    record: R
    at: float


def asks_for_times(operator: Operator[object, object]) -> bool:
    """Whether the operator works by the times of records."""
    return bool(overrides(operator, Operator, "process_at"))


def record_of(value: object) -> object:
    """The record, without its time."""
    return cast("At[object]", value).record if isinstance(value, At) else value


def step(operator: Operator[object, object], value: object) -> Iterable[object]:
    """What the operator makes of a `Watermark`, of a `Wake`, or of a record.

    Raises RuntimeFault for a record without a time where one is asked for.
    """
    if isinstance(value, Watermark):
        return operator.on_watermark(value.at)
    if isinstance(value, Wake):
        return _wake(operator, value.at)
    if isinstance(value, At):
        timed = cast("At[object]", value)
        return operator.process_at(timed.record, timed.at)
    if asks_for_times(operator):
        raise RuntimeFault(
            f"{type(operator).__name__} works by the times of records: write At({value!r}, seconds)"
        )
    return operator.process(value)


def loops(operator: Operator[object, object]) -> bool:
    """Whether the operator has a loop of its own over several records."""
    hook = "process_each_at" if asks_for_times(operator) else "process_each"
    return bool(overrides(operator, Operator, hook))


def run_loop(
    operator: Operator[object, object],
    values: Sequence[object],
    emit: Callable[[object], object],
    refused: Callable[[object, Exception], None],
) -> None:
    """Run the operator's own loop over records as a job does, on with the rest after each error."""
    taken: list[object] = []

    def source() -> Iterator[object]:
        for value in values:
            taken.append(value)
            yield value

    def pairs() -> Iterator[tuple[object, float]]:
        for value in source():
            timed = cast("At[object]", value)
            yield timed.record, timed.at

    timed = asks_for_times(operator)
    singly, paired = source(), pairs()
    while True:
        before = len(taken)
        try:
            if timed:
                operator.process_each_at(paired, emit)
            else:
                operator.process_each(singly, emit)
        except Exception as error:
            if len(taken) == before:
                raise
            refused(taken[-1], error)
            continue
        if len(taken) < len(values):
            raise RuntimeFault(
                f"the loop of {type(operator).__name__} took {len(taken)} of {len(values)} records"
            )
        return


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
    states = {name: state.snapshot() for name, state in _states(operator).items()}
    return operator.snapshot(), states


def recall(operator: Operator[object, object], memory: Memory) -> None:
    """Make an operator that was just opened remember what another one did."""
    whole, states = memory
    for name, state in _states(operator).items():
        if name in states:
            state.restore([states[name]])
    if whole is not None:
        operator.restore(whole)


def _states(operator: Operator[object, object]) -> dict[str, KeyedState[object, object]]:
    return {
        name: value
        for name, value in getattr(operator, "__dict__", {}).items()
        if isinstance(value, KeyedState)
    }
