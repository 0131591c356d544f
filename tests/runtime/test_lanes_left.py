"""A source that says which of its lanes are left: files that overlap in time, read in turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg import Bookmark, Context, Graph, JobFailed, KeyedState, Operator, Read, Source, State
from thalweg.operators import aggregates, sources, window, windows
from thalweg.operators.windows import Window
from thalweg.runtime.lanes import Lanes
from thalweg.runtime.signals import LanesLeft, Watermark
from thalweg.runtime.stream import Stream
from thalweg.testing import CollectingSink, MemoryStore, run_virtual

A, B, C = ("s", "a"), ("s", "b"), ("s", "c")


# Lanes


def test_no_watermark_before_all_lanes_that_are_left_have_begun() -> None:
    lanes = Lanes(0.0, 8.0)
    lanes.look(0.0)
    lanes.left("s", ("a", "b", "c"))
    lanes.judge(A, [10, 100])
    assert lanes.news() is None
    for now in range(1, 20):
        lanes.look(now)  # Nor does it help to be quiet.
    assert lanes.news() is None
    lanes.judge(B, [20, 90])
    lanes.judge(C, [5])
    # a was quiet for longer than it may.
    assert lanes.news() == Watermark(5)


def test_a_lane_that_has_ended_is_left_out_at_once_and_does_not_come_back() -> None:
    lanes = Lanes(0.0, None)
    lanes.left("s", ("a", "b"))
    lanes.judge(A, [10])
    lanes.judge(B, [50])
    lanes.judge(("t", "a"), [70])
    assert lanes.news() == Watermark(10)
    lanes.left("s", ("b",))
    assert lanes.news() == Watermark(50)
    after = Lanes(0.0, None)
    after.restore(lanes.snapshot())
    after.judge(B, [60])
    assert after.news() == Watermark(60)
    after.left("s", ())
    assert after.news() == Watermark(70)


def test_what_is_waited_for_is_remembered_and_can_be_taken_back() -> None:
    lanes = Lanes(0.0, None)
    lanes.left("s", ("a", "b"))
    lanes.judge(A, [10])
    after = Lanes(0.0, None)
    after.restore(lanes.snapshot())
    assert after.news() is None
    after.judge(A, [20])
    assert after.news() is None
    after.left("s", None)
    assert after.news() == Watermark(20)


def test_to_be_told_of_lanes_is_to_be_no_longer_idle() -> None:
    lanes = Lanes(0.0, 8.0)
    for now in range(10):
        lanes.look(now)
    assert lanes.news() == Watermark(float("-inf"), idle=True)
    lanes.left("s", ("a",))
    assert lanes.awoken() == Watermark(float("-inf"))
    assert lanes.news() is None
    lanes.left("s", None)
    assert lanes.news() == Watermark(float("-inf"), idle=True)


def test_fewer_lanes_may_be_told_late_and_more_may_not() -> None:
    both, one = LanesLeft("s", ("a", "b")), LanesLeft("s", ("b",))
    unknown = LanesLeft("s", None)
    assert one.only_fewer(both)
    assert unknown.only_fewer(both)
    assert not both.only_fewer(one)
    assert not both.only_fewer(unknown)
    assert not both.only_fewer(None)


# Files


def _write(folder: Path, files: Sequence[Sequence[float]]) -> list[str]:
    paths: list[str] = []
    for number, times in enumerate(files):
        path = folder / f"{number}.ndjson"
        lines = [orjson.dumps({"at": at, "key": f"k{at % 3:g}"}) + b"\n" for at in times]
        path.write_bytes(b"".join(lines))
        paths.append(str(path))
    return paths


Through = Callable[[Stream[Any]], Stream[Any]]

THROUGH: dict[str, Through] = {
    "nothing": lambda stream: stream,
    "batch": lambda stream: stream.batch(7),
    "map": lambda stream: stream.map(lambda record: record),
    "call": lambda stream: stream.map(_same, max_in_flight=3),
    "split": lambda stream: _split(stream),
}


def _split(stream: Stream[Any]) -> Stream[Any]:
    parts = stream.split(lambda record: True)
    parts.rest.to("rest", CollectingSink[Any]())
    return parts.matching


async def _same(record: Any) -> Any:
    await asyncio.sleep(0.001)
    return record


class Marked(Operator[Any, Any]):
    """Passes windows on, and says in between which watermarks came."""

    def __init__(self) -> None:
        self.kept: KeyedState[str, int] = KeyedState()

    def process(self, record: Any) -> Iterable[Any]:
        return [record]

    def on_watermark(self, at: float) -> Iterable[Any]:
        return [at]


class Run:
    def __init__(self, source: Source[Any], through: Through = THROUGH["nothing"]) -> None:
        self.graph = Graph("files", max_batch_size=16)
        self.out, self.late = CollectingSink[Any](), CollectingSink[Any]()
        stream = through(self.graph.read("files", source))
        timed = stream.event_time(lambda record: record["at"], unit="s", lateness=0, name="time")
        timed.late.to("late", self.late)
        keyed = timed.key_by(lambda record: str(record["key"]), version=1)
        counted = window(windows.tumbling(10), aggregates.counting())
        counts = keyed.via("counts", counted)
        counts.via("marked", Marked()).to("out", self.out)
        counts.late.to("late_there", self.late)

    def counts(self) -> dict[tuple[str, float], int]:
        found: list[Window[str, int]] = []
        found += [one for one in self.out.records if isinstance(one, Window)]
        told = {(one.key, one.start): one.value for one in found}
        assert len(told) == len(found)
        return told

    def marks(self) -> list[float]:
        return [one for one in self.out.records if not isinstance(one, Window)]

    def go(self, store: MemoryStore | None = None, *, batches: int | None = None) -> None:
        async def main() -> None:
            state = State(store or MemoryStore(), interval=1000.0, batches=batches)
            async with self.graph.start(state=state) as job:
                await job.wait()

        run_virtual(main)


def _expected(files: Sequence[Sequence[float]]) -> dict[tuple[str, float], int]:
    return dict(Counter((f"k{at % 3:g}", at // 10 * 10.0) for times in files for at in times))


OVERLAPPING = [list(range(0, 6000, step)) for step in (2, 1, 3)]


@pytest.mark.parametrize("through", THROUGH)
def test_files_that_overlap_in_time_are_counted_in_full(tmp_path: Path, through: str) -> None:
    source = sources.ndjson_records(_write(tmp_path, OVERLAPPING))
    run = Run(source, THROUGH[through])
    run.go()
    assert run.late.records == []
    assert run.counts() == _expected(OVERLAPPING)
    # The last file closes the windows as it is read, not only its end.
    assert run.marks()
    assert run.marks()[-1] == 5997


def test_the_next_file_need_not_be_longer_than_a_moment(tmp_path: Path) -> None:
    """Lanes without a record hold nobody up at the end, nor do those that end first."""
    files = [[], [5, 500], [], [7, 400, 900], []]
    run = Run(sources.ndjson_records(_write(tmp_path, files)))
    run.go()
    assert run.late.records == []
    assert run.counts() == _expected(files)


def test_where_one_file_continues_the_other_windows_close_as_they_go(tmp_path: Path) -> None:
    days = [list(range(start, start + 9000)) for start in (0, 9000, 18_000)]
    paths = _write(tmp_path, days)
    consecutive = Run(sources.ndjson_records(paths, consecutive=True))
    waiting = Run(sources.ndjson_records(paths))
    for run in (consecutive, waiting):
        run.go()
        assert run.late.records == []
        assert run.counts() == _expected(days)
    assert consecutive.marks()[0] < 9000
    assert waiting.marks()[0] > 18_000
    with pytest.raises(ValueError, match="consecutive is for files that are read once"):
        sources.ndjson_records(paths, follow=True, consecutive=True)


@settings(deadline=None)
@given(
    files=st.lists(st.lists(st.integers(0, 200).map(float), max_size=40), min_size=1, max_size=5)
)
def test_any_files_are_counted_as_plain_python_does(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[float]]
) -> None:
    files = [sorted(times) for times in files]
    run = Run(sources.ndjson_records(_write(tmp_path_factory.mktemp("any"), files)))
    run.go()
    assert run.late.records == []
    assert run.counts() == _expected(files)


class Broken(RuntimeError):
    pass


@pytest.mark.parametrize("broken_at", [2, 4, 6])
def test_a_crash_between_files_changes_nothing(tmp_path: Path, broken_at: int) -> None:
    times = [list(range(0, 60_000, step)) for step in (20, 15, 30)]
    paths = _write(tmp_path, times)
    store = MemoryStore()
    reads = 0
    source = sources.ndjson_records(paths)

    class Breaking(type(source)):  # type: ignore[misc]
        async def read(self, limit: int) -> Any:
            nonlocal reads
            reads += 1
            if reads == broken_at:
                raise Broken
            await asyncio.sleep(1)  # So that the epoch of the last batch is over.
            return await super().read(limit)

    source.__class__ = Breaking
    first = Run(source)
    with contextlib.suppress(JobFailed):
        first.go(store, batches=1)
    assert reads >= broken_at
    second = Run(source)
    second.go(store, batches=1)
    assert first.late.records == second.late.records == []
    told = first.counts() | second.counts()
    assert told == _expected(times)
    assert any(len(run.marks()) > 1 for run in (first, second))


def _append(path: str, line: bytes) -> None:
    with open(path, "ab") as file:
        file.write(line)


def test_followed_files_are_waited_for_until_each_was_read_and_then_while_they_speak(
    tmp_path: Path,
) -> None:
    """The first pass waits for all; an empty file, and one that is not there, hold nobody up."""
    paths = _write(tmp_path, [range(0, 9000), range(0, 3000), []])
    paths.append(str(tmp_path / "missing"))
    run = Run(sources.ndjson_records(paths, follow=True))

    async def main() -> None:
        async with run.graph.start(state=State(MemoryStore(), interval=1000.0)) as job:
            await asyncio.sleep(10)
            assert run.marks()[-1] == 2999
            await asyncio.sleep(60)
            assert run.marks()[-1] == 2999  # All are quiet: time stands still.
            await asyncio.to_thread(_append, paths[0], b'{"at": 9100, "key": "k"}\n')
            await asyncio.sleep(10)
            assert run.marks()[-1] == 9100
            await job.drain()

    run_virtual(main)
    assert run.late.records == []


# The contract


class Telling(Source[Any]):
    """Hands out what it was given; the first time it stops there, it goes on as it is told."""

    def __init__(self, *reads: Read[Any] | float) -> None:
        self.reads = reads

    async def open(self, context: Context) -> None:
        self.left = list(self.reads)

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        while self.left and not isinstance(self.left[0], float):
            self.left.pop(0)
        self.left = self.left[1:]

    async def read(self, limit: int) -> Read[Any] | None:
        while self.left:
            read = self.left.pop(0)
            if isinstance(read, Read):
                return read
            await asyncio.sleep(read)
        return None


def _at(*times: float) -> list[dict[str, Any]]:
    return [{"at": at, "key": "k"} for at in times]


def test_a_source_that_goes_on_without_a_word_of_lanes_waits_for_none() -> None:
    store = MemoryStore()
    source = Telling(
        Read(_at(10), [0], "a", lanes=("a", "b")),
        1e6,
        Read(_at(30), [1], "a"),
        1.0,
        Read(_at(40), [2], "a"),
    )
    run = Run(source)

    async def main() -> None:
        async with run.graph.start(state=State(store, interval=1000.0)) as job:
            await asyncio.sleep(5)
            await job.suspend()

    run_virtual(main)
    assert run.marks() == []
    again = Run(source)
    again.go(store)
    # b is waited for no more: what a had come to before the restart is told.
    assert again.marks() == [10, 30, 40]


def test_a_read_of_no_records_tells_its_lanes() -> None:
    source = Telling(
        Read(_at(10), [0], "a", lanes=("a", "b")),
        Read(_at(5), [0], "b", lanes=("a", "b")),
        Read([], [], "b", lanes=("a",)),
        100.0,
        Read(_at(11), [1], "a", lanes=("a",)),
    )
    run = Run(source)
    run.go()
    # Nothing but the end of b lets 10 pass, before anything else is read.
    assert run.marks()[-2:] == [10, 11]
