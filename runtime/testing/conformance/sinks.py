"""The checks for sinks."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from ...contracts import Sink
from ..caller import Caller
from ..contexts import context, instance
from .expecting import expect, in_time

__all__ = ["SINK_CHECKS", "SinkCase"]

R = TypeVar("R")


# Without slots: on Python 3.11, `Case[int](…)` fails for a frozen generic class that has them.
@dataclass(frozen=True)
class SinkCase(Generic[R]):
    """A sink, what it is given, and how to read it back.

    `make` returns a new prototype that writes to the target; `read_back`, plain or async, returns
    the records that the target holds now. Each check needs a target of its own, new and empty.
    `bad` are records that must be rejected alone. `again` says what a second job does with what
    the first one wrote: "replaces" or "appends". `patience` limits opening and closing, in seconds
    of the loop's time (10).

    >>> import asyncio
    >>> from thalweg.operators import sinks
    >>> async def run(check):
    ...     held = []
    ...     await check(SinkCase(lambda: sinks.collect(held), range(30), lambda: held,
    ...                          again="appends"))
    >>> for check in SINK_CHECKS:
    ...     asyncio.run(run(check))
    """

    make: Callable[[], Sink[R]]
    records: Sequence[R]
    read_back: Callable[[], Sequence[R] | Awaitable[Sequence[R]]]
    bad: Sequence[object] = ()
    again: Literal["replaces", "appends"] = "replaces"
    patience: float = 10.0

    def __post_init__(self) -> None:
        if self.again not in ("replaces", "appends"):
            raise ValueError(f"again is 'replaces' or 'appends', not {self.again!r}")


Case = SinkCase[Any]


@asynccontextmanager
async def _opened(case: Case) -> AsyncGenerator[Sink[Any]]:
    sink = instance(case.make())
    try:
        await in_time(sink.open(context()), case.patience, "open")
        yield sink
    finally:
        await in_time(sink.close(), case.patience, "close")


async def _write(sink: Sink[Any], records: Sequence[object]) -> None:
    answer = await Caller(sink).call(records)
    for index, (error, _) in answer.rejected.items():
        raise AssertionError(
            f"{records[index]!r} was rejected with {error!r}: the case calls it good"
        ) from error


async def _held(case: Case) -> Sequence[object]:
    held = case.read_back()
    return await held if inspect.isawaitable(held) else held


async def writes_in_order(case: Case) -> None:
    """What was written stands in the target, in order, however it was cut."""
    batches: list[Sequence[object]] = []
    rest = case.records
    for size in (1, 2, 7):
        batches.append(rest[:size])
        rest = rest[size:]
    batches.append(rest)
    async with _opened(case) as sink:
        for batch in batches:
            if batch:
                await _write(sink, batch)
    expect(await _held(case), case.records, "the records in the target")


async def has_delivered_when_write_returns(case: Case) -> None:
    """`write` returns when the records can be read back, not before."""
    async with _opened(case) as sink:
        for count, record in enumerate(case.records, start=1):
            await _write(sink, [record])
            expect(
                await _held(case),
                case.records[:count],
                f"the records in the target right after write number {count} (flush, or await "
                "the answer, before `write` returns)",
            )


async def a_job_without_records_leaves_an_empty_target(case: Case) -> None:
    """A sink that is opened and closed leaves a target that is valid and empty."""
    async with _opened(case):
        pass
    expect(await _held(case), [], "the records in the target of a job without records")


async def a_bad_record_is_rejected_alone(case: Case) -> None:
    """A bad record is told by `Outcome.rejected`, and the others are delivered."""
    if not case.bad:
        return
    middle = len(case.records) // 2
    batch = [*case.records[:middle], *case.bad, *case.records[middle:]]
    places = range(middle, middle + len(case.bad))
    async with _opened(case) as sink:
        try:
            answer = await Caller(sink).call(batch)
        except Exception as error:
            raise AssertionError(
                f"with {list(case.bad)!r} in the batch, write raised {error!r}: return "
                "Outcome([], rejected={index: error}) and deliver the others"
            ) from error
    assert sorted(answer.rejected) == list(places), (
        f"the records at {sorted(answer.rejected)} of the batch were rejected, but the bad ones "
        f"stand at {list(places)}: name each of them in Outcome.rejected by its index"
    )
    expect(await _held(case), case.records, "the records in the target, written with bad ones")


async def a_second_job_replaces_or_appends(case: Case) -> None:
    """A second job does with the first one's records what the case says."""
    for _ in range(2):
        async with _opened(case) as sink:
            if case.records:
                await _write(sink, case.records)
    expected = list(case.records) * (2 if case.again == "appends" else 1)
    expect(await _held(case), expected, f"the records in the target, which a job {case.again}")


SINK_CHECKS: tuple[Callable[[Case], Coroutine[Any, Any, None]], ...] = (
    writes_in_order,
    has_delivered_when_write_returns,
    a_job_without_records_leaves_an_empty_target,
    a_bad_record_is_rejected_alone,
    a_second_job_replaces_or_appends,
)
