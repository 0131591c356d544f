"""Repeated calls: patience, halving, and who is to blame."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import pytest

from thalweg import (
    BusyError,
    DataError,
    MisconfiguredError,
    Outcome,
    Retry,
    UnavailableError,
)
from thalweg.runtime.answers import Answer
from thalweg.runtime.attempts import Attempts, Repeatable
from thalweg.runtime.clock import Clock
from thalweg.runtime.counts import NodeCounts
from thalweg.runtime.errors import RuntimeFault
from thalweg.testing import run_virtual

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Server:
    """Answers as `reply` says, and writes down what it was asked and when."""

    def __init__(self, reply: Callable[[Sequence[object]], object]) -> None:
        self.reply = reply
        self.asked: list[list[object]] = []
        self.at: list[float] = []
        self.takes = 0.0

    async def __call__(self, records: Sequence[object], /) -> object:
        self.asked.append(list(records))
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        return self.reply(records)

    def pauses(self) -> list[float]:
        return [round(b - a, 6) for a, b in zip(self.at, self.at[1:], strict=False)]


def _attempts(
    server: Repeatable,
    retry: Retry | None = None,
    *,
    timeout: float = 60.0,
    seed: int = 0,
    max_in_flight: int = 64,
    divide: Literal["halves", "singly"] = "halves",
) -> Attempts:
    return Attempts(
        server,
        retry=retry or Retry(),
        timeout=timeout,
        clock=Clock(asyncio.get_running_loop(), wall=1_000_000.0),
        counts=NodeCounts("node", "function", None),
        chance=random.Random(seed),
        max_in_flight=max_in_flight,
        divide=divide,
    )


def _double(records: Sequence[object]) -> list[object]:
    return [2 * record for record in records if isinstance(record, int)]


def _refuse(*bad: int, error: Callable[[], Exception]) -> Callable[[Sequence[object]], object]:
    def reply(records: Sequence[object]) -> object:
        if any(record in bad for record in records):
            raise error()
        return _double(records)

    return reply


def _broken() -> Exception:
    return UnavailableError("HTTP 500", answered=True)


def _bad() -> Exception:
    return DataError("bad row")


def _check(answer: Answer, records: Sequence[int], bad: Sequence[int]) -> None:
    """Every result belongs to its record, in order, and exactly the bad ones are rejected."""
    assert [records[index] for index in sorted(answer.rejected)] == list(bad)
    assert answer.records == [2 * record for record in records if record not in bad]


def _run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(100_000):
            await main()

    run_virtual(limited)


# The data


@pytest.mark.parametrize("count", [2, 3, 64, 100, 1000])
@pytest.mark.parametrize("place", [0, -1, 0.5])
def test_one_bad_record_is_found_with_few_calls(count: int, place: float) -> None:
    async def main() -> None:
        bad = int(count * place) if place > 0 else range(count)[int(place)]
        server = Server(_refuse(bad, error=lambda: DataError("bad row")))
        answer = await _attempts(server).run(list(range(count)))
        _check(answer, range(count), [bad])
        assert len(server.asked) <= 1 + 2 * math.ceil(math.log2(count))
        error, trail = answer.rejected[bad]
        assert isinstance(error, DataError)
        assert trail is not None
        assert trail.count == sum(bad in batch for batch in server.asked)

    _run(main)


def test_any_set_of_bad_records_is_found() -> None:
    chance = random.Random(3)

    async def main() -> None:
        for _ in range(100):
            count = chance.randrange(2, 40)
            bad = sorted(chance.sample(range(count), chance.randrange(count)))
            server = Server(_refuse(*bad, error=lambda: DataError("bad row")))
            answer = await _attempts(server).run(list(range(count)))
            _check(answer, range(count), bad)

    _run(main)


def test_what_the_call_itself_rejects_is_taken_as_it_is() -> None:
    async def main() -> None:
        def reply(records: Sequence[object]) -> object:
            odd = {
                i: ValueError("odd") for i, r in enumerate(records) if isinstance(r, int) and r % 2
            }
            return Outcome([0 for _ in range(len(records) - len(odd))], odd)

        server = Server(reply)
        answer = await _attempts(server).run([1, 2, 3, 4, 5])
        assert sorted(answer.rejected) == [0, 2, 4]
        assert answer.records == [0, 0]
        assert len(server.asked) == 1
        everything = await _attempts(server).run([1, 3])
        assert sorted(everything.rejected) == [0, 1]
        assert everything.rejected[0][1] is None

    _run(main)


def test_everything_refused_and_nothing_ever_passed_is_a_failure() -> None:
    async def main() -> None:
        server = Server(_refuse(*range(12), error=lambda: DataError("no such column")))
        attempts = _attempts(server)
        # A few bad records at the very beginning may be bad luck, wherever batches are cut.
        assert sorted((await attempts.run([0, 1, 2])).rejected) == [0, 1, 2]
        assert sorted((await attempts.run([3])).rejected) == [0]
        with pytest.raises(MisconfiguredError, match=r"none has ever passed.*no such column"):
            await attempts.run(list(range(4, 12)))

    _run(main)


def test_everything_refused_is_the_data_when_a_good_record_still_passes() -> None:
    async def main() -> None:
        server = Server(_refuse(*range(8), error=lambda: DataError("bad row")))
        attempts = _attempts(server)
        await attempts.run([8, 9])
        _check(await attempts.run(list(range(8))), range(8), range(8))
        assert server.asked[-1] in ([8], [9])

    _run(main)


def test_everything_refused_with_a_record_that_passed_before_is_a_failure() -> None:
    async def main() -> None:
        server = Server(_double)
        attempts = _attempts(server)
        await attempts.run([8, 9])
        server.reply = _refuse(*range(10), error=lambda: DataError("no such model"))
        with pytest.raises(MisconfiguredError, match="so was one that passed before"):
            await attempts.run(list(range(8)))

    _run(main)


def test_it_is_not_the_data_when_no_batch_of_one_record_passes_any_more() -> None:
    async def main() -> None:
        server = Server(_double)
        attempts = _attempts(server)
        await attempts.run([0])
        server.reply = _refuse(*range(1, 1000), error=_bad)
        for n in range(1, 100):
            _check(await attempts.run([n]), [n], [n])
        # One that passed before is asked for now and then, and as long as it passes all is well.
        assert 9 <= server.asked.count([0]) <= 11
        server.reply = _raise(_bad())
        calls = [attempts.run([n]) for n in range(100, 120)]
        with pytest.raises(MisconfiguredError, match=r"each of 10 rec.*one that passed before"):
            await asyncio.gather(*calls)

    _run(main)


# The number of results


@pytest.mark.parametrize("wrong", [0, 1, 3, 5])
def test_a_wrong_number_of_results_is_never_assigned(wrong: int) -> None:
    async def main() -> None:
        def reply(records: Sequence[object]) -> object:
            return [0] * wrong if 7 in records else _double(records)

        server = Server(reply)
        attempts = _attempts(server, Retry(attempts=2))
        await attempts.run([1, 2, 3])
        records = [4, 5, 6, 7]
        answer = await attempts.run([*records])
        if wrong == 1:
            # Alone, the record does get one result, and that is its own.
            assert answer.records == [8, 10, 12, 0]
        else:
            _check(answer, records, [7])
            assert "results" in str(answer.rejected[3][0])

    _run(main)


def test_rejecting_a_record_that_is_not_there_is_a_fault() -> None:
    async def main() -> None:
        server = Server(lambda records: Outcome[int]([], {5: ValueError("who?")}))
        with pytest.raises(RuntimeFault, match=r"\[5\] of a batch of 2"):
            await _attempts(server).run([1, 2])

    _run(main)


# Patience


def test_pauses_grow_with_full_jitter_up_to_the_longest() -> None:
    retry = Retry(attempts=6, first=0.1, longest=0.5)

    async def main() -> None:
        pauses: list[list[float]] = []
        for seed in range(200):
            left = 6

            def reply(records: Sequence[object]) -> object:
                nonlocal left
                left -= 1
                if left:
                    raise UnavailableError("refused")
                return _double(records)

            server = Server(reply)
            await _attempts(server, retry, seed=seed).run([1])
            pauses.append(server.pauses())
        for number, ceiling in enumerate([0.1, 0.2, 0.4, 0.5, 0.5]):
            several = [one[number] for one in pauses]
            assert max(several) <= ceiling
            assert max(several) > 0.9 * ceiling
            assert min(several) < 0.1 * ceiling

    _run(main)


@pytest.mark.parametrize("told", ["after", "at"])
def test_advice_to_wait_is_honoured(told: str) -> None:
    async def main() -> None:
        left = 4

        def reply(records: Sequence[object]) -> object:
            nonlocal left
            left -= 1
            if left:
                if told == "after":
                    raise BusyError("429", retry_after=30.0)
                wall = 1_000_000.0 + asyncio.get_running_loop().time() - began
                raise BusyError("503", retry_at=wall + 30.0)
            return _double(records)

        began = asyncio.get_running_loop().time()
        server = Server(reply)
        answer = await _attempts(server).run([1])
        assert answer.records == [2]
        assert all(30.0 <= pause <= 31.1 for pause in server.pauses())

    _run(main)


def test_busy_is_waited_out_however_long_it_lasts_and_costs_no_retries() -> None:
    async def main() -> None:
        replies = [*[BusyError("429", retry_after=1.0)] * 20, UnavailableError("refused")]

        def reply(records: Sequence[object]) -> object:
            if replies:
                raise replies.pop(0)
            return _double(records)

        server = Server(reply)
        answer = await _attempts(server, Retry(attempts=2, when_down="fail")).run([1])
        assert answer.records == [2]
        assert len(server.asked) == 22

    _run(main)


def test_advice_from_the_past_or_from_the_far_future_is_bounded() -> None:
    async def main() -> None:
        replies: list[Exception] = [
            BusyError("x", retry_at=5.0),
            BusyError("x", retry_after=1e9),
            BusyError("x", retry_after=-5.0),
        ]

        def reply(records: Sequence[object]) -> object:
            if replies:
                raise replies.pop(0)
            return _double(records)

        server = Server(reply)
        await _attempts(server).run([1])
        first, second, third = server.pauses()
        assert first <= 0.1
        assert 600 <= second <= 602
        assert third <= 0.4  # the backoff of a third try

    _run(main)


def test_a_call_without_an_answer_times_out_and_is_made_again() -> None:
    async def main() -> None:
        server = Server(_double)
        server.takes = 100.0

        def heal() -> None:
            server.takes = 0.0

        asyncio.get_running_loop().call_later(7.0, heal)
        answer = await _attempts(server, timeout=2.0).run([1])
        assert answer.records == [2]
        assert 4 <= len(server.asked) <= 5

    _run(main)


# The other side


def test_silence_is_never_blamed_on_the_data() -> None:
    async def main() -> None:
        server = Server(_refuse(3, error=lambda: UnavailableError("refused")))
        attempts = _attempts(server, Retry(attempts=2, longest=1.0))
        await attempts.run([1])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(500):
                await attempts.run([1, 2, 3])
        assert all(len(asked) in (1, 3) for asked in server.asked)
        assert len(server.asked) > 300

    _run(main)


@pytest.mark.parametrize("evidence", ["others", "known", "none"])
def test_a_row_that_gets_a_500_is_found_when_the_server_works_otherwise(evidence: str) -> None:
    async def main() -> None:
        server = Server(_refuse(37, error=_broken))
        attempts = _attempts(server, Retry(attempts=3))
        others: asyncio.Task[None] | None = None

        async def go_on() -> None:
            while True:
                await asyncio.sleep(0.05)
                await attempts.run([1000])

        if evidence == "others":
            others = asyncio.create_task(go_on())
        elif evidence == "known":
            await attempts.run([1000])
        answer = await attempts.run(list(range(64)))
        _check(answer, range(64), [37])
        assert isinstance(answer.rejected[37][0], UnavailableError)
        if others is not None:
            others.cancel()
            await asyncio.wait([others])
        else:
            # Patient once, then no longer: about three calls of the whole, two of each half.
            assert len(server.asked) < 50

    _run(main)


def test_several_rows_at_the_ends_that_get_a_500_are_found_at_the_very_start() -> None:
    async def main() -> None:
        server = Server(_refuse(0, 63, error=_broken))
        answer = await _attempts(server, Retry(attempts=2, longest=1.0)).run(list(range(64)))
        _check(answer, range(64), [0, 63])

    _run(main)


def test_a_broken_server_is_waited_for_and_no_record_is_given_up() -> None:
    async def main() -> None:
        server = Server(_double)
        attempts = _attempts(server, Retry(attempts=3, longest=2.0))
        await attempts.run([1])
        server.reply = _refuse(*range(1000), error=_broken)

        def heal() -> None:
            server.reply = _double

        asyncio.get_running_loop().call_later(3600.0, heal)
        answer = await attempts.run(list(range(64)))
        _check(answer, range(64), [])
        # Patient, not busy: a try and a probe every 1 to 2 seconds.
        assert len(server.asked) < 2 * 3600 + 20

    _run(main)


@pytest.mark.parametrize("size", [1, 8])
def test_calls_that_passed_before_the_server_broke_are_no_evidence(size: int) -> None:
    async def main() -> None:
        for broken_at in (0.03 * number for number in range(1, 16)):
            server = Server(_double)
            server.takes = 0.04
            attempts = _attempts(server, Retry(attempts=3, first=0.05, longest=0.5))
            loop = asyncio.get_running_loop()
            began = loop.time()

            def reply(
                records: Sequence[object], began: float = began, broken_at: float = broken_at
            ) -> object:
                if broken_at <= asyncio.get_running_loop().time() - began < 5.0:
                    raise _broken()
                return _double(records)

            server.reply = reply

            async def client(number: int, attempts: Attempts = attempts) -> Answer:
                await asyncio.sleep(0.013 * number)
                return await attempts.run(list(range(size * number, size * number + size)))

            for number, answer in enumerate(await asyncio.gather(*map(client, range(30)))):
                _check(answer, range(size * number, size * number + size), [])

    _run(main)


def test_down_can_be_told_to_fail_or_to_give_the_records_up() -> None:
    async def main() -> None:
        server = Server(_refuse(*range(10), error=lambda: UnavailableError("refused")))
        retry = Retry(attempts=3, when_down="fail")
        with pytest.raises(MisconfiguredError, match="given up after 3 tries: refused"):
            await _attempts(server, retry).run([1, 2])
        assert len(server.asked) == 3
        retry = Retry(attempts=3, when_down="failed")
        answer = await _attempts(server, retry).run([1, 2])
        assert answer.records == []
        trails = [trail for _, trail in answer.rejected.values()]
        assert [trail and trail.count for trail in trails] == [3, 3]

    _run(main)


def test_what_can_never_succeed_fails_at_once() -> None:
    async def main() -> None:
        def reply(records: Sequence[object]) -> object:
            raise MisconfiguredError("no such model")

        server = Server(reply)
        with pytest.raises(MisconfiguredError, match="no such model"):
            await _attempts(server).run([1, 2])
        assert len(server.asked) == 1

    _run(main)


# Down, busy, paused


def test_while_the_other_side_is_down_one_call_asks_for_all() -> None:
    async def main() -> None:
        up = False

        def reply(records: Sequence[object]) -> object:
            if not up:
                raise UnavailableError("connection refused")
            return _double(records)

        server = Server(reply)
        attempts = _attempts(server, Retry(attempts=2, first=0.1, longest=10.0), max_in_flight=8)
        calls = [asyncio.create_task(attempts.run([n])) for n in range(8)]
        await asyncio.sleep(60.0)
        assert attempts.breaker.is_open
        assert attempts.breaker.opened == 1
        late = [at for at in server.at if at > 1.0]
        assert 6 <= len(late) <= 60 / 5 + 1
        assert len(set(late)) == len(late)
        up = True
        answers = await asyncio.gather(*calls)
        assert [answer.records for answer in answers] == [[2 * n] for n in range(8)]
        assert not attempts.breaker.is_open

    _run(main)


def test_the_call_that_asks_for_all_may_be_cancelled() -> None:
    async def main() -> None:
        server = Server(lambda records: 1 / 0)
        server.reply = _raise(UnavailableError("connection refused"))
        server.takes = 1.0
        attempts = _attempts(server, Retry(attempts=1, first=0.1, longest=1.0), max_in_flight=4)
        calls = [asyncio.create_task(attempts.run([n])) for n in range(4)]
        for call in calls[:3]:
            await asyncio.sleep(10.0)
            call.cancel()
        server.reply = _double
        assert (await calls[3]).records == [6]

    _run(main)


@pytest.mark.parametrize("refusal", [_bad, _broken])
def test_the_call_that_asks_for_all_may_be_the_one_with_the_bad_record(
    refusal: Callable[[], Exception],
) -> None:
    async def main() -> None:
        server = Server(_double)
        attempts = _attempts(server, Retry(attempts=2, first=0.1, longest=1.0))
        await attempts.run([100])
        server.reply = _raise(UnavailableError("connection refused"))
        calls = [asyncio.create_task(attempts.run(list(range(n, n + 8)))) for n in (0, 8)]
        await asyncio.sleep(10.0)
        assert attempts.breaker.is_open
        server.reply = _refuse(3, 11, error=refusal)
        async with asyncio.timeout(60.0):
            first, second = await asyncio.gather(*calls)
        _check(first, range(8), [3])
        _check(second, range(8, 16), [11])
        assert not attempts.breaker.is_open

    _run(main)


def _raise(error: Exception) -> Callable[[Sequence[object]], object]:
    def reply(records: Sequence[object]) -> object:
        raise error

    return reply


def test_after_a_refusal_fewer_calls_run_at_once_and_then_more_again() -> None:
    async def main() -> None:
        running = most = 0
        allowed = 4

        async def call(records: Sequence[object], /) -> object:
            nonlocal running, most
            running += 1
            try:
                await asyncio.sleep(1.0)
                most = max(most, running)
                if running > allowed:
                    raise BusyError("too many", retry_after=0.5)
                return _double(records)
            finally:
                running -= 1

        attempts = _attempts(call, max_in_flight=16)
        answers = await asyncio.gather(*(attempts.run([n]) for n in range(400)))
        assert [answer.records for answer in answers] == [[2 * n] for n in range(400)]
        assert most == 16
        assert attempts.permits.allowed < 8
        allowed = 100
        await asyncio.gather(*(attempts.run([n]) for n in range(1000)))
        assert attempts.permits.allowed == 16
        assert attempts.permits.running == 0

    _run(main)


@pytest.mark.parametrize("count", [2, 7, 64])
def test_one_by_one_asks_for_each_record_of_a_refused_batch(count: int) -> None:
    async def main() -> None:
        server = Server(_refuse(count - 1, error=lambda: DataError("bad row")))
        answer = await _attempts(server, divide="singly").run(list(range(count)))
        _check(answer, range(count), [count - 1])
        assert [len(batch) for batch in server.asked] == [count] + [1] * count

    _run(main)


def test_what_can_never_succeed_pauses_only_where_something_has_passed() -> None:
    async def main() -> None:
        server = Server(_raise(MisconfiguredError("404")))
        with pytest.raises(MisconfiguredError):
            await _attempts(server).run([1])
        server.reply = _double
        attempts = _attempts(server, Retry(longest=5.0))
        await attempts.run([1])
        server.reply = _raise(MisconfiguredError("404"))
        paused = asyncio.create_task(attempts.run([2]))
        await asyncio.sleep(21.0)
        assert server.pauses()[-3:] == [5.0, 5.0, 5.0]
        server.reply = _double
        assert (await paused).records == [4]
        fails = _attempts(server, Retry(when_misconfigured="fail"))
        await fails.run([1])
        server.reply = _raise(MisconfiguredError("404"))
        with pytest.raises(MisconfiguredError):
            await fails.run([2])

    _run(main)
