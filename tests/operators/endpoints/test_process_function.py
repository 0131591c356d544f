from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from thalweg import Graph
from thalweg.operators import score, sinks, sources
from thalweg.operators.endpoints import Answer, Endpoint, function
from thalweg.runtime.context import Context
from thalweg.runtime.contracts import Retry
from thalweg.runtime.errors import BusyError, DataError, MisconfiguredError, UnavailableError
from thalweg.testing import run_virtual

from .ending import gone_within, is_gone

MODELS = '''
"""What the processes import."""
import os
import sys
import time
from pathlib import Path

from thalweg.runtime.contracts import BusyError, UnavailableError


def total(rows):
    return [row["a"] + row["b"] for row in rows]


def who(rows):
    return [{"process": os.getpid(), "rows": len(rows), "threads": row["a"]} for row in rows]


def inverse(rows):
    return [1 / row["a"] for row in rows]


def short(rows):
    return rows[1:]


def hidden(rows):
    return [lambda: row for row in rows]


def busy(rows):
    raise BusyError("later", retry_after=3.0)


def broken(rows):
    raise UnavailableError("no licence", answered=True)


def leave(rows):
    if any(row["a"] == 0 for row in rows):
        os._exit(9)
    return total(rows)


def hang(rows):
    """For ever, at the first call for the folder that is named."""
    folder = Path(rows[0]["a"])
    try:
        (folder / "begun").touch(exist_ok=False)
    except FileExistsError:
        return [os.getpid() for _ in rows]
    (folder / "process").write_text(str(os.getpid()))
    while True:
        pass


class Adds:
    def __init__(self, more):
        self.more = more

    def __call__(self, rows):
        return [row["a"] + self.more for row in rows]
'''


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "models_beside.py").write_text(MODELS)
    os.mkfifo(tmp_path / "process")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "models_beside", raising=False)
    return import_module("models_beside")


@asynccontextmanager
async def opened(context: Context, call: Any, workers: int = 1) -> AsyncGenerator[Endpoint]:
    endpoint = function(call, where="process", workers=workers)
    try:
        await endpoint.open(context)
        yield endpoint
    finally:
        await endpoint.close()
        assert multiprocessing.active_children() == []


def hung(folder: Path) -> int:
    """The process that hangs, as soon as it does."""
    return int((folder / "process").read_text())


FIELDS = ("a", "b")
ROWS: list[tuple[object, ...]] = [(1, 2), (3, 4)]


@pytest.mark.asyncio
async def test_a_batch_is_answered_by_another_process(context: Context, models: Any) -> None:
    async with opened(context, models.total) as endpoint:
        assert await endpoint.predict(FIELDS, ROWS) == Answer(("prediction",), [(3,), (7,)])
    async with opened(context, models.who) as endpoint:
        answer = await endpoint.predict(FIELDS, ROWS)
    assert answer.fields == ("process", "rows", "threads")
    (first, count, _), (second, *_) = answer.rows
    assert first == second != os.getpid()
    assert count == 2


@pytest.mark.asyncio
async def test_an_object_that_is_called_keeps_what_it_holds(context: Context, models: Any) -> None:
    async with opened(context, models.Adds(10)) as endpoint:
        assert (await endpoint.predict(FIELDS, ROWS)).rows == [(11,), (13,)]


@pytest.mark.asyncio
async def test_workers_work_at_the_same_time(context: Context, models: Any, tmp_path: Path) -> None:
    async with opened(context, models.hang, workers=2) as endpoint:
        hanging = asyncio.create_task(endpoint.predict(FIELDS, [(str(tmp_path), 0)]))
        first = await asyncio.to_thread(hung, tmp_path)
        ((other,),) = (await endpoint.predict(FIELDS, [(str(tmp_path), 0)])).rows
        assert other != first
        assert not hanging.done()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
    assert is_gone(first)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("inverse", r"inverse raised ZeroDivisionError: division by zero \(.*models_beside\.py:\d"),
        ("short", "short returned 1 results for 2 rows"),
        ("hidden", "hidden raised .*pickle"),
    ],
)
async def test_what_it_raises_blames_the_rows_and_the_process_stays(
    context: Context, models: Any, name: str, told: str
) -> None:
    async with opened(context, getattr(models, name)) as endpoint:
        before = {child.pid for child in multiprocessing.active_children()}
        with pytest.raises(DataError, match=told):
            await endpoint.predict(FIELDS, [(0, 1), (1, 1)])
        assert {child.pid for child in multiprocessing.active_children()} == before


@pytest.mark.asyncio
async def test_a_typed_error_passes_with_what_it_tells(context: Context, models: Any) -> None:
    async with opened(context, models.busy) as endpoint:
        with pytest.raises(BusyError, match=r"^later$") as busy:
            await endpoint.predict(FIELDS, ROWS)
    assert busy.value.retry_after == 3.0
    async with opened(context, models.broken) as endpoint:
        with pytest.raises(UnavailableError, match=r"^no licence$") as broken:
            await endpoint.predict(FIELDS, ROWS)
    assert broken.value.answered


@pytest.mark.asyncio
async def test_a_process_that_dies_is_unavailable_and_replaced(
    context: Context, models: Any
) -> None:
    async with opened(context, models.leave) as endpoint:
        with pytest.raises(UnavailableError, match="leave ended with status 9 during a") as told:
            await endpoint.predict(FIELDS, [(0, 1)])
        assert told.value.answered
        assert (await endpoint.predict(FIELDS, ROWS)).rows == [(3,), (7,)]


