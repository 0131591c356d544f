"""What a job did in each trigger, in the field names of Spark: true, and plain data."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from thalweg import BatchFunction, Bookmark, Context, Graph, JobFailed, Read, Row, Source, State
from thalweg.operators import aggregates, fold, group_by, sinks, sources, window, windows
from thalweg.runtime.contracts import Barrier, Trigger
from thalweg.runtime.job import Job
from thalweg.runtime.triggers.report import TriggerReport
from thalweg.testing import PAUSE, CollectingSink, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

SPARK = {
    "id", "runId", "name", "timestamp", "batchId", "batchDuration", "numInputRows",
    "inputRowsPerSecond", "processedRowsPerSecond", "durationMs", "stateOperators", "sources",
    "sink",
}  # fmt: skip


class InEpochs(Source[int]):
    """The numbers up to `count`, with an epoch behind each so many of them."""

    def __init__(self, count: int, each: int) -> None:
        self._count = count
        self._each = each

    async def open(self, context: Context) -> None:
        """Begin with 0."""
        self._next = self._taken = 0

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on behind the last one."""
        self._next = self._taken = bookmarks[""].last + 1

    async def read(self, limit: int) -> Read[int] | Barrier | None:
        """Some of them, or the end of an epoch."""
        first, through = divmod(self._next, self._each)
        if not through and self._taken != self._next:
            self._taken = self._next
            return Barrier(0)
        if self._next == self._count:
            return None
        numbers = range(self._next, min(self._next + limit, (first + 1) * self._each))
        self._next = numbers.stop
        return Read(list(numbers), numbers)


