"""The checks for batch functions: a sound one passes, and each finds the fault it is for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from thalweg.runtime.contracts import BatchFunction, Context, DataError, Outcome
from thalweg.testing import FUNCTION_CHECKS, FunctionCase, run_virtual

Check = Callable[[FunctionCase[Any, Any]], Awaitable[None]]

_RECORDS = list(range(1, 21))
_EXPECTED = [record / 3 for record in _RECORDS]


class Thirds(BatchFunction[int, float]):
    """A sound function: repeatable, several calls at once, refuses a batch with a bad record."""

    repeatable = True
    max_in_flight = 4

    async def open(self, context: Context) -> None:
        self.link: list[str] | None = ["up"]

    async def call(self, records: Sequence[int]) -> Sequence[float] | Outcome[float]:
        if not self.link:
            raise RuntimeError("the connection is closed")
        await asyncio.sleep(1.0 / len(records))
        if any(record < 0 for record in records):
            raise DataError("a record is negative")
        return [record / 3 for record in records]

    async def close(self) -> None:
        self.link = None


class ThirdsByOutcome(BatchFunction[int, float]):
    """A sound function that may be called once only, and names the bad records itself."""

    async def call(self, records: Sequence[int]) -> Outcome[float]:
        rejected: dict[int, Exception] = {
            index: ValueError("negative") for index, record in enumerate(records) if record < 0
        }
        return Outcome([record * (1 / 3) for record in records if record >= 0], rejected)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)


_SOUND: dict[str, FunctionCase[int, float]] = {
    "repeatable": FunctionCase(
        make=Thirds, records=_RECORDS, expected=_EXPECTED, bad=[-1], same=_close
    ),
    "by outcome": FunctionCase(
        make=ThirdsByOutcome, records=_RECORDS, expected=_EXPECTED, bad=[-1], same=_close
    ),
}


@pytest.mark.parametrize("name", _SOUND)
@pytest.mark.parametrize("check", FUNCTION_CHECKS, ids=lambda check: check.__name__)
def test_a_sound_function_passes(check: Check, name: str) -> None:
    run_virtual(lambda: check(_SOUND[name]))


class Backwards(Thirds):
    async def call(self, records: Sequence[int]) -> Sequence[float]:
        return [record / 3 for record in reversed(records)]


class Refuses(Thirds):
    async def call(self, records: Sequence[int]) -> Sequence[float]:
        if 5 in records:
            raise DataError("a 5")
        return [record / 3 for record in records]


class OpensInTheFirstCall(Thirds):
    async def open(self, context: Context) -> None:
        pass

    async def close(self) -> None:
        del self.link


class Normalises(Thirds):
    """Each output depends on the whole batch."""

    async def call(self, records: Sequence[int]) -> Sequence[float]:
        return [record / 3 * len(_RECORDS) / len(records) for record in records]


class Counts(Thirds):
    async def open(self, context: Context) -> None:
        await super().open(context)
        self.calls = 0

    async def call(self, records: Sequence[int]) -> Sequence[float]:
        self.calls += 1
        return [record / 3 + (self.calls > 2) for record in records]


class KeepsTheBatch(Thirds):
    """Keeps on `self` what belongs to one call."""

    async def call(self, records: Sequence[int]) -> Sequence[float]:
        self.batch = records
        await asyncio.sleep(1.0)
        return [record / 3 for record in self.batch]


class RefusesTheBatch(ThirdsByOutcome):
    async def call(self, records: Sequence[int]) -> Outcome[float]:
        if any(record < 0 for record in records):
            raise DataError("a record is negative")
        return await super().call(records)


class TakesAnything(ThirdsByOutcome):
    async def call(self, records: Sequence[int]) -> Outcome[float]:
        return Outcome([record / 3 for record in records])


class SharesItsConnection(Thirds):
    """Closes what all copies use."""

    def __init__(self) -> None:
        self.shared = ["up"]

    async def open(self, context: Context) -> None:
        self.link = self.shared

    async def close(self) -> None:
        self.shared.clear()


_FAULTS: list[tuple[str, Callable[[], BatchFunction[int, float]], str]] = [
    ("returns_one_output_for_each_record", Backwards, "the outputs: number 0 is"),
    ("returns_one_output_for_each_record", Refuses, "5 was rejected with DataError"),
    ("closes_without_a_call", OpensInTheFirstCall, "link"),
    ("returns_the_same_however_the_input_is_cut", Normalises, "in batches of 1: number 0"),
    ("repeats_itself", Counts, "call 3 with the same records .set repeatable to False"),
    ("calls_at_once_do_not_disturb_each_other", KeepsTheBatch, "keep nothing of a call"),
    ("a_bad_record_is_rejected_alone", RefusesTheBatch, "20 good records were rejected too"),
    ("a_bad_record_is_rejected_alone", TakesAnything, "-1 was not rejected"),
    ("copies_share_nothing", SharesItsConnection, "the connection is closed"),
]


@pytest.mark.parametrize(("name", "make", "message"), _FAULTS)
def test_each_fault_is_found(
    name: str, make: Callable[[], BatchFunction[int, float]], message: str
) -> None:
    (check,) = (check for check in FUNCTION_CHECKS if check.__name__ == name)
    case = FunctionCase(make=make, records=_RECORDS, expected=_EXPECTED, bad=[-1], same=_close)
    with pytest.raises(Exception, match=message):
        run_virtual(lambda: check(case))


def test_each_check_has_a_fault_that_it_finds() -> None:
    assert {name for name, *_ in _FAULTS} == {check.__name__ for check in FUNCTION_CHECKS}
