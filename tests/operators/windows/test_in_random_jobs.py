"""Windows in random jobs, with several lanes, unions, regroups and restarts, against a model."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg import Bookmark, Context, Graph, JobFailed, Read, Source, State, Stream
from thalweg.operators import aggregates, window, windows
from thalweg.operators.windows import Window, Windower
from thalweg.testing import CollectingSink, MemoryStore, VirtualTimeLoop, run_virtual

from .model import Model, hopping, tumbling

Record = tuple[str, str, int, int]
"""Source, lane, position, and event time."""

KINDS: dict[str, tuple[Windower, Model]] = {
    "tumbling": (windows.tumbling(20), Model(tumbling(20))),
    "hopping": (windows.hopping(20, 8), Model(hopping(20, 8))),
    "sessions": (windows.session(9), Model(gap=9)),
}


class Crash(Exception):
    """The source breaks down, once, where a test wants it to."""


class Lanes(Source[Record]):
    """Several lanes of records whose times wander onwards, read in a random order."""

    def __init__(
        self,
        name: str,
        lanes: Sequence[Sequence[int]],
        seed: int,
        *,
        crash_after: int | None = None,
        pauses: Sequence[float] = (0, 0, 0, 0.01),
    ) -> None:
        self.pauses = pauses
        self.name = name
        self.lanes = {
            f"{number}": [(name, f"{number}", at, time) for at, time in enumerate(times)]
            for number, times in enumerate(lanes)
        }
        self.seed = seed
        self.crash_after = [crash_after]

    async def open(self, context: Context) -> None:
        self.chance = random.Random(self.seed)
        self.left = dict(self.lanes)
        self.given = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        for lane, mark in bookmarks.items():
            self.left[lane] = self.lanes[lane][mark.last + 1 :]

    async def read(self, limit: int) -> Read[Record] | None:
        await asyncio.sleep(self.chance.choice(self.pauses))
        crash_after = self.crash_after[0]
        if crash_after is not None and self.given >= crash_after:
            self.crash_after[0] = None
            raise Crash
        lanes = [lane for lane, left in self.left.items() if left]
        if not lanes:
            return None
        lane = self.chance.choice(lanes)
        count = self.chance.randint(1, limit)
        records, self.left[lane] = self.left[lane][:count], self.left[lane][count:]
        self.given += len(records)
        return Read(records, [record[2] for record in records], lane)


@dataclass
class Job:
    """A graph with windows, and where everything goes."""

    graph: Graph
    out: CollectingSink[Window[str, list[Record]]]
    early: CollectingSink[Record]
    late: CollectingSink[tuple[str, Record]]


def _key(record: Record) -> str:
    return "abc"[record[2] * 7 % 3]


async def _slowly(record: Record) -> Record:
    if record[2] % 5 == 0:
        await asyncio.sleep(0.01)
    return record


def _build(
    kind: str,
    readers: Sequence[Lanes],
    between: Sequence[str],
    *,
    lateness: int,
    max_batch_size: int,
    volatile: bool = True,
) -> Job:
    graph = Graph("windows", max_batch_size=max_batch_size)
    job = Job(graph, CollectingSink(), CollectingSink(), CollectingSink())
    streams: list[Stream[Record]] = []
    for reader in readers:
        timed = graph.read(reader.name, reader).event_time(
            lambda record: record[3], unit="s", lateness=lateness, name=f"{reader.name}.time"
        )
        timed.late.to(f"{reader.name}.late", job.early)
        streams.append(timed)
    stream = streams[0].union(*streams[1:]) if len(streams) > 1 else streams[0]
    for number, step in enumerate(between):
        match step:
            case "batch":
                stream = stream.batch(1 + number * 7, linger=None)
            case "lingering":
                stream = stream.batch(1000, linger=0.02)
            case "split":
                parts = stream.split(lambda record: record[2] % 2)
                stream = parts.matching.union(parts.rest)
            case "calls":
                stream = stream.map(_slowly, max_in_flight=3)
            case "overtaking":
                stream = stream.map(_slowly, max_in_flight=3, ordered=False)
            case _:
                stream = stream.map(lambda record: record).filter(lambda record: True)
    keyed = stream.key_by(_key)
    made = keyed.via("windows", window(KINDS[kind][0], aggregates.collect()), volatile=volatile)
    made.to("out", job.out)
    made.late.to("late", job.late)
    return job


def _run(job: Job, seed: int) -> None:
    async def main() -> None:
        async with job.graph.start() as running:
            await running.wait()

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(seed=seed)) as runner:
        runner.run(main())


def _accounted(job: Job, readers: Sequence[Lanes], kind: str, lateness: int) -> list[Record]:
    """Check that each record is counted in its windows or late, once; return the counted ones."""
    everything = [record for reader in readers for lane in reader.lanes.values() for record in lane]
    early = set(job.early.records)
    late = {record for _, record in job.late.records}
    # At event_time it depends on the lane alone.
    expected: set[Record] = set()
    for reader in readers:
        for records in reader.lanes.values():
            newest = float("-inf")
            for record in records:
                if record[3] < newest - lateness:
                    expected.add(record)
                newest = max(newest, record[3])
    assert early == expected
    assert len(job.early.records) == len(early)
    assert len(job.late.records) == len(late)
    counted = Counter(record for one in job.out.records for record in one.value)
    assert not late & set(counted)
    assert not early & (late | set(counted))
    assert early | late | set(counted) == set(everything)
    if kind != "hopping":
        assert set(counted.values()) <= {1}
    for one in job.out.records:
        assert all(_key(record) == one.key for record in one.value)
        assert all(one.start <= record[3] < one.end for record in one.value)
    return sorted(counted)


def _strands(found: Sequence[Window[str, list[Record]]]) -> list[Any]:
    """The windows, without the order that only unions and overtaking have changed."""
    return sorted((one.key, one.start, one.end, sorted(one.value)) for one in found)


@st.composite
def lanes(draw: st.DrawFn) -> list[int]:
    """Times that go on, with steps back."""
    at, times = draw(st.integers(0, 40)), list[int]()
    for step in draw(st.lists(st.integers(-25, 25), max_size=40)):
        at += step
        times.append(at)
    return times


steps = st.lists(
    st.sampled_from(["plain", "batch", "lingering", "split", "calls", "overtaking"]), max_size=3
)
allowed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=allowed)
@given(
    sources=st.lists(st.lists(lanes(), min_size=1, max_size=3), min_size=1, max_size=2),
    between=steps,
    lateness=st.integers(0, 15),
    max_batch_size=st.sampled_from([1, 3, 50]),
    seed=st.integers(0, 1000),
)
def test_each_record_is_counted_or_late_once_whatever_is_between(
    kind: str,
    sources: Sequence[Sequence[Sequence[int]]],
    between: Sequence[str],
    lateness: int,
    max_batch_size: int,
    seed: int,
) -> None:
    readers = [Lanes(f"s{number}", given, seed + number) for number, given in enumerate(sources)]
    job = _build(kind, readers, between, lateness=lateness, max_batch_size=max_batch_size)
    _run(job, seed)
    counted = _accounted(job, readers, kind, lateness)
    if kind == "hopping":
        return
    # What was counted stands in the windows that it makes when all of it is there at once.
    model = KINDS[kind][1]
    expected = Model(model.windows_of, model.gap)
    for record in counted:
        expected.add(_key(record), record, record[3])  # type: ignore[arg-type]  # pyright: ignore
    expected.close(float("inf"))
    # A lane that is read after another one may find a session closed that it would have joined.
    alone = all(len(reader.lanes) == 1 for reader in readers)
    if kind == "tumbling" or (alone and not job.late.records):
        assert _strands(job.out.records) == _strands(expected.out)  # type: ignore[arg-type]  # pyright: ignore


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=allowed)
@given(times=lanes(), lateness=st.integers(0, 15), between=steps, seed=st.integers(0, 1000))
def test_of_one_lane_the_result_is_the_same_however_batches_are_cut(
    kind: str, times: list[int], lateness: int, between: Sequence[str], seed: int
) -> None:
    """To the order of everything, as long as nothing between gives up the order of records."""
    between = [step for step in between if step not in ("split", "overtaking")]
    results: list[Any] = []
    for max_batch_size in (1, 2, 7, 1000):
        readers = [Lanes("s", [times], seed)]
        job = _build(kind, readers, between, lateness=lateness, max_batch_size=max_batch_size)
        _run(job, seed + max_batch_size)
        assert job.late.records == []
        results.append((job.out.records, job.early.records))
    assert all(result == results[0] for result in results)
    model = KINDS[kind][1]
    expected = Model(model.windows_of, model.gap)
    newest = float("-inf")
    for at, time in enumerate(times):
        if time >= newest - lateness:
            record = ("s", "0", at, time)
            expected.add(_key(record), record, time)  # type: ignore[arg-type]  # pyright: ignore
        newest = max(newest, time)
    expected.close(float("inf"))
    assert results[0][0] == expected.out


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=allowed)
@given(
    given_lanes=st.lists(lanes(), min_size=1, max_size=2),
    lateness=st.integers(0, 15),
    max_batch_size=st.sampled_from([1, 5, 50]),
    crash_after=st.integers(0, 60),
    interval=st.sampled_from([0.001, 0.02]),
    seed=st.integers(0, 1000),
)
def test_after_a_crash_nothing_is_lost_and_no_window_is_closed_twice(
    kind: str,
    given_lanes: Sequence[Sequence[int]],
    lateness: int,
    max_batch_size: int,
    crash_after: int,
    interval: float,
    seed: int,
) -> None:
    """Sinks show what they get at once here, so what is shown again is the same once more."""
    store = MemoryStore()
    reader = Lanes("s", given_lanes, seed, crash_after=crash_after, pauses=(0, 0.01, 0.03))
    job = _build(
        kind, [reader], ["plain"], lateness=lateness, max_batch_size=max_batch_size, volatile=False
    )

    async def main() -> None:
        async with job.graph.start(state=State(store, interval=interval)) as running:
            await running.wait()

    for _ in range(2):
        with contextlib.suppress(JobFailed):
            run_virtual(main, seed=seed)
    whole = _build(
        kind, [Lanes("s", given_lanes, seed)], ["plain"], lateness=lateness, max_batch_size=1000
    )
    _run(whole, seed)
    assert set(job.early.records) == set(whole.early.records)
    shown = {(one.key, one.start, one.end): sorted(one.value) for one in job.out.records}
    late = {record for _, record in job.late.records}
    if len(given_lanes) == 1:
        # Of one lane everything is as if nothing had happened.
        assert shown == {(w.key, w.start, w.end): sorted(w.value) for w in whole.out.records}
        assert late == set()
    # No window is there in two versions, and no record is missing.
    for one in job.out.records:
        assert sorted(one.value) == shown[one.key, one.start, one.end]
    counted = {record for value in shown.values() for record in value}
    everything = {record for lane in reader.lanes.values() for record in lane}
    assert counted | late | set(job.early.records) == everything
