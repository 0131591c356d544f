"""The checks for batch functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from operator import eq
from typing import Any, Generic, TypeVar

from ...answers import checked
from ...contracts import BatchFunction
from ...dataclass import dataclass
from ..caller import Caller
from ..contexts import context, instance
from .expecting import expect, in_time

__all__ = ["FUNCTION_CHECKS", "FunctionCase"]

R = TypeVar("R")
S = TypeVar("S")

_CUTS = (1, 2, 7, 1024)


# Without slots: on Python 3.11, `Case[int](…)` fails for a frozen generic class that has them.
@dataclass(frozen=True)
class FunctionCase(Generic[R, S]):
    """A batch function, what it is given and what it must make of it.

    `make` returns a new prototype. `expected` holds one output for each of `records`; `same` says
    when two outputs are the same (`==`), for those that hold floats. `bad` are records that must
    be rejected alone. `patience` limits opening and closing, in seconds of the loop's time (10).

    >>> class Doubled(BatchFunction[int, int]):
    ...     async def call(self, records):
    ...         return [2 * record for record in records]
    >>> case = FunctionCase(Doubled, records=range(30), expected=range(0, 60, 2))
    >>> for check in FUNCTION_CHECKS:
    ...     asyncio.run(check(case))
    """

    make: Callable[[], BatchFunction[R, S]]
    records: Sequence[R]
    expected: Sequence[S]
    bad: Sequence[object] = ()
    same: Callable[[S, S], bool] = eq
    patience: float = 10.0


Case = FunctionCase[Any, Any]


@asynccontextmanager
async def _opened(
    case: Case, prototype: BatchFunction[Any, Any]
) -> AsyncGenerator[BatchFunction[Any, Any]]:
    function = instance(prototype)
    try:
        await in_time(function.open(context()), case.patience, "open")
        yield function
    finally:
        await in_time(function.close(), case.patience, "close")


async def _call(caller: Caller, records: Sequence[object]) -> list[object]:
    answer = await caller.call(records)
    for index, (error, _) in answer.rejected.items():
        raise AssertionError(
            f"{records[index]!r} was rejected with {error!r}: the case calls it good"
        ) from error
    return answer.records


async def returns_one_output_for_each_record(case: Case) -> None:
    """The outputs are those expected, one for each record, in order."""
    async with _opened(case, case.make()) as function:
        outputs = await _call(Caller(function), case.records)
    expect(outputs, case.expected, "the outputs", case.same)


async def closes_without_a_call(case: Case) -> None:
    """A function can be closed right after it was opened."""
    async with _opened(case, case.make()):
        pass


async def returns_the_same_however_the_input_is_cut(case: Case) -> None:
    """An output does not depend on what else is in the batch."""
    async with _opened(case, case.make()) as function:
        for cut in _CUTS:
            caller = Caller(function)
            outputs: list[object] = []
            for first in range(0, len(case.records), cut):
                outputs += await _call(caller, case.records[first : first + cut])
            expect(outputs, case.expected, f"the outputs in batches of {cut}", case.same)


async def repeats_itself(case: Case) -> None:
    """A function that says it is repeatable returns the same again."""
    async with _opened(case, case.make()) as function:
        if not function.repeatable:
            return
        for number in range(1, 4):
            outputs, rejected = checked(
                await function.call(list(case.records)), len(case.records), True
            )
            assert not rejected, f"call {number} of the same records rejected {rejected!r}"
            expect(
                outputs,
                case.expected,
                f"the outputs of call {number} with the same records (set repeatable to False, "
                "or let a call leave nothing behind)",
                case.same,
            )


async def calls_at_once_do_not_disturb_each_other(case: Case) -> None:
    """With `max_in_flight` calls at once, each returns its own outputs."""
    async with _opened(case, case.make()) as function:
        most = function.max_in_flight
        if most == 1:
            return
        caller = Caller(function)
        cut = max(1, len(case.records) // most)
        pieces = [case.records[i : i + cut] for i in range(0, len(case.records), cut)]
        room = asyncio.Semaphore(most)

        async def call(records: Sequence[object]) -> list[object]:
            async with room:
                return await _call(caller, records)

        answers = await asyncio.gather(*(call(piece) for piece in pieces))
    outputs = [output for answer in answers for output in answer]
    expect(
        outputs,
        case.expected,
        f"the outputs of {most} calls at once (keep nothing of a call on `self`)",
        case.same,
    )


async def a_bad_record_is_rejected_alone(case: Case) -> None:
    """A bad record is rejected wherever it stands, and the others have their outputs."""
    for bad in case.bad:
        for place in sorted({0, len(case.records) // 2, len(case.records)}):
            batch = [*case.records[:place], bad, *case.records[place:]]
            async with _opened(case, case.make()) as function:
                answer = await Caller(function).call(batch)
            assert place in answer.rejected, (
                f"{bad!r} was not rejected: the case calls it bad, so it must be named in an "
                "Outcome, or raise DataError where the function is repeatable"
            )
            others = sorted(set(answer.rejected) - {place})
            assert not others, (
                f"with {bad!r} in the batch, {len(others)} good records were rejected too: return "
                "an Outcome that names the bad record, or set `repeatable` and raise DataError"
            )
            expect(answer.records, case.expected, f"the outputs around {bad!r}", case.same)


async def copies_share_nothing(case: Case) -> None:
    """When one of two jobs with the same prototype closes, the other goes on."""
    prototype = case.make()
    async with _opened(case, prototype) as function:
        async with _opened(case, prototype) as other:
            await _call(Caller(other), case.records)
        outputs = await _call(Caller(function), case.records)
    expect(
        outputs,
        case.expected,
        "the outputs after another copy was closed (create what is closed in `open`)",
        case.same,
    )


FUNCTION_CHECKS: tuple[Callable[[Case], Coroutine[Any, Any, None]], ...] = (
    returns_one_output_for_each_record,
    closes_without_a_call,
    returns_the_same_however_the_input_is_cut,
    repeats_itself,
    calls_at_once_do_not_disturb_each_other,
    a_bad_record_is_rejected_alone,
    copies_share_nothing,
)