@pytest.mark.asyncio
async def test_an_interrupt_of_the_terminal_ends_no_process(context: Context, models: Any) -> None:
    async with opened(context, models.total) as endpoint:
        (worker,) = multiprocessing.active_children()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)
        assert (await endpoint.predict(FIELDS, ROWS)).rows == [(3,), (7,)]


@pytest.mark.asyncio
async def test_one_that_died_between_two_calls_is_replaced(context: Context, models: Any) -> None:
    async with opened(context, models.total) as endpoint:
        (worker,) = multiprocessing.active_children()
        worker.kill()
        worker.join()
        with pytest.raises(UnavailableError, match="ended with status -9"):
            await endpoint.predict(FIELDS, ROWS)
        assert (await endpoint.predict(FIELDS, ROWS)).rows == [(3,), (7,)]


@pytest.mark.asyncio
async def test_a_call_that_is_given_up_has_its_process_killed(
    context: Context, models: Any, tmp_path: Path
) -> None:
    async with opened(context, models.hang) as endpoint:
        row = (str(tmp_path), 0)
        hanging = asyncio.create_task(endpoint.predict(FIELDS, [row]))
        process = await asyncio.to_thread(hung, tmp_path)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert await asyncio.to_thread(gone_within, process, 30.0)
        ((other,),) = (await endpoint.predict(FIELDS, [row])).rows
        assert other != process


def test_a_call_that_is_late_is_repeated_by_a_process_that_is_new(
    models: Any, tmp_path: Path
) -> None:
    graph = Graph("late")
    records = graph.read("records", sources.records([{"a": str(tmp_path)}]))
    endpoint = function(models.hang, where="process")
    scored = records.via("score", score(endpoint, fields={"a": "a"}, timeout=1.0))
    seen: list[Any] = []
    scored.to("seen", sinks.each(seen.append))
    with ThreadPoolExecutor() as pool:
        late = pool.submit(hung, tmp_path)
        graph.run()
    assert [record["prediction"] != late.result() for record in seen] == [True]
    assert is_gone(late.result())


def test_a_record_that_kills_its_process_is_found_and_given_up_alone(models: Any) -> None:
    async def run() -> None:
        graph = Graph("killer")
        given = [{"a": n, "b": 1} for n in (1, 2, 0, 4)]
        records = graph.read("records", sources.records([{"a": 9, "b": 0}, *given]))
        endpoint = function(models.leave, where="process")
        retry = Retry(attempts=2, first=0.1)
        scored = records.batch(4).via(
            "score", score(endpoint, fields={"a": "a", "b": "b"}, retry=retry)
        )
        scored.to("scored", sinks.each(lambda record: seen.append(record["prediction"])))
        scored.failed.to("failed", sinks.each(failed.append))
        async with graph.start() as job:
            await job.wait()

    seen: list[Any] = []
    failed: list[Any] = []
    # Its clock stands still while a process works, and jumps over the pauses between the tries.
    run_virtual(run)
    assert seen == [9, 2, 3, 5]
    assert [letter.record["a"] for letter in failed] == [0]
    assert "ended with status 9" in failed[0].error.message


@pytest.mark.asyncio
async def test_a_module_that_does_not_import_in_the_process_is_a_misconfiguration(
    context: Context, models: Any, tmp_path: Path
) -> None:
    (tmp_path / "models_beside.py").write_text("import nothing_of_the_kind")
    with pytest.raises(
        MisconfiguredError, match=r"a process cannot import total: ModuleNotFoundError: .*kind"
    ):
        async with opened(context, models.total, workers=2):
            pass


@pytest.mark.asyncio
async def test_a_process_that_ends_before_it_is_ready_is_a_misconfiguration(
    context: Context, models: Any, tmp_path: Path
) -> None:
    (tmp_path / "models_beside.py").write_text("import os\nos._exit(3)")
    with pytest.raises(MisconfiguredError, match="total ended with status 3 before it was ready"):
        async with opened(context, models.total):
            pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("call", ["total", "hang"])
def test_no_process_outlives_the_one_that_started_it(
    models: Any, tmp_path: Path, call: str, how: signal.Signals
) -> None:
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import asyncio, multiprocessing, sys\n"
        "from models_beside import total, hang\n"
        "from thalweg.operators.endpoints import function\n"
        "from thalweg.testing import context\n"
        "async def main():\n"
        f"    endpoint = function({call}, where='process')\n"
        "    await endpoint.open(context())\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        f"    await endpoint.predict(('a', 'b'), [({str(tmp_path)!r}, '')])\n"
        "    print('answered', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        if call == "hang":
            assert hung(tmp_path) == worker
        else:
            assert process.stdout.readline() == "answered\n"
        assert not is_gone(worker)
        process.send_signal(how)
        process.wait(30)
    assert gone_within(worker, 30.0)


def test_wrong_options_are_told_when_the_graph_is_built(models: Any) -> None:
    async def later(rows: list[dict[str, Any]]) -> list[Any]:
        return rows

    with pytest.raises(ValueError, match="where is 'loop', 'thread' or 'process', not 'cloud'"):
        function(models.total, where="cloud")  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(ValueError, match="later is async, and runs on the loop"):
        function(later, where="thread")
    with pytest.raises(ValueError, match="total is not async, and would hold up the loop"):
        function(models.total, where="loop")
    with pytest.raises(ValueError, match="workers is a number from 1 to 64, not 0"):
        function(models.total, where="process", workers=0)
    with pytest.raises(ValueError, match="workers is the number of processes: say where="):
        function(models.total, workers=2)
    with pytest.raises(TypeError, match="<lambda> has no name that another process"):
        function(lambda rows: rows, where="process")


def test_it_shows_where_it_runs(models: Any) -> None:
    shown = repr(function(models.total, where="process", workers=3))
    assert shown == "function(total, where='process', workers=3)"
