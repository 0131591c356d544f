"""The checks for operators."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from ...contracts import LateError, Operator
from ...dataclass import dataclass
from ...signals import Watermark
from ..stepping import (
    Wake,
    asks_for_times,
    loops,
    recall,
    record_of,
    remember,
    remembers,
    run_loop,
    step,
)
from .expecting import expect
from .opened import Opened

__all__ = ["OPERATOR_CHECKS", "OperatorCase"]

R = TypeVar("R")
S = TypeVar("S")

_CUTS = (1, 2, 7, 1024)


# Without slots: on Python 3.11, `Case[int](…)` fails for a frozen generic class that has them.
@dataclass(frozen=True)
class OperatorCase(Generic[R, S]):
    """An operator, what it is given and what it must make of it.

    `make` returns a new prototype. Among the `records` there may stand `Watermark` and `Wake`;
    after them the stream ends, unless `end` is False. For an operator that works by the times of
    records, each is an `At(record, seconds)`; `late` are those records of them for which it must
    raise `LateError`, in their order. `bad` are records that it must refuse by another exception.
    The checks run the records as often as there are of them: some dozens are enough.

    >>> import asyncio
    >>> class Odd(Operator[int, int]):
    ...     def process(self, record):
    ...         return [record] if record % 2 else []
    >>> case = OperatorCase(Odd, records=range(20), expected=range(1, 20, 2), bad=["one"])
    >>> for check in OPERATOR_CHECKS:
    ...     asyncio.run(check(case))
    """

    make: Callable[[], Operator[R, S]]
    records: Sequence[object]
    expected: Sequence[S]
    end: bool = True
    bad: Sequence[object] = ()
    late: Sequence[object] = ()


class _Run(Opened[Operator[Any, Any]]):
    """One job's copy of an operator, and what it has emitted."""

    def __init__(self, prototype: Operator[Any, Any]) -> None:
        super().__init__(prototype)
        self.records: list[object] = []
        self.late: list[object] = []

    def give(self, values: Sequence[object]) -> None:
        for value in values:
            try:
                self.records.extend(step(self.operator, value))
            except LateError:
                if not asks_for_times(self.operator):
                    raise
                self.late.append(record_of(value))

    def give_together(self, values: Sequence[object], bad: Sequence[object]) -> None:
        """Give records to the operator's own loop; those in `bad` it must refuse."""

        def refuse(value: object, error: Exception) -> None:
            if isinstance(error, LateError) and asks_for_times(self.operator):
                self.late.append(record_of(value))
            elif not any(value is one for one in bad):
                raise error
            else:
                refused.append(value)

        refused: list[object] = []
        run_loop(self.operator, values, self.records.append, refuse)
        expect(
            refused,
            [one for one in values if any(one is other for other in bad)],
            "what its own loop refused (let it take the next record when done with the one before)",
        )

    def end(self, case: OperatorCase[Any, Any]) -> None:
        if case.end:
            self.records.extend(self.operator.on_end())


async def makes_what_is_expected(case: OperatorCase[Any, Any]) -> None:
    """The operator makes of the records what the case says."""
    async with _Run(case.make()) as run:
        run.give(case.records)
        run.end(case)
    expect(run.records, case.expected, "the records made")
    expect(run.late, case.late, "the records that came too late")


async def closes_without_a_record(case: OperatorCase[Any, Any]) -> None:
    """An operator that got no record can end and be closed."""
    async with _Run(case.make()) as run:
        run.end(case)
    async with _Run(case.make()):
        pass


async def makes_the_same_however_the_input_is_cut(case: OperatorCase[Any, Any]) -> None:
    """The result does not depend on where a batch ends, which is when `wake_at` is asked."""
    for cut in _CUTS:
        async with _Run(case.make()) as run:
            for first in range(0, len(case.records), cut):
                run.give(case.records[first : first + cut])
                run.operator.wake_at()
            run.end(case)
        expect(
            run.records,
            case.expected,
            f"the records made when wake_at() is asked after every {cut} (let it change nothing)",
        )


async def makes_the_same_in_a_loop_of_its_own(case: OperatorCase[Any, Any]) -> None:
    """`process_each`, or `process_each_at`, does what calling for one record at a time does."""
    for cut in _CUTS:
        for bad in ((), *((one,) for one in case.bad)):
            async with _Run(case.make()) as run:
                if not loops(run.operator):
                    return
                together: list[object] = []
                for value in case.records:
                    signal = isinstance(value, Watermark | Wake)
                    if together and (signal or len(together) >= cut):
                        run.give_together([*together, *bad], bad)
                        together = []
                    if signal:
                        run.give([value])
                    else:
                        together.append(value)
                run.give_together([*bad, *together, *bad], bad)
                run.end(case)
            expect(run.records, case.expected, f"the records made in its own loop, by {cut}")
            expect(run.late, case.late, f"the records that came too late in its own loop, by {cut}")


