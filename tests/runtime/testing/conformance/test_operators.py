"""The checks for operators: a sound one passes them all, and each finds the fault it is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest

from thalweg.runtime.contracts import Context, KeyedState, LateError, Operator, Watermark
from thalweg.testing import OPERATOR_CHECKS, At, OperatorCase, Wake, run_virtual

Check = Callable[[OperatorCase[Any, Any]], Awaitable[None]]


class Doubled(Operator[int, int]):
    """A sound operator without memory."""

    def process(self, record: int) -> Iterable[int]:
        if record < 0:
            raise ValueError(f"{record} is negative")
        return [2 * record] * (record % 3)


class Sums(Operator[int, int]):
    """A sound operator with both kinds of memory, which emits at all occasions."""

    def __init__(self) -> None:
        self.sums: KeyedState[int, int] = KeyedState()

    async def open(self, context: Context) -> None:
        self.count = 0
        self.next = 100.0

    def process(self, record: int) -> Iterable[int]:
        if record < 0:
            raise ValueError(f"{record} is negative")
        self.count += 1
        self.sums[record % 2] = self.sums.get(record % 2, 0) + record
        return [self.sums[record % 2]]

    def wake_at(self) -> float | None:
        return self.next

    def on_wake(self, now: float) -> Iterable[int]:
        self.next = now + 100.0
        return [self.count]

    def on_watermark(self, at: float) -> Iterable[int]:
        return [int(at), *self.sums.values()]

    def on_end(self) -> Iterable[int]:
        return [self.count]

    def snapshot(self) -> bytes | None:
        return f"{self.count} {self.next}".encode()

    def restore(self, data: bytes) -> None:
        count, at = data.split()
        self.count, self.next = int(count), float(at)


class Ages(Operator[int, float]):
    """A sound operator that works by times, and has a loop of its own."""

    async def open(self, context: Context) -> None:
        self.reached = 0.0

    def process(self, record: int) -> Iterable[float]:
        raise TypeError("process_at is called")

    def process_at(self, record: int, at: float) -> Iterable[float]:
        if record < 0:
            raise ValueError(f"{record} is negative")
        if at < self.reached:
            raise LateError("too late")
        return [at - record] * (record % 3)

    def process_each_at(
        self, pairs: Iterator[tuple[int, float]], emit: Callable[[float], object]
    ) -> None:
        for record, at in pairs:
            for age in self.process_at(record, at):
                emit(age)

    def on_watermark(self, at: float) -> Iterable[float]:
        self.reached = at
        return ()

    def snapshot(self) -> bytes | None:
        return str(self.reached).encode()

    def restore(self, data: bytes) -> None:
        self.reached = float(data)


_TIMED: list[object] = [At(1, 5.0), At(2, 9.0), Watermark(8.0), At(4, 7.0), At(5, 8.0), At(1, 2.0)]
_AGES = [4.0, 7.0, 7.0, 3.0, 3.0]

_RECORDS: list[object] = [1, 2, Watermark(9.0), 3, 4, Wake(250.0), 5, 6, Wake(300.0)]
_SUMS = [1, 2, 9, 1, 2, 4, 6, 4, 4, 9, 12, 6, 6]
_PLAIN: list[object] = [1, 2, Watermark(9.0), 3, 4, 5]
_DOUBLED = [2, 4, 4, 8, 10, 10]

_SOUND: dict[str, OperatorCase[Any, Any]] = {
    "ages": OperatorCase(
        make=Ages, records=_TIMED, expected=_AGES, late=[4, 1], bad=[At(-1, 9.0), At(None, 1.0)]
    ),
    "doubled": OperatorCase(make=Doubled, records=_PLAIN, expected=_DOUBLED, bad=[-1, None]),
    "sums": OperatorCase(make=Sums, records=_RECORDS, expected=_SUMS, bad=[-1]),
    "unended": OperatorCase(make=Sums, records=_RECORDS, expected=_SUMS[:-1], end=False),
}


@pytest.mark.parametrize("name", _SOUND)
@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
def test_a_sound_operator_passes(check: Check, name: str) -> None:
    run_virtual(lambda: check(_SOUND[name]))


class Trebled(Doubled):
    def process(self, record: int) -> Iterable[int]:
        return [3 * record]


class OpensInProcess(Doubled):
    def process(self, record: int) -> Iterable[int]:
        self.file = "a file"
        return super().process(record)

    async def close(self) -> None:
        del self.file


class SleepsWhenAsked(Sums):
    """Forgets when it is asked for the time of its next wake-up."""

    def wake_at(self) -> float | None:
        self.count = 0
        return super().wake_at()


class SnapshotsOnce(Sums):
    """Hands its memory out for good."""

    def snapshot(self) -> bytes | None:
        data = super().snapshot()
        self.count = 0
        return data


class ForgetsToRestore(Sums):
    def restore(self, data: bytes) -> None:
        pass


class KeepsHalf(Sums):
    def snapshot(self) -> bytes | None:
        return f"{self.count} 100".encode()


class RemembersInSecret(Doubled):
    async def open(self, context: Context) -> None:
        self.seen = 0

    def process(self, record: int) -> Iterable[int]:
        self.seen += 1
        return [*super().process(record), *([] if self.seen != 4 else [self.seen])]


class SpeaksAtTheEnd(Doubled):
    def on_end(self) -> Iterable[int]:
        return [0]


class SpeaksAtAWatermark(Doubled):
    def on_watermark(self, at: float) -> Iterable[int]:
        return [int(at)]


class SharedMemory(Sums):
    """Keeps what it remembers in an object that all copies share."""

    def __init__(self) -> None:
        super().__init__()
        self.box = [0]

    async def open(self, context: Context) -> None:
        await super().open(context)
        self.box[0] = 0

    def process(self, record: int) -> Iterable[int]:
        self.box[0] += record
        return [self.box[0]]

    def on_wake(self, now: float) -> Iterable[int]:
        self.next = now + 100.0
        return []

    def on_watermark(self, at: float) -> Iterable[int]:
        return []

    def on_end(self) -> Iterable[int]:
        return []


class ChangesBeforeItLooks(Sums):
    def process(self, record: int) -> Iterable[int]:
        self.count += 1
        made = super().process(record)
        self.count -= 1
        return made


class TakesAnything(Sums):
    def process(self, record: int) -> Iterable[int]:
        return [] if record < 0 else super().process(record)


class LosesTheRest(Ages):
    """Has a loop that does not go on behind a record that is late."""

    def process_each_at(
        self, pairs: Iterator[tuple[int, float]], emit: Callable[[float], object]
    ) -> None:
        given = list(pairs)
        super().process_each_at(iter(given), emit)


class CountsTwice(Ages):
    def process_each_at(
        self, pairs: Iterator[tuple[int, float]], emit: Callable[[float], object]
    ) -> None:
        for record, at in pairs:
            self.reached = at
            super().process_each_at(iter([(record, at)]), emit)


class TakesTooLate(Ages):
    def process_at(self, record: int, at: float) -> Iterable[float]:
        return super().process_at(record, max(at, self.reached))


_CASE = _SOUND["sums"]
_TIMED_CASE = _SOUND["ages"]
_PLAIN_CASE = _SOUND["doubled"]
_SHARED = OperatorCase(make=SharedMemory, records=_RECORDS, expected=[1, 3, 6, 10, 15, 21])


def _with(
    make: Callable[[], Operator[Any, Any]], case: OperatorCase[Any, Any]
) -> OperatorCase[Any, Any]:
    return OperatorCase(
        make=make, records=case.records, expected=case.expected, bad=case.bad, late=case.late
    )


_FAULTS: list[tuple[str, OperatorCase[Any, Any], str]] = [
    (
        "makes_what_is_expected",
        _with(Trebled, _PLAIN_CASE),
        "the records made: number 0 is 3, not 2",
    ),
    (
        "makes_what_is_expected",
        OperatorCase(make=Ages, records=_TIMED, expected=_AGES, late=[4]),
        "the records that came too late: 2 came, not 1",
    ),
    (
        "makes_what_is_expected",
        _with(TakesTooLate, _TIMED_CASE),
        "the records made: number 3 is 4.0, not 3.0",
    ),
    ("makes_the_same_in_a_loop_of_its_own", _with(LosesTheRest, _TIMED_CASE), "take the next"),
    ("makes_the_same_in_a_loop_of_its_own", _with(CountsTwice, _TIMED_CASE), "own loop, by 1"),
    ("closes_without_a_record", _with(OpensInProcess, _PLAIN_CASE), "file"),
    (
        "makes_the_same_however_the_input_is_cut",
        _with(SleepsWhenAsked, _CASE),
        r"when wake_at\(\) is asked after every 1",
    ),
    ("a_snapshot_changes_nothing", _with(SnapshotsOnce, _CASE), "snapshot after each record"),
    ("goes_on_from_any_snapshot", _with(ForgetsToRestore, _CASE), "restored after 1 records"),
    ("goes_on_from_any_snapshot", _with(KeepsHalf, _CASE), "let `snapshot` hold all"),
    ("declares_its_memory", _with(RemembersInSecret, _PLAIN_CASE), "record 4 makes after"),
    (
        "emits_only_from_records_without_memory",
        _with(SpeaksAtTheEnd, _PLAIN_CASE),
        "at the end the operator emitted 0, but it declares no memory",
    ),
    (
        "emits_only_from_records_without_memory",
        _with(SpeaksAtAWatermark, _PLAIN_CASE),
        r"at Watermark\(at=9.0, idle=False\) the operator emitted 9",
    ),
    ("copies_share_nothing", _SHARED, "one of two jobs"),
    ("a_bad_record_leaves_no_trace", _with(ChangesBeforeItLooks, _CASE), "around -1 after 0"),
    ("a_bad_record_leaves_no_trace", _with(TakesAnything, _CASE), "-1 was processed and made"),
]


@pytest.mark.parametrize(("name", "case", "message"), _FAULTS)
def test_each_fault_is_found(name: str, case: OperatorCase[Any, Any], message: str) -> None:
    (check,) = (check for check in OPERATOR_CHECKS if check.__name__ == name)
    with pytest.raises((AssertionError, AttributeError), match=message):
        run_virtual(lambda: check(case))


def test_each_check_has_a_fault_that_it_finds() -> None:
    assert {name for name, *_ in _FAULTS} == {check.__name__ for check in OPERATOR_CHECKS}
