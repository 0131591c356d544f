"""What a record went through: bounded, and nothing in it holds records."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Sequence

import pytest

from thalweg import BusyError, DataError, Retry, UnavailableError
from thalweg.runtime.attempts import Attempts, Repeatable
from thalweg.runtime.clock import Clock
from thalweg.runtime.counts import NodeCounts
from thalweg.runtime.trail import Attempt, Trail
from thalweg.testing import run_virtual

RETRY = Retry(attempts=3, first=1.0, longest=2.0, when_down="failed")


def _attempts(call: Repeatable, retry: Retry = RETRY) -> Attempts:
    return Attempts(
        call,
        retry=retry,
        timeout=10.0,
        clock=Clock(asyncio.get_running_loop()),
        counts=NodeCounts("node", "function", None),
        chance=random.Random(0),
        max_in_flight=8,
    )


def test_each_try_is_there_with_its_class_its_wait_and_the_records_that_were_asked_for() -> None:
    async def main() -> tuple[Attempt, ...]:
        says: list[Exception] = [
            BusyError("come back later", retry_after=5.0),
            UnavailableError("answered 500", answered=True),
        ]

        async def call(records: Sequence[object]) -> object:
            if says:
                raise says.pop(0)
            if 3 in records:
                raise DataError("3 is no number")
            return list(records)

        answer = await _attempts(call).run([1, 2, 3, 4])
        assert answer.records == [1, 2, 4]
        ((error, trail),) = answer.rejected.values()
        assert isinstance(error, DataError)
        assert trail is not None
        assert trail.count == 5
        return trail.attempts

    busy, broken, batch, half, alone = run_virtual(main)
    assert (busy.error, busy.message, busy.records) == ("BusyError", "come back later", 4)
    assert 5.0 <= busy.waited <= 6.0
    assert (broken.number, broken.error) == (2, "UnavailableError")
    assert 0.0 < broken.waited <= 1.0
    told = [(one.number, one.error, one.records, one.waited) for one in (batch, half, alone)]
    assert told == [(3, "DataError", 4, 0.0), (4, "DataError", 2, 0.0), (5, "DataError", 1, 0.0)]


def test_of_many_tries_the_first_and_the_last_are_kept_and_the_numbers_tell_of_the_rest() -> None:
    async def main() -> Trail:
        count = 0

        async def call(records: Sequence[object]) -> object:
            nonlocal count
            if records == ["good"]:
                return records
            count += 1
            if count <= 5_000:
                raise BusyError(f"busy {count}", retry_after=1.0)
            raise DataError("x" * 10_000)

        attempts = _attempts(call)
        await attempts.run(["good"])
        answer = await attempts.run([1])
        ((_, trail),) = answer.rejected.values()
        assert trail is not None
        return trail

    trail = run_virtual(main)
    assert trail.count == 5_001
    assert [one.number for one in trail.attempts] == [1, 2, 3, 4_999, 5_000, 5_001]
    assert [one.message for one in trail.attempts[:-1]] == [
        "busy 1", "busy 2", "busy 3", "busy 4999", "busy 5000",
    ]  # fmt: skip
    assert len(trail.attempts[-1].message) == 301
    assert all(one.waited >= 1.0 for one in trail.attempts[:-1])


def test_the_wait_behind_a_breaker_that_is_open_counts() -> None:
    async def main() -> tuple[Attempt, ...]:
        up = False

        async def call(records: Sequence[object]) -> object:
            if not up:
                raise UnavailableError("refused")
            raise DataError("bad")

        attempts = _attempts(call, Retry(attempts=1, first=20.0, longest=20.0))
        asked = asyncio.create_task(attempts.run([1]))
        await asyncio.sleep(1.0)
        up = True
        ((_, trail),) = (await asked).rejected.values()
        assert trail is not None
        return trail.attempts

    silent, refused = run_virtual(main)
    assert (silent.error, refused.error) == ("UnavailableError", "DataError")
    assert silent.waited >= 10.0


def test_two_halves_go_their_own_ways() -> None:
    start = Trail.after(None, DataError("both"), 2)
    left = Trail.after(start, DataError("left"), 1)
    right = Trail.after(start.waited(1.0), DataError("right"), 1)
    assert [one.message for one in left.attempts] == ["both", "left"]
    assert [one.message for one in right.attempts] == ["both", "right"]
    assert (left.attempts[0].waited, right.attempts[0].waited) == (0.0, 1.0)


def test_a_trail_keeps_no_record_alive() -> None:
    class Record:
        pass

    def trail_of(record: Record) -> Trail:
        try:
            raise DataError("bad")
        except DataError as error:
            return Trail.after(None, error, 1)

    record = Record()
    gone = weakref.ref(record)
    trail = trail_of(record)
    del record
    gc.collect()
    assert gone() is None
    assert trail.count == 1


@pytest.mark.parametrize("bad", [0, 63])
def test_where_nothing_fails_there_is_no_trail(bad: int) -> None:
    async def main() -> None:
        from thalweg import Outcome

        async def call(records: Sequence[object]) -> object:
            good = [record for record in records if record != bad]
            return Outcome(good, {bad: DataError("told by the function itself")})

        answer = await _attempts(call).run(list(range(64)))
        assert answer.rejected[bad][1] is None

    run_virtual(main)
