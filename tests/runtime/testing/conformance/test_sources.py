"""The checks for sources: a sound source passes them all, and each finds the fault it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from thalweg.runtime.contracts import Bookmark, Context, Read, Rejected, Source, Watermark
from thalweg.testing import (
    PAUSE,
    SOURCE_CHECKS,
    SourceCase,
    run_virtual,
    scripted,
)

_EXPECTED = list(range(20))

Check = Callable[[SourceCase[Any]], Awaitable[None]]


class Counting(Source[int]):
    """A sound source, which waits a little before it reads."""

    async def open(self, context: Context) -> None:
        self.next = 0

    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        await asyncio.sleep(0.01)
        first = self.next
        self.next = min(first + limit, len(_EXPECTED))
        return _EXPECTED[first : self.next] or None


class Lines(Counting):
    """A sound source with positions and rejected pieces: every fifth one is bad."""

    async def read(self, limit: int) -> Read[int] | None:
        await asyncio.sleep(0)
        first, last = self.next, min(self.next + limit, 25)
        if first == last:
            return None
        self.next = last
        good = [place for place in range(first, last) if place % 5]
        bad = [place for place in range(first, last) if not place % 5]
        return Read(
            [place - place // 5 - 1 for place in good],
            good,
            lane="file",
            rejected=[Rejected(place, "?", ValueError("bad")) for place in bad],
        )


class OneShot(Counting):
    """A sound source whose records are gone once they are read."""

    def __init__(self) -> None:
        self.left = list(_EXPECTED)

    async def read(self, limit: int) -> Sequence[int] | None:
        taken, self.left[:limit] = self.left[:limit], []
        return taken or None


_SOUND: dict[str, SourceCase[int]] = {
    "counting": SourceCase(make=Counting, expected=_EXPECTED),
    "numbered": SourceCase(make=lambda: Numbered(), expected=_EXPECTED),
    "lines": SourceCase(make=Lines, expected=_EXPECTED, rejected=5),
    "resuming": SourceCase(make=lambda: Resuming(), expected=_EXPECTED, rejected=5),
    "resuming by count": SourceCase(make=lambda: ResumesByCount(), expected=_EXPECTED),
    "empty": SourceCase(make=lambda: scripted(), expected=[]),
    "one shot": SourceCase(make=OneShot, expected=_EXPECTED, repeatable=False),
    "scripted": SourceCase(
        make=lambda: scripted(*range(10), Watermark(1.0), PAUSE(5.0), *range(10, 20)),
        expected=_EXPECTED,
    ),
}


@pytest.mark.parametrize("name", _SOUND)
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_a_sound_source_passes(check: Check, name: str) -> None:
    run_virtual(lambda: check(_SOUND[name]))


class Wrong(Counting):
    async def read(self, limit: int) -> Sequence[int] | None:
        found = await super().read(limit)
        assert not isinstance(found, Read)
        return None if found is None else [99 if record == 7 else record for record in found]


class Silent(Counting):
    async def read(self, limit: int) -> Sequence[int] | None:
        await asyncio.sleep(3600.0)
        return None


class ForgetsToReject(Lines):
    async def read(self, limit: int) -> Read[int] | None:
        read = await super().read(limit)
        return None if read is None else Read(read.records, read.positions, lane=read.lane)


class ReturnsText(Counting):
    async def read(self, limit: int) -> Sequence[int]:
        return "all"  # type: ignore[return-value]


class OpensInTheFirstRead(Counting):
    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        self.file = "a file"
        return await super().read(limit)

    async def close(self) -> None:
        del self.file


class ClosesOnlyAtTheEnd(Counting):
    async def close(self) -> None:
        if 0 < self.next < len(_EXPECTED):
            raise RuntimeError("still reading")


class BreaksWhenCancelled(Counting):
    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        try:
            return await super().read(limit)
        except asyncio.CancelledError:
            raise RuntimeError("cancelled") from None


class BeginsAgainAfterTheEnd(Counting):
    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        found = await super().read(limit)
        if found is None:
            self.next = 0
        return found


class Endless(Counting):
    async def read(self, limit: int) -> Sequence[int] | None:
        return [0] * limit


class ReturnsTooMuch(Counting):
    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        return await super().read(max(limit, 5))


class ReturnsNothing(Counting):
    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        if self.next == 10:
            self.next = 11
            return []
        return await super().read(limit)


class DropsAtTheCut(Counting):
    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        found = await super().read(limit)
        if limit == 7:
            self.next += 1
        return found


class Numbered(Counting):
    """Gives each record a position, as its subclasses think best."""

    def number(self, positions: range) -> Sequence[int]:
        return positions

    async def read(self, limit: int) -> Read[int] | None:
        found = await super().read(limit)
        assert not isinstance(found, Read)
        if found is None:
            return None
        return Read(found, self.number(range(self.next - len(found), self.next)))


class NumbersEachRead(Numbered):
    def number(self, positions: range) -> Sequence[int]:
        return range(len(positions))


class NumbersBackwards(Numbered):
    def number(self, positions: range) -> Sequence[int]:
        return positions[::-1]


class NumbersTooFew(Numbered):
    def number(self, positions: range) -> Sequence[int]:
        return positions[1:]


class AdvancesBeforeItWaits(Counting):
    async def read(self, limit: int) -> Sequence[int] | None:
        first = self.next
        self.next = min(first + limit, len(_EXPECTED))
        await asyncio.sleep(0.01)
        return _EXPECTED[first : self.next] or None


class SwallowsCancellation(Counting):
    async def read(self, limit: int) -> Sequence[int] | Read[int] | None:
        while True:
            try:
                return await super().read(limit)
            except asyncio.CancelledError:
                await asyncio.sleep(3600.0)


class SharedCursor(Counting):
    """Each job rewinds what all of them share."""

    def __init__(self) -> None:
        self.cursor = [0]

    async def open(self, context: Context) -> None:
        self.cursor[0] = 0

    async def read(self, limit: int) -> Sequence[int] | None:
        first = self.cursor[0]
        self.cursor[0] = min(first + limit, len(_EXPECTED))
        return _EXPECTED[first : self.cursor[0]] or None


class Resuming(Lines):
    """A sound source that goes on, by its note."""

    async def read(self, limit: int) -> Read[int] | None:
        read = await super().read(limit)
        return None if read is None else replace(read, note=str(self.next).encode())

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        if "file" in bookmarks:
            self.next = int(bookmarks["file"].note)


class ResumesByCount(Counting):
    """A sound source that goes on, and returns lists."""

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        if "" in bookmarks:
            self.next = bookmarks[""].last + 1


class IgnoresTheBookmark(Resuming):
    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        pass


class SkipsTheNextAfterAWhile(ResumesByCount):
    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        await super().seek(bookmarks)
        self.next += 3 < self.next < len(_EXPECTED)


class LeavesAGapAfterSeek(ResumesByCount):
    async def open(self, context: Context) -> None:
        await super().open(context)
        self.shift = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        self.shift = 1 if bookmarks else 0
        await super().seek(bookmarks)

    async def read(self, limit: int) -> Read[int] | None:
        first = self.next
        found = await super().read(limit)
        assert not isinstance(found, Read)
        if found is None:
            return None
        return Read(found, range(first + self.shift, self.next + self.shift))


class LeavesItsNoteAtTheStart(ResumesByCount):
    """Goes on well once, but the notes of a source that went on are of no use."""

    async def open(self, context: Context) -> None:
        await super().open(context)
        self.begin = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        if "" in bookmarks:
            self.next = self.begin = int(bookmarks[""].note)

    async def read(self, limit: int) -> Read[int] | None:
        first = self.next
        found = await super().read(limit)
        assert not isinstance(found, Read)
        if found is None:
            return None
        note = str(self.begin or self.next).encode()
        return Read(found, range(first, self.next), note=note)


_FAULTS: list[tuple[str, Callable[[], Source[int]], str]] = [
    ("opens_reads_and_closes", Wrong, "the records read: number 7 is 99, not 7"),
    ("opens_reads_and_closes", Silent, r"read\(1024\) has not returned within 10 s"),
    ("opens_reads_and_closes", ForgetsToReject, "0 pieces of input were rejected, not 5"),
    ("opens_reads_and_closes", ReturnsText, "return a list of records, a Read, or None"),
    ("opens_reads_and_closes", Endless, "let `read` return None at the end"),
    ("closes_without_a_read", OpensInTheFirstRead, "file"),
    ("closes_after_a_part", ClosesOnlyAtTheEnd, "still reading"),
    ("closes_after_a_cancelled_read", BreaksWhenCancelled, "let CancelledError pass"),
    ("closes_after_a_cancelled_read", SwallowsCancellation, "a cancelled read goes on"),
    ("ends_with_none_and_keeps_ending", BeginsAgainAfterTheEnd, "return None again"),
    ("keeps_to_the_limit", ReturnsTooMuch, r"read\(1\) returned 5 records"),
    ("keeps_to_the_limit", ReturnsNothing, "wait until there is a record"),
    ("reads_the_same_whatever_the_limit", DropsAtTheCut, "with limit 7: number 7 is 8, not 7"),
    ("positions_ascend", NumbersEachRead, "position 0 of lane '' comes after position 0"),
    ("positions_ascend", NumbersBackwards, "do not ascend"),
    ("positions_ascend", NumbersTooFew, "give each record one"),
    ("a_cancelled_read_loses_nothing", AdvancesBeforeItWaits, "number 0 is 2, not 0"),
    ("copies_share_no_cursor", SharedCursor, "create what changes in `open`"),
    (
        "a_second_job_begins_anew",
        OneShot,
        r"a second job .* 0 came, not 20; the first that is missing is 0",
    ),
    (
        "goes_on_behind_a_bookmark",
        IgnoresTheBookmark,
        r"position 0 of lane 'file' comes after position 0",
    ),
    (
        "goes_on_behind_a_bookmark",
        SkipsTheNextAfterAWhile,
        r"lane '' .*after read\(1\) number 4 .*number 4 is \(4, 5\), not \(4, 4\)",
    ),
    (
        "goes_on_behind_a_bookmark",
        LeavesAGapAfterSeek,
        r"number 1 is \(2, 1\), not \(1, 1\)",
    ),
    (
        "goes_on_again_and_again",
        LeavesItsNoteAtTheStart,
        r"position 1 of lane '' comes after position 1",
    ),
]


@pytest.mark.parametrize(("name", "make", "message"), _FAULTS)
def test_each_fault_is_found(name: str, make: Callable[[], Source[int]], message: str) -> None:
    (check,) = (check for check in SOURCE_CHECKS if check.__name__ == name)
    rejected = 5 if issubclass(make, Lines) else 0  # type: ignore[arg-type]
    case = SourceCase(make=make, expected=_EXPECTED, rejected=rejected)
    with pytest.raises((AssertionError, AttributeError, RuntimeError), match=message):
        run_virtual(lambda: check(case))


def test_each_check_has_a_fault_that_it_finds() -> None:
    assert {name for name, *_ in _FAULTS} == {check.__name__ for check in SOURCE_CHECKS}


def test_a_source_that_cannot_go_on_after_a_cancelled_read_may_say_so() -> None:
    case = SourceCase[int](make=AdvancesBeforeItWaits, expected=_EXPECTED, survives_cancel=False)
    for check in SOURCE_CHECKS:
        run_virtual(partial(check, case))