def pushed(*, failed: bool = False) -> tuple[Graph, list[int]]:
    """A graph that is fed by hand, and drops what does not divide by 2."""
    graph, out = Graph("pushed"), list[int]()
    numbers = graph.read("numbers", sources.push(), lossy=True)
    kept = numbers.map(lambda n: 10 // n if n == 0 else n).filter(lambda n: n % 2 == 0)
    kept.to("even", sinks.collect(out))
    if failed:
        graph.failed.to("failed", sinks.collect([]))
    return graph, out


def last(job: Job) -> TriggerReport:
    """The last trigger, of which there is one; it went through JSON and came back the same."""
    found = job.last_progress
    assert found is not None
    assert json.loads(json.dumps(found)) == found
    return found


def test_a_trigger_has_the_fields_of_spark_and_what_passed_since_the_last_look() -> None:
    async def main() -> None:
        graph, out = pushed()
        async with graph.start() as job:
            assert job.last_progress is None
            await asyncio.sleep(2.0)
            await (await job.push("numbers", [1, 2, 3, 4, 6]))
            first = last(job)
            assert first.keys() == SPARK | {"sinks"}
            assert first["name"] == "pushed"
            assert first["id"] == first["runId"] == job.id
            assert first["numInputRows"] == 5
            assert first["batchId"] == 0
            assert first["sink"] == {"description": "Collect[even]", "numOutputRows": 3}
            assert first["sinks"] == [first["sink"]]
            assert first["batchDuration"] == first["durationMs"]["triggerExecution"] == 2000
            assert first["inputRowsPerSecond"] == first["processedRowsPerSecond"] == 2.5
            (source,) = first["sources"]
            assert source["description"] == "Push[numbers]"
            assert (source["startOffset"], source["endOffset"]) == (None, 4)
            assert "eventTime" not in first
            await asyncio.sleep(4.0)
            await (await job.push("numbers", [8, 10]))
            second = last(job)
            assert second["numInputRows"] == second["sink"]["numOutputRows"] == 2
            assert second["sources"][0]["startOffset"] == 4
            assert second["sources"][0]["endOffset"] == 6
            assert second["batchId"] == 1
            assert second["inputRowsPerSecond"] == 0.5
            began = [datetime.fromisoformat(one["timestamp"]) for one in (first, second)]
            assert (began[1] - began[0]).total_seconds() == pytest.approx(2.0, abs=0.002)
            assert job.recent_progress == [first, second]
        assert out == [2, 4, 6, 8, 10]

    run_virtual(main)


def test_looks_within_a_second_see_the_same_trigger_and_the_end_is_always_told() -> None:
    async def main() -> None:
        graph, _ = pushed()
        async with graph.start() as job:
            await (await job.push("numbers", [1]))
            first = last(job)
            await (await job.push("numbers", [2, 4]))
            await asyncio.sleep(0.9)
            assert last(job) == first
        assert sum(one["numInputRows"] for one in job.recent_progress) == 3
        assert last(job)["sink"]["numOutputRows"] == 2
        ended = job.recent_progress
        await asyncio.sleep(60.0)
        assert job.recent_progress == ended

    run_virtual(main)


def test_of_triggers_in_which_nothing_happened_one_is_kept_and_never_more_than_a_hundred() -> None:
    async def main() -> None:
        graph, _ = pushed()
        async with graph.start() as job:
            for look in range(130):
                await (await job.push("numbers", [look + 1]))
                await asyncio.sleep(1.0)
                assert last(job)["batchId"] == look
            assert len(job.recent_progress) == 100
            for _ in range(3):
                await asyncio.sleep(5.0)
                assert last(job)["numInputRows"] == 0
                assert last(job)["batchId"] == 130
            assert [one["numInputRows"] for one in job.recent_progress] == [*[1] * 99, 0]
            assert last(job)["batchDuration"] == 5000

    run_virtual(main)


def timed(*, volatile: bool) -> Graph:
    """Counts by key in windows of ten seconds."""
    graph = Graph("timed")
    pairs = graph.read("pairs", sources.push(), lossy=True)
    at = pairs.event_time(lambda pair: float(pair[0]), unit="s", lateness=5)
    at.key_by(lambda pair: str(pair[1])).via(
        "counted", window(windows.tumbling(10), aggregates.counting()), volatile=volatile
    ).to("out", sinks.collect([]))
    return graph


def times_of(trigger: TriggerReport) -> dict[str, str]:
    """What is told of event time, of which something is told."""
    found = trigger.get("eventTime")
    assert found is not None
    return found


BASE = 1_700_000_000


def test_event_time_and_state_are_told_where_there_are_any() -> None:
    async def main() -> None:
        async with timed(volatile=True).start() as job:
            assert job.last_progress is None  # From now on somebody looks.
            await job.push("pairs", [(BASE + second, "ab"[second % 2]) for second in range(10)])
            await job.process_all_available()
            first = last(job)
            assert times_of(first) == {
                "avg": "2023-11-14T22:13:24.500Z",
                "max": "2023-11-14T22:13:29.000Z",
                "min": "2023-11-14T22:13:20.000Z",
                "watermark": "2023-11-14T22:13:24.000Z",
            }
            assert first["stateOperators"] == [
                {"operatorName": "counted", "numRowsTotal": 2, "numRowsDroppedByWatermark": 0}
            ]
            await job.push("pairs", [(BASE + 20, "c"), (BASE + 30, "c")])
            await job.process_all_available()
            second = last(job)
            assert times_of(second)["min"] == "2023-11-14T22:13:40.000Z"
            assert second["sink"]["numOutputRows"] == 2
            assert second["stateOperators"][0]["numRowsTotal"] == 1
            await asyncio.sleep(2.0)
            assert times_of(last(job)) == {"watermark": "2023-11-14T22:13:45.000Z"}

    run_virtual(main)


def test_with_a_store_a_trigger_is_an_epoch_and_holds_what_is_in_front_of_its_barrier(
    tmp_path: Path,
) -> None:
    graph = timed(volatile=False)

    async def begin() -> list[TriggerReport]:
        async with graph.start(state=tmp_path) as job:
            await job.push("pairs", [(BASE + second, "ab"[second % 2]) for second in range(10)])
            epoch = await job.checkpoint()
            first = last(job)
            assert first["batchId"] == epoch
            assert first["numInputRows"] == 10
            assert first["runId"] == job.id != first["id"]
            state = first["stateOperators"][0]
            assert (state["numRowsTotal"], state.get("numRowsUpdated")) == (2, 2)
            assert first["durationMs"].keys() == {
                "addBatch", "walCommit", "commitOffsets", "triggerExecution",
            }  # fmt: skip
            await job.push("pairs", [(BASE + 40, "c")])
            await job.process_all_available()
            second = last(job)
            assert second["numInputRows"] == 1
            assert second["sink"]["numOutputRows"] == 2
            state = second["stateOperators"][0]
            assert (state.get("numRowsUpdated"), state.get("numRowsRemoved")) == (1, 2)
        return job.recent_progress

    async def go_on() -> list[TriggerReport]:
        async with graph.start(state=tmp_path) as job:
            await job.push("pairs", [(BASE + 41, "d")])
            await job.process_all_available()
        return job.recent_progress

    before, after = asyncio.run(begin()), asyncio.run(go_on())
    assert {one["id"] for one in before} == {one["id"] for one in after}
    assert {one["runId"] for one in before}.isdisjoint(one["runId"] for one in after)
    assert after[0]["batchId"] > before[-1]["batchId"]
    assert sum(one["numInputRows"] for one in after) == 1
    assert [one["stateOperators"][0]["numRowsTotal"] for one in after if one["numInputRows"]] == [2]


def test_every_record_is_in_one_epoch_also_those_of_a_source_that_ends(tmp_path: Path) -> None:
    async def main() -> Job:
        graph = Graph("counted")
        numbers = graph.read("numbers", InEpochs(30_000, 10_000))
        counts = numbers.key_by(lambda n: n % 7).via("count", fold(lambda: 0, lambda a, n: a + n))
        counts.to("out", sinks.collect([]))
        async with graph.start(state=State(tmp_path, interval=3600.0)) as job:
            await job.wait()
        return job

    job = asyncio.run(main())
    reports = job.recent_progress
    assert len(reports) > 2
    assert sum(one["numInputRows"] for one in reports) == 30_000
    assert (
        sum(one["sink"]["numOutputRows"] for one in reports)
        == job.progress().node("out").records_out
    )
    ends = [one["sources"][0]["endOffset"] for one in reports]
    assert ends[-1] == 29_999
    starts = [one["sources"][0]["startOffset"] for one in reports]
    assert starts == [None, *ends[:-1]]


def test_of_several_lanes_those_that_went_on_are_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("1\n2\n3\n")
    graph = Graph("lines")
    lines = graph.read("lines", sources.lines(str(tmp_path / "*.txt")))
    lines.to("out", sinks.collect([]))

    async def main() -> TriggerReport:
        async with graph.start() as job:
            await job.wait()
        return last(job)

    (source,) = asyncio.run(main())["sources"]
    assert source["startOffset"] == {}
    assert isinstance(source["endOffset"], dict)
    assert len(source["endOffset"]) == 2


def test_the_status_says_what_the_job_does() -> None:
    class Slow(CollectingSink[int]):
        async def write(self, records: object) -> None:
            await asyncio.sleep(10.0)

    async def main() -> None:
        graph = Graph("slow")
        graph.read("numbers", scripted(1, PAUSE(100.0))).to("out", Slow())
        job = graph.start()
        assert job.status["message"] == "Not started yet"
        assert not job.is_active
        async with job:
            await asyncio.sleep(1.0)
            assert job.is_active
            assert job.status == {
                "message": "Processing new data", "isDataAvailable": True, "isTriggerActive": True
            }  # fmt: skip
            await asyncio.sleep(20.0)
            assert job.status == {
                "message": "Waiting for data to arrive",
                "isDataAvailable": False,
                "isTriggerActive": False,
            }
            await job.stop()
        assert job.status["message"] == "Stopped"
        assert not job.is_active
        assert job.exception() is None

    run_virtual(main)


def test_a_failure_is_the_exception_and_the_message() -> None:
    async def main() -> None:
        graph, _ = pushed()
        job = graph.start()
        async with job:
            await job.push("numbers", [0])
            with pytest.raises(JobFailed):
                await job.process_all_available()
            with pytest.raises(JobFailed):
                await job.stop()
            raised.append(job)

    raised: list[Job] = []
    with pytest.raises(JobFailed):
        run_virtual(main)
    (job,) = raised
    assert isinstance(job.exception(), JobFailed)
    assert job.status["message"].startswith("Terminated with exception: graph 'pushed': ")
    assert json.dumps(job.recent_progress)


def test_all_available_has_been_processed_however_slow_it_is() -> None:
    class Slow(BatchFunction[int, int]):
        async def call(self, records: list[int]) -> list[int]:  # type: ignore[override]
            await asyncio.sleep(3.0)
            return records

    async def main() -> None:
        graph, out = Graph("slow"), list[int]()
        numbers = graph.read("numbers", sources.push())
        numbers.batch(3, linger=1.0).via("slow", Slow()).to("out", sinks.collect(out))
        async with graph.start() as job:
            for count in (1, 7):
                before = len(out)
                await job.push("numbers", list(range(count)))
                await job.process_all_available()
                assert len(out) == before + count
                assert last(job)["numInputRows"] == count

    run_virtual(main)


def test_it_waits_for_a_source_that_keeps_to_its_rate_and_for_one_that_has_ended() -> None:
    async def main() -> None:
        graph, out = Graph("paced"), list[int]()
        graph.read("numbers", sources.records([1, 2, 3], rate=0.5)).to("out", sinks.collect(out))
        async with graph.start() as job:
            await job.process_all_available()
            assert out == [1, 2, 3]
            await job.wait()
            await job.process_all_available()

    run_virtual(main)


def test_quiet_is_longer_than_the_pauses_of_a_source() -> None:
    async def every_two_seconds() -> AsyncIterator[int]:
        for number in range(3):
            yield number
            await asyncio.sleep(2.0)
        await asyncio.sleep(100.0)

    async def main() -> None:
        out: list[int] = []
        graph = Graph("pausing")
        graph.read("numbers", sources.generate(every_two_seconds)).to("out", sinks.collect(out))
        async with graph.start() as job:
            await job.process_all_available(quiet=0.5)
            assert out == [0]
            await job.process_all_available(quiet=5.0)
            assert out == [0, 1, 2]
            with pytest.raises(ValueError, match="quiet is a number of seconds from 0 on, not -1"):
                await job.process_all_available(quiet=-1)

    run_virtual(main)


@pytest.mark.parametrize("kind", ["files", "ndjson", "sqlite"])
def test_what_a_source_finds_at_its_next_look_has_arrived_too(kind: str, tmp_path: Path) -> None:
    def add(number: int) -> None:
        if kind == "sqlite":
            with contextlib.closing(sqlite3.connect(tmp_path / "rows.db")) as link, link:
                link.execute("create table if not exists rows (n integer primary key)")
                link.execute("insert into rows values (?)", [number])
        else:
            (tmp_path / f"{number}.json").write_text(f'{{"n": {number}}}\n')

    def source() -> Source[Row]:
        if kind == "sqlite":
            return sources.sqlite_table(tmp_path / "rows.db", "rows", key="n", poll_interval=3.0)
        if kind == "ndjson":
            return sources.ndjson_records(
                f"{tmp_path}/*.json", follow=True, poll_interval=3.0, rotation_wait=60.0
            )
        pytest.importorskip("duckdb")
        return sources.files(f"{tmp_path}/*.json", format="ndjson", follow=True, poll_interval=3.0)

    async def main() -> None:
        out: list[Row] = []
        graph = Graph("looking")
        graph.read("rows", source()).to("out", sinks.collect(out))
        async with graph.start() as job:
            for number in range(3):
                await job.process_all_available()
                assert [row["n"] for row in out] == list(range(number + 1))
                await asyncio.sleep(number)
                add(number + 1)
            await job.process_all_available()
            assert [row["n"] for row in out] == [0, 1, 2, 3]

    add(0)
    run_virtual(main)


def test_files_that_are_done_and_windows_of_columns_are_told_as_well(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    for number in range(3):
        lines = [json.dumps({"at": 10 * number + at}) for at in range(10)]
        (tmp_path / f"{number}.json").write_text("\n".join(lines) + "\n")
    graph = Graph("watched")
    files = sources.files(f"{tmp_path}/*.json", format="ndjson", max_files_per_trigger=1)
    operator = group_by(
        measures={"n": aggregates.count()},
        mode="append",
        window=windows.tumbling("10s"),
        time="at",
        unit="s",
        lateness="5s",
    )
    groups = graph.read("rows", files).via("groups", operator, volatile=True)
    groups.to("out", sinks.collect(list[Row]()))

    async def main() -> Job:
        async with graph.start() as job:
            await job.wait()
            return job

    first, second, *_ = asyncio.run(main()).recent_progress
    assert first["sources"][0]["startOffset"] in ({}, None)
    assert first["sources"][0]["endOffset"] == {f"{tmp_path}/0.json": 9}
    assert second["sources"][0]["endOffset"] == {f"{tmp_path}/1.json": 9}
    assert first.get("eventTime") == {"watermark": "1970-01-01T00:00:04.000Z"}
    assert second.get("eventTime") == {"watermark": "1970-01-01T00:00:14.000Z"}


def test_it_can_be_asked_from_other_threads_while_the_job_runs() -> None:
    graph = Graph("flow", max_batch_size=16)
    numbers = graph.read("numbers", sources.records(range(10_000)))
    counts = numbers.key_by(lambda n: n % 100).via(
        "count", fold(lambda: 0, lambda a, n: a + n), volatile=True
    )
    counts.to("out", sinks.collect([]))
    job = graph.start()
    ended, wrong = threading.Event(), list[object]()

    def look(ask: Callable[[], object]) -> None:
        while not ended.is_set():
            try:
                json.dumps(ask())
            except Exception as error:
                wrong.append(error)
                return

    asks = [lambda: job.status, lambda: job.recent_progress, lambda: job.last_progress]
    threads = [threading.Thread(target=look, args=(ask,)) for ask in asks]

    async def main() -> None:
        async with job:
            for thread in threads:
                thread.start()
            await job.wait()

    try:
        asyncio.run(main())
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert sum(one["numInputRows"] for one in job.recent_progress) == 10_000


def test_what_has_ended_is_not_told_anew_in_the_epochs_that_follow(tmp_path: Path) -> None:
    graph = Graph("two")
    ended = graph.read("ended", sources.records([(BASE, "a"), (BASE + 1, "b")]))
    at = ended.event_time(lambda pair: float(pair[0]), unit="s", lateness=5)
    at.key_by(lambda pair: str(pair[1])).via(
        "counted", window(windows.tumbling(10), aggregates.counting())
    ).to("out", sinks.collect([]))
    graph.read("going_on", sources.push(), lossy=True).to("other", sinks.collect([]))

    async def main() -> list[TriggerReport]:
        async with graph.start(state=tmp_path) as job:
            assert job.last_progress is None
            for number in range(3):
                await job.push("going_on", [number])
                await job.process_all_available()
        return job.recent_progress

    reports = asyncio.run(main())
    assert sum(one["numInputRows"] for one in reports) == 5
    assert sum(one["sink"]["numOutputRows"] for one in reports) == 5
    of_the_last = times_of(reports[-1])
    assert of_the_last.keys() <= {"watermark"}
    assert reports[-1]["stateOperators"][0].get("numRowsUpdated") == 0


def test_what_is_told_of_an_epoch_is_what_a_start_from_it_goes_on_behind(tmp_path: Path) -> None:
    graph = Graph("counted")
    numbers = graph.read("numbers", InEpochs(20_000, 5_000))
    numbers.key_by(lambda n: n // 100).via("count", fold(lambda: 0, lambda a, n: a + n)).to(
        "out", sinks.collect([])
    )

    async def run(from_epoch: int | None = None) -> tuple[Job, int]:
        state = State(tmp_path, interval=3600.0, keep=100, from_epoch=from_epoch)
        async with graph.start(state=state) as job:
            await job.wait()
        restored = job.restored
        assert restored is not None
        marks = restored.bookmarks("numbers")
        return job, -1 if not marks else marks[""].last

    first, _ = asyncio.run(run())
    middle = first.recent_progress[len(first.recent_progress) // 2]
    reached = middle["sources"][0]["endOffset"]
    assert isinstance(reached, int)
    assert 0 < reached < 19_999
    assert middle["stateOperators"][0]["numRowsTotal"] == reached // 100 + 1
    second, went_on_behind = asyncio.run(run(middle["batchId"]))
    assert went_on_behind == reached
    after = second.recent_progress
    assert after[0]["sources"][0]["startOffset"] == reached
    assert sum(one["numInputRows"] for one in after) == 19_999 - reached


class InGroups(Source[int]):
    """Groups of records, each with a trigger behind it; some seconds pass before each."""

    def __init__(self, *groups: list[int]) -> None:
        self._groups = groups

    async def open(self, context: Context) -> None:
        """Begin with the first."""
        self._left: list[list[int] | Trigger] = []
        for number, group in enumerate(self._groups):
            self._left += [group, Trigger(number)]

    async def read(self, limit: int) -> list[int] | Trigger | None:
        """The next group, or the trigger behind it."""
        if not self._left:
            return None
        following = self._left.pop(0)
        if not isinstance(following, Trigger):
            await asyncio.sleep(2.0)
        return following


def test_what_a_source_says_belongs_together_is_a_trigger_whoever_looks() -> None:
    async def main() -> None:
        graph = Graph("grouped")
        numbers = graph.read("numbers", InGroups([1, 2, 3], [4], list(range(500))))
        numbers.map(lambda n: n + 1).batch(7).to("out", sinks.collect([]))
        async with graph.start() as job:
            await asyncio.sleep(2.5)  # A look before the first group is a trigger of its own.
            for _ in range(60):
                await asyncio.sleep(0.05)
                job.status  # noqa: B018
                job.recent_progress  # noqa: B018
            await job.wait()
        reports = job.recent_progress
        assert [one["numInputRows"] for one in reports if one["numInputRows"]] == [3, 1, 500]
        assert [one["sink"]["numOutputRows"] for one in reports[:3]] == [3, 1, 500]
        assert [one["batchDuration"] for one in reports[:3]] == [2000, 2000, 2000]
        assert [one["sources"][0]["endOffset"] for one in reports[:3]] == [2, 3, 503]

    run_virtual(main)


def test_behind_a_group_no_trigger_of_nothing_is_told(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    told = list[int]()

    async def main() -> None:
        graph = Graph("followed")
        files = sources.files(tmp_path, format="ndjson", follow=True, poll_interval=0.01)
        graph.read("rows", files).to("out", sinks.collect([]))
        async with graph.start() as job:
            for number in range(3):
                (tmp_path / ".new").write_text('{"n": 1}\n' * (number + 1))
                (tmp_path / ".new").rename(tmp_path / f"{number}.json")
                await job.process_all_available()
                assert job.last_progress is not None
                told.append(job.last_progress["numInputRows"])
        told.extend(one["numInputRows"] for one in job.recent_progress)

    asyncio.run(main())
    assert told == [1, 2, 3, 1, 2, 3]


def test_where_streams_are_united_every_record_is_in_one_trigger() -> None:
    async def main() -> None:
        graph = Graph("united")
        numbers = graph.read("numbers", InGroups(*[[n, n] for n in range(50)]))
        united = numbers.map(lambda n: n, name="one").union(numbers.map(lambda n: n, name="other"))
        united.to("out", sinks.collect([]))
        async with graph.start() as job:
            await job.wait()
        reports = job.recent_progress
        assert [one["numInputRows"] for one in reports if one["numInputRows"]] == [2] * 50
        assert sum(one["sink"]["numOutputRows"] for one in reports) == 200

    run_virtual(main)
