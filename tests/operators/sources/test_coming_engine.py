"""The engine of a job: loaded while the job is made, taken once, and let go of."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from thalweg import Graph, JobFailed, Row
from thalweg.operators import sinks, sources
from thalweg.operators.sources import _coming_engine as coming_engine
from thalweg.operators.sources._coming_engine import ComingEngine
from thalweg.operators.sources._engine import Engine, Link, OutOfMemory
from thalweg.operators.sources._piece import Piece
from thalweg.operators.sources.files import Files
from thalweg.runtime.contracts import MisconfiguredError, MissingExtra, Trigger
from thalweg.runtime.plan import Plan
from thalweg.testing import context

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")
driver: Any = pytest.importorskip("adbc_driver_duckdb")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """The engines that are loaded, one after the other."""
    engines: list[Engine] = []

    class Noted(Engine):
        """Notes itself."""

        def __init__(self) -> None:
            super().__init__()
            engines.append(self)

    monkeypatch.setattr(coming_engine, "Engine", Noted)
    return engines


def pickled(one: Any) -> Any:
    return pickle.loads(pickle.dumps(one))


def wait_until_loaded() -> None:
    for thread in threading.enumerate():
        if thread.name == "thalweg-engine":
            thread.join(10)


def is_gone(engine: Engine) -> bool:
    """Whether nothing can be asked of it any more."""
    try:
        engine.link().close()
    except Exception:
        return True
    return False


def graph_of(folder: Path, out: list[Row], **options: Any) -> Graph:
    (folder / "a.json").write_text('{"n": 1}\n')
    graph = Graph("early")
    source = sources.files(folder / "*.json", format="ndjson", **options)
    graph.read("files", source).to("out", sinks.collect(out))
    return graph


def test_an_engine_is_loaded_before_it_is_asked_for(loaded: list[Engine]) -> None:
    coming = ComingEngine()
    coming.begin()
    coming.begin()
    wait_until_loaded()
    assert len(loaded) == 1
    with closing(coming.take()) as first, closing(coming.take()) as second:
        assert loaded == [first, second]
        assert first is not second
        for engine in (first, second):
            with closing(engine.link()) as link:
                assert link.rows("select 1") == [(1,)]


def test_what_goes_wrong_ahead_is_told_where_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(driver, "driver_path")
    coming = ComingEngine()
    coming.begin()
    with pytest.raises(MissingExtra, match="sql"):
        coming.take()
    with pytest.raises(MissingExtra, match="sql"):
        coming.take()


def test_an_engine_that_does_not_start_fails_the_job_and_not_its_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise OSError("the library is torn")

    monkeypatch.setattr(driver, "driver_path", broken)

    async def main() -> None:
        job = graph_of(tmp_path, []).start()
        with pytest.raises(JobFailed, match="the library is torn"):
            async with job:
                await job.wait()

    asyncio.run(main())


def test_what_the_engine_says_as_it_is_loaded_fails_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Engine:
        raise MisconfiguredError("DuckDB does not start")

    monkeypatch.setattr(coming_engine, "Engine", broken)
    with pytest.raises(JobFailed, match="DuckDB does not start"):
        graph_of(tmp_path, []).run()


def test_a_job_starts_where_there_are_no_more_threads(
    tmp_path: Path, loaded: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refused(threading.Thread):
        """One more than there may be."""

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(coming_engine, "Thread", Refused)
    out: list[Row] = []
    graph_of(tmp_path, out).run()
    assert out == [{"n": 1}]
    assert len(loaded) == 1


def test_a_job_loads_the_engine_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    begin, plan = ComingEngine.begin, Graph.plan

    def noted_begin(coming: ComingEngine) -> None:
        begun.append("engine")
        begin(coming)

    def noted_plan(graph: Graph) -> Plan:
        begun.append("plan")
        return plan(graph)

    monkeypatch.setattr(ComingEngine, "begin", noted_begin)
    monkeypatch.setattr(Graph, "plan", noted_plan)
    out: list[Row] = []
    graph = graph_of(tmp_path, out)
    assert begun == []
    graph.run()
    assert begun == ["engine", "plan"]
    assert out == [{"n": 1}]


def test_each_of_two_jobs_of_a_graph_has_an_engine_of_its_own(
    tmp_path: Path, loaded: list[Engine]
) -> None:
    out: list[Row] = []
    graph = graph_of(tmp_path, out)

    async def main() -> None:
        first, second = graph.start(), graph.start()
        async with first, second:
            await first.wait()
            await second.wait()

    asyncio.run(main())
    assert out == [{"n": 1}] * 2
    assert len(loaded) == 2
    assert all(is_gone(engine) for engine in loaded)


def test_what_a_job_that_is_never_entered_had_loaded_is_for_the_next(
    tmp_path: Path, loaded: list[Engine]
) -> None:
    out: list[Row] = []
    graph = graph_of(tmp_path, out)
    graph.start()
    graph.run()
    assert out == [{"n": 1}]
    assert len(loaded) == 1
    assert is_gone(loaded[0])


@pytest.mark.parametrize("soon", [True, False])
def test_an_engine_that_nobody_takes_goes_with_the_graph(
    tmp_path: Path, loaded: list[Engine], soon: bool
) -> None:
    graph = graph_of(tmp_path, [])
    graph.start()
    if not soon:
        wait_until_loaded()
    del graph
    gc.collect()
    wait_until_loaded()
    assert len(loaded) == 1
    assert is_gone(loaded[0])


@pytest.mark.parametrize("again", [copy.deepcopy, pickled])
def test_a_source_is_copied_and_pickled_while_its_engine_is_loaded(
    tmp_path: Path, loaded: list[Engine], again: Any
) -> None:
    (tmp_path / "a.json").write_text('{"n": 1}\n')
    source = sources.files(tmp_path, format="ndjson")
    source.load_ahead()
    other = again(source)
    other.load_ahead()
    wait_until_loaded()
    assert len(loaded) == 2


FORKED = """
import os, signal, sys
from thalweg import Graph
from thalweg.operators import sinks, sources

