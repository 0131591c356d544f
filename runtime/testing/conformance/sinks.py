"""The checks for sinks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ..caller import Caller
from .committing import COMMIT_CHECKS
from .expecting import expect
from .writing import SinkCase, held, opened, write

__all__ = ["SINK_CHECKS", "SinkCase"]

Case = SinkCase[Any]


async def writes_in_order(case: Case) -> None:
    """What was written stands in the target, in order, however it was cut."""
    batches: list[Sequence[object]] = []
    rest = case.records
    for size in (1, 2, 7):
        batches.append(rest[:size])
        rest = rest[size:]
    batches.append(rest)
    async with opened(case) as sink:
        for batch in batches:
            if batch:
                await write(sink, batch)
    expect(await held(case), case.records, "the records in the target")


async def has_delivered_when_write_returns(case: Case) -> None:
    """`write` returns when the records can be read back, not before."""
    if case.delivered == "close":
        return
    async with opened(case) as sink:
        for count, record in enumerate(case.records, start=1):
            await write(sink, [record])
            expect(
                await held(case),
                case.records[:count],
                f"the records in the target right after write number {count} (flush, or await "
                "the answer, before `write` returns)",
            )


async def a_job_without_records_leaves_an_empty_target(case: Case) -> None:
    """A sink that is opened and closed leaves a target that is valid and empty."""
    async with opened(case):
        pass
    expect(await held(case), [], "the records in the target of a job without records")


async def a_bad_record_is_rejected_alone(case: Case) -> None:
    """A bad record is told by `Outcome.rejected`, and the others are delivered."""
    if not case.bad:
        return
    middle = len(case.records) // 2
    batch = [*case.records[:middle], *case.bad, *case.records[middle:]]
    places = range(middle, middle + len(case.bad))
    async with opened(case) as sink:
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
    expect(await held(case), case.records, "the records in the target, written with bad ones")


async def a_second_job_replaces_or_appends(case: Case) -> None:
    """A second job does with the first one's records what the case says."""
    for _ in range(2):
        async with opened(case) as sink:
            if case.records:
                await write(sink, case.records)
    expected = list(case.records) * (2 if case.again == "appends" else 1)
    expect(await held(case), expected, f"the records in the target, which a job {case.again}")


SINK_CHECKS: tuple[Callable[[Case], Coroutine[Any, Any, None]], ...] = (
    writes_in_order,
    has_delivered_when_write_returns,
    a_job_without_records_leaves_an_empty_target,
    a_bad_record_is_rejected_alone,
    a_second_job_replaces_or_appends,
    *COMMIT_CHECKS,
)