async def a_snapshot_changes_nothing(case: OperatorCase[Any, Any]) -> None:
    """A checkpoint after each record does not alter the result."""
    async with _Run(case.make()) as run:
        for value in case.records:
            run.give([value])
            remember(run.operator)
        run.end(case)
    expect(run.records, case.expected, "the records made with a snapshot after each record")


async def goes_on_from_any_snapshot(case: OperatorCase[Any, Any]) -> None:
    """A job that is restored at any point makes what an uninterrupted one would have made."""
    prototype = case.make()
    for place in range(len(case.records) + 1):
        async with _Run(prototype) as before:
            before.give(case.records[:place])
            memory = remember(before.operator)
        async with _Run(prototype) as after:
            recall(after.operator, memory)
            after.give(case.records[place:])
            after.end(case)
        expect(
            before.late + after.late,
            case.late,
            f"the records that came too late when restored after {place} records",
        )
        expect(
            before.records + after.records,
            case.expected,
            f"the records made when restored after {place} records (let `snapshot` hold all that "
            "is remembered, or use KeyedState, and let `restore` take it back)",
        )


async def declares_its_memory(case: OperatorCase[Any, Any]) -> None:
    """Without `snapshot` and KeyedState, what a record makes does not depend on earlier ones."""
    prototype = case.make()
    async with _Run(prototype) as used:
        if remembers(used.operator):
            return
        for index, value in enumerate(case.records):
            if isinstance(value, Watermark | Wake):
                continue
            before = len(used.records)
            used.give([value])
            async with _Run(prototype) as fresh:
                fresh.give([value])
            expect(
                used.records[before:],
                fresh.records,
                f"what record {index} makes after the others, against what it makes alone (an "
                "operator that remembers keeps it in a KeyedState, or has snapshot and restore)",
            )


async def emits_only_from_records_without_memory(case: OperatorCase[Any, Any]) -> None:
    """Only an operator with memory emits at a watermark, a wake-up or the end."""
    async with _Run(case.make()) as run:
        if remembers(run.operator):
            return
        for value in case.records:
            before = len(run.records)
            run.give([value])
            if isinstance(value, Watermark | Wake):
                _expect_silence(run.records[before:], f"at {value!r}")
        before = len(run.records)
        run.end(case)
        _expect_silence(run.records[before:], "at the end")


def _expect_silence(emitted: Sequence[object], when: str) -> None:
    assert not emitted, (
        f"{when} the operator emitted {emitted[0]!r}, but it declares no memory: keep what it "
        "emits in a KeyedState, or write snapshot and restore"
    )


async def copies_share_nothing(case: OperatorCase[Any, Any]) -> None:
    """Two jobs with the same prototype do not disturb each other."""
    prototype = case.make()
    async with _Run(prototype) as one, _Run(prototype) as other:
        for value in case.records:
            one.give([value])
            other.give([value])
        one.end(case)
        other.end(case)
    for run in (one, other):
        expect(
            run.records,
            case.expected,
            "the records of one of two jobs (create what changes in `open`, not in `__init__`)",
        )


async def a_bad_record_leaves_no_trace(case: OperatorCase[Any, Any]) -> None:
    """After a record that raised, the next ones are processed as if it had not been there."""
    for bad in case.bad:
        for place in range(len(case.records) + 1):
            async with _Run(case.make()) as run:
                run.give(case.records[:place])
                _refuse(run.operator, bad)
                run.give(case.records[place:])
                run.end(case)
            expect(
                run.records,
                case.expected,
                f"the records made around {bad!r} after {place} records (look at the record "
                "before changing what is remembered)",
            )


def _refuse(operator: Operator[Any, Any], bad: object) -> None:
    try:
        made = list(step(operator, bad))
    except Exception:
        return
    raise AssertionError(
        f"{bad!r} was processed and made {made!r}: the case calls it bad, so `process` must raise"
    )


OPERATOR_CHECKS: tuple[Callable[[OperatorCase[Any, Any]], Coroutine[Any, Any, None]], ...] = (
    makes_what_is_expected,
    closes_without_a_record,
    makes_the_same_however_the_input_is_cut,
    makes_the_same_in_a_loop_of_its_own,
    a_snapshot_changes_nothing,
    goes_on_from_any_snapshot,
    declares_its_memory,
    emits_only_from_records_without_memory,
    copies_share_nothing,
    a_bad_record_leaves_no_trace,
)
