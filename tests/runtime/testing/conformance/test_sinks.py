"""The checks for sinks: a sound sink passes them all, and each finds the fault it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import pytest

from thalweg.runtime.contracts import Context, Outcome, Sink
from thalweg.runtime.testing.conformance.committing import COMMIT_CHECKS
from thalweg.testing import SINK_CHECKS, CollectingSink, SinkCase, run_virtual

Check = Callable[[SinkCase[Any]], Awaitable[None]]

_RECORDS = list(range(20))


class Table(Sink[int]):
    """A sound sink: it replaces what an earlier job wrote, and rejects what is negative."""

    def __init__(self, target: dict[str, list[int]]) -> None:
        self.target = target

    async def open(self, context: Context) -> None:
        self.target["rows"] = []

    async def write(self, records: Sequence[int]) -> Outcome[None] | None:
        await asyncio.sleep(0)
        self.target["rows"].extend(record for record in records if record >= 0)
        return Outcome([], {i: ValueError("negative") for i, n in enumerate(records) if n < 0})


def _case(
    make: Callable[[dict[str, list[int]]], Sink[int]] = Table,
    again: Literal["replaces", "appends"] = "replaces",
) -> SinkCase[int]:
    target: dict[str, list[int]] = {}
    return SinkCase(
        make=lambda: make(target),
        records=_RECORDS,
        read_back=lambda: target["rows"],
        bad=[-1, -2],
        again=again,
    )


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_a_sound_sink_passes(check: Check) -> None:
    run_virtual(lambda: check(_case()))


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_the_collecting_sink_passes(check: Check) -> None:
    sink: CollectingSink[int] = CollectingSink()

    async def read_back() -> list[int]:
        return sink.records

    case = SinkCase(make=lambda: sink, records=_RECORDS, read_back=read_back, again="appends")
    run_virtual(lambda: check(case))


class Sorts(Table):
    async def write(self, records: Sequence[int]) -> Outcome[None] | None:
        self.target["rows"] = [*records, *self.target["rows"]]
        return None


class Refuses(Table):
    async def write(self, records: Sequence[int]) -> Outcome[None] | None:
        return Outcome([], {0: ValueError("I do not like it")})


class Buffers(Table):
    async def open(self, context: Context) -> None:
        await super().open(context)
        self.buffer: list[int] = []

    async def write(self, records: Sequence[int]) -> Outcome[None] | None:
        self.buffer.extend(records)
        return None

    async def close(self) -> None:
        self.target["rows"].extend(self.buffer)


class OpensInTheFirstWrite(Table):
    async def open(self, context: Context) -> None:
        pass

    async def write(self, records: Sequence[int]) -> Outcome[None] | None:
        self.target.setdefault("rows", [])
        return await super().write(records)


class LeavesAMark(Table):
    async def close(self) -> None:
        if not self.target["rows"]:
            self.target["rows"].append(0)


class RaisesForABadRecord(Table):
    async def write(self, records: Sequence[int]) -> Outcome[None] | None:
        if any(record < 0 for record in records):
            raise ValueError("negative")
        return await super().write(records)


class StopsAtABadRecord(Table):
    async def write(self, records: Sequence[int]) -> Outcome[None] | None:
        for index, record in enumerate(records):
            if record < 0:
                return Outcome([], {index: ValueError("negative")})
            self.target["rows"].append(record)
        return None


class ForgetsTheRest(Table):
    async def write(self, records: Sequence[int]) -> Outcome[None] | None:
        bad = [index for index, record in enumerate(records) if record < 0]
        await super().write(records[: bad[0]] if bad else records)
        return Outcome([], {index: ValueError("negative") for index in bad})


class Appends(Table):
    async def open(self, context: Context) -> None:
        self.target.setdefault("rows", [])


_FAULTS: list[tuple[str, Callable[[dict[str, list[int]]], Sink[int]], str]] = [
    ("writes_in_order", Sorts, "the records in the target: number 0 is 10, not 0"),
    ("writes_in_order", Refuses, "0 was rejected with ValueError"),
    ("has_delivered_when_write_returns", Buffers, "right after write number 1 .flush"),
    ("a_job_without_records_leaves_an_empty_target", OpensInTheFirstWrite, "rows"),
    ("a_job_without_records_leaves_an_empty_target", LeavesAMark, "1 came, not 0"),
    ("a_bad_record_is_rejected_alone", RaisesForABadRecord, r"return Outcome\(\[\], rejected="),
    ("a_bad_record_is_rejected_alone", StopsAtABadRecord, r"at \[10\] of the batch"),
    ("a_bad_record_is_rejected_alone", ForgetsTheRest, "the first that is missing is 10"),
    ("a_second_job_replaces_or_appends", Appends, "a job replaces: 40 came, not 20"),
]


@pytest.mark.parametrize(("name", "make", "message"), _FAULTS)
def test_each_fault_is_found(
    name: str, make: Callable[[dict[str, list[int]]], Sink[int]], message: str
) -> None:
    (check,) = (check for check in SINK_CHECKS if check.__name__ == name)
    with pytest.raises((AssertionError, KeyError), match=message):
        run_virtual(lambda: check(_case(make)))


def test_a_sink_that_appends_may_say_so() -> None:
    (check,) = (each for each in SINK_CHECKS if each.__name__ == "a_second_job_replaces_or_appends")
    run_virtual(lambda: check(_case(Appends, "appends")))
    with pytest.raises(AssertionError, match="a job appends: 20 came, not 40"):
        run_virtual(lambda: check(_case(Table, "appends")))


def test_each_check_has_a_fault_that_it_finds() -> None:
    plain = {check.__name__ for check in SINK_CHECKS if check not in COMMIT_CHECKS}
    assert {name for name, *_ in _FAULTS} == plain


def test_a_case_knows_two_ways_to_write_again() -> None:
    with pytest.raises(ValueError, match="again is 'replaces' or 'appends', not 'adds'"):
        _case(again="adds")  # type: ignore[arg-type]


class ShowsAtTheEnd(Buffers):
    """As a file that can be read only when it is whole."""


def test_a_sink_that_shows_at_the_end_may_say_so() -> None:
    target: dict[str, list[int]] = {}
    case = SinkCase(
        lambda: ShowsAtTheEnd(target), _RECORDS, lambda: target["rows"], delivered="close"
    )
    for check in SINK_CHECKS:
        asyncio.run(check(case))
    with pytest.raises(ValueError, match="delivered is 'write' or 'close', not 'never'"):
        SinkCase(lambda: Table({}), [], list, delivered="never")  # type: ignore[arg-type]