out = []
graph = Graph("forked")
graph.read("files", sources.files(sys.argv[1], format="ndjson")).to("out", sinks.collect(out))
job = graph.start()
child = os.fork()
if child == 0:
    signal.alarm(20)
graph.run()
assert out == [{"n": 1}], out
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_loads_an_engine_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"n": 1}\n')
    told = subprocess.run(
        [sys.executable, "-c", FORKED, str(path)], capture_output=True, text=True, timeout=50
    )
    assert told.returncode == 0, told.stderr


async def opened(folder: Path, count: int, **options: Any) -> Files:
    for number in range(count):
        (folder / f"{number}.json").write_text(f'{{"n": {number}}}\n')
    source = sources.files(folder / "*.json", format="ndjson", **options)
    await source.open(context())
    return source


async def next_row(source: Files) -> Row | None:
    while (read := await source.read(100)) is not None:
        if not isinstance(read, Trigger) and len(read.records):
            assert read.note == b""  # Nobody would keep it.
            return read.records[0]
    return None


def test_the_engine_goes_with_the_last_file(tmp_path: Path, loaded: list[Engine]) -> None:
    async def main() -> None:
        source = await opened(tmp_path, 5)
        (engine,) = loaded
        assert await next_row(source) == {"n": 0}
        assert not is_gone(engine)
        rows = [await next_row(source) for _ in range(5)]
        assert rows == [*({"n": number} for number in range(1, 5)), None]
        assert is_gone(engine)
        await source.close()

    asyncio.run(main())


def test_the_engine_stays_while_files_may_come(tmp_path: Path, loaded: list[Engine]) -> None:
    async def main() -> None:
        source = await opened(tmp_path, 1, follow=True, poll_interval=0.01)
        (engine,) = loaded
        assert await next_row(source) == {"n": 0}
        coming = asyncio.create_task(next_row(source))
        await asyncio.sleep(0.05)
        assert not is_gone(engine)
        (tmp_path / "1.json").write_text('{"n": 1}\n')
        assert await coming == {"n": 1}
        await source.close()
        assert is_gone(engine)

    asyncio.run(main())


def test_three_files_are_open_at_once(
    tmp_path: Path, loaded: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    links, link = list[Link](), Engine.link

    def noted(engine: Engine) -> Link:
        links.append(link(engine))
        return links[-1]

    async def main() -> None:
        source = await opened(tmp_path, 6, schema={"n": int})
        monkeypatch.setattr(Engine, "link", noted)
        for number in range(6):
            assert await next_row(source) == {"n": number}
            assert len(links) == min(number + 3, 6)
        await source.close()

    asyncio.run(main())
    assert is_gone(loaded[0])


def test_the_engine_goes_where_the_last_file_could_not_be_read(
    tmp_path: Path, loaded: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*_: Any, **__: Any) -> Iterator[Piece]:
        raise OutOfMemory("no memory is left")
        yield

    monkeypatch.setattr(sys.modules[Files.__module__], "pieces_of", torn)
    with pytest.raises(JobFailed, match="no memory is left"):
        graph_of(tmp_path, []).run()
    assert is_gone(loaded[0])


def test_a_source_that_is_closed_amid_its_files_lets_the_engine_go(
    tmp_path: Path, loaded: list[Engine]
) -> None:
    async def main() -> None:
        source = await opened(tmp_path, 4)
        assert await next_row(source) == {"n": 0}
        await source.close()
        await source.close()

    asyncio.run(main())
    (engine,) = loaded
    assert is_gone(engine)
