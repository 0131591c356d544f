"""`feed` runs one operator as a job would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest

from thalweg.runtime.contracts import (
    BatchFunction,
    Context,
    DataError,
    KeyedState,
    LateError,
    MisconfiguredError,
    Operator,
    Origin,
    Outcome,
    Sink,
    UnavailableError,
    Watermark,
)
from thalweg.runtime.errors import RuntimeFault
from thalweg.testing import At, Fed, Wake, context, feed, run_virtual


class Hourly(Operator[int, str]):
    """Sums numbers, and tells the sum each hour, at each watermark and at the end."""

    def __init__(self) -> None:
        self.sums: KeyedState[str, int] = KeyedState()
        self.opened: list[str] = []
        self.next = 3600.0

    async def open(self, context: Context) -> None:
        self.opened.append(f"open {context.node}")
        self.next = 3600.0

    def process(self, record: int) -> Iterator[str]:
        if record < 0:
            yield f"{record}!"
            raise ValueError(f"{record} is negative")
        self.sums["all"] = self.sums.get("all", 0) + record

    def wake_at(self) -> float | None:
        return self.next

    def on_wake(self, now: float) -> Iterable[str]:
        self.next += 3600.0
        return [f"{self.sums.get('all')} by {now:g}"]

    def on_watermark(self, at: float) -> Iterable[str]:
        return [f"{self.sums.get('all')} before {at:g}"]

    def on_end(self) -> Iterable[str]:
        return [f"{self.sums.get('all')} in all"]

    async def close(self) -> None:
        self.opened.append("close")


def test_an_operator_gets_records_watermarks_and_wake_ups_in_order() -> None:
    operator = Hourly()
    fed = run_virtual(lambda: feed(operator, [1, Watermark(5.0), 2, Wake(7300.0), 3]))
    assert fed.records == ["1 before 5", "3 by 3600", "3 by 7200", "6 in all"]
    assert operator.opened == ["open test", "close"]
    assert len(operator.sums) == 0


def test_an_operator_that_goes_on_gets_no_end() -> None:
    assert run_virtual(lambda: feed(Hourly(), [1], end=False)) == Fed([], [])


class Ages(Operator[int, float]):
    """How old each record is at the watermark."""

    async def open(self, context: Context) -> None:
        self.reached = 0.0

    def process(self, record: int) -> Iterable[float]:
        raise TypeError("process_at is called")

    def process_at(self, record: int, at: float) -> Iterable[float]:
        if record < 0:
            raise ValueError("negative")
        if at < self.reached:
            raise LateError("too late")
        yield at - self.reached

    def on_watermark(self, at: float) -> Iterable[float]:
        self.reached = at
        return ()


def test_an_operator_that_asks_for_times_gets_them_and_may_find_records_late() -> None:
    records = [At(1, 5.0), Watermark(4.0), At(2, 6.5), At(3, 2.0), At(-1, 9.0)]
    fed = run_virtual(lambda: feed(Ages(), records))
    assert fed.records == [5.0, 2.5]
    assert fed.late == [3]
    assert [(one.record, one.origin) for one in fed.dead_letters] == [(-1, Origin("feed", "", 3))]


def test_a_record_without_a_time_is_told_to_the_author_of_the_test() -> None:
    with pytest.raises(RuntimeFault, match=r"Ages works by the times of records: write At\(7, "):
        run_virtual(lambda: feed(Ages(), [7]))


def test_a_record_that_fails_is_a_dead_letter_with_its_index() -> None:
    fed = run_virtual(lambda: feed(Hourly(), [1, Watermark(5.0), -2, 3]))
    assert fed.records == ["1 before 5", "-2!", "4 in all"]
    (letter,) = fed.dead_letters
    assert (letter.graph, letter.node, letter.origin) == ("test", "test", Origin("feed", "", 1))
    assert (letter.record, letter.error.type, letter.error.message) == (
        -2,
        "ValueError",
        "-2 is negative",
    )


class Insomniac(Operator[int, int]):
    def process(self, record: int) -> Iterable[int]:
        return [record]

    def wake_at(self) -> float | None:
        return 1.0


def test_an_operator_that_asks_for_the_same_moment_again_is_told() -> None:
    with pytest.raises(RuntimeFault, match=r"wake_at\(\) asks for 1\.0 again"):
        run_virtual(lambda: feed(Insomniac(), [1, Wake(2.0)]))


class Doubled(BatchFunction[int, int]):
    """Doubles; refuses a batch with a 13 in it, rejects 7 alone, is down now and then."""

    def __init__(self, *, repeatable: bool, down: int = 0) -> None:
        self.repeatable = repeatable
        self.down = down
        self.calls: list[list[int]] = []
        self.closed: list[bool] = []

    async def call(self, records: Sequence[int]) -> Outcome[int]:
        self.calls.append(list(records))
        if len(self.calls) <= self.down:
            raise UnavailableError("down")
        if 13 in records:
            raise DataError("a 13")
        rejected: dict[int, Exception] = {
            index: ValueError("a 7") for index, record in enumerate(records) if record == 7
        }
        return Outcome([2 * record for record in records if record != 7], rejected)

    async def close(self) -> None:
        self.closed.append(True)


def test_a_repeatable_function_is_halved_until_the_bad_record_stands_alone() -> None:
    function = Doubled(repeatable=True)
    fed = run_virtual(lambda: feed(function, [1, 2, 13, 4, 7, 6]))
    assert fed.records == [2, 4, 8, 12]
    assert [(letter.record, letter.origin) for letter in fed.dead_letters] == [
        (13, Origin("feed", "", 2)),
        (7, Origin("feed", "", 4)),
    ]
    assert fed.dead_letters[0].attempts > 1
    assert function.closed == [True]


def test_a_repeatable_function_is_retried() -> None:
    function = Doubled(repeatable=True, down=2)
    assert run_virtual(lambda: feed(function, [1, 2])).records == [2, 4]
    assert function.calls == [[1, 2]] * 3


def test_an_unrepeatable_function_loses_the_whole_batch() -> None:
    fed = run_virtual(lambda: feed(Doubled(repeatable=False), [1, 13, 3, 4, 5], max_batch_size=2))
    assert fed.records == [6, 8, 10]
    assert [letter.record for letter in fed.dead_letters] == [1, 13]


class Short(BatchFunction[int, int]):
    async def call(self, records: Sequence[int]) -> Sequence[int]:
        return records[1:]


def test_a_wrong_number_of_outputs_is_noticed() -> None:
    fed = run_virtual(lambda: feed(Short(), [1, 2]))
    assert fed.records == []
    assert "1 results and 0 rejections came for 2 records" in fed.dead_letters[0].error.message


class Misconfigured(BatchFunction[int, int]):
    def __init__(self) -> None:
        self.closed: list[bool] = []

    async def call(self, records: Sequence[int]) -> Sequence[int]:
        raise MisconfiguredError("no such model")

    async def close(self) -> None:
        self.closed.append(True)


def test_a_failure_is_raised_and_the_function_closed() -> None:
    function = Misconfigured()
    with pytest.raises(MisconfiguredError, match="no such model"):
        run_virtual(lambda: feed(function, [1]))
    assert function.closed == [True]


class Evens(Sink[int]):
    def __init__(self, *, broken: bool = False) -> None:
        self.written: list[int] = []
        self.broken = broken

    async def write(self, records: Sequence[int]) -> Outcome[None]:
        if self.broken:
            raise OSError("disk full")
        self.written.extend(record for record in records if record % 2 == 0)
        return Outcome([], {i: ValueError("odd") for i, n in enumerate(records) if n % 2})


def test_a_sink_tells_what_was_delivered() -> None:
    sink = Evens()
    fed = run_virtual(lambda: feed(sink, [2, 3, 4], max_batch_size=2))
    assert fed.records == sink.written == [2, 4]
    assert [(each.record, each.origin) for each in fed.dead_letters] == [(3, Origin("feed", "", 1))]


def test_a_sink_that_breaks_is_a_failure() -> None:
    with pytest.raises(OSError, match="disk full"):
        run_virtual(lambda: feed(Evens(broken=True), [2]))


def test_functions_of_a_record_may_be_plain_or_async() -> None:
    def halve(number: int) -> float:
        return 6 / number

    async def halve_later(number: int) -> float:
        return halve(number)

    for fed in (
        run_virtual(lambda: feed(halve, [1, 0, 2])),
        run_virtual(lambda: feed(halve_later, [1, 0, 2])),
    ):
        assert fed.records == [6.0, 3.0]
        assert [each.error.type for each in fed.dead_letters] == ["ZeroDivisionError"]
        assert "in halve" in str(fed.dead_letters[0].error.where)


def test_what_cannot_be_fed_is_refused() -> None:
    with pytest.raises(TypeError, match="an Operator, a BatchFunction, a Sink or a function"):
        run_virtual(lambda: feed(7, [1]))  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(ValueError, match="max_batch_size is 1 or more, or None, not 0"):
        run_virtual(lambda: feed(Evens(), [1], max_batch_size=0))


def test_a_context_runs_threads_and_counts() -> None:
    given = context(graph="iris", node="score")
    counter = given.counter("answers", "How many answers came.")
    counter.add(2)
    assert given.counter("answers", "How many answers came.").value == 2
    assert (given.graph, given.node) == ("iris", "score")
    assert run_virtual(lambda: given.in_thread(sum, [1, 2, 3])) == 6
