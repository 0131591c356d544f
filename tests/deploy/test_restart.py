"""`thalweg run --state`: a process that is killed, stopped or broken goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg.deploy.commands.run import without_restart
from thalweg.deploy.restarting import Restarter

COMMAND = [sys.executable, "-m", "thalweg.deploy.cli", "run", "flow.py", "--progress", "plain"]

COUNTING = """\
import os, time
from thalweg import Graph, KeyedState, Operator, setting
from thalweg.operators import sinks, sources

rate = setting("rate", 5000, "records a second")
fail_at = setting("fail_at", -1, "where it breaks, until the file is there")

class Count(Operator):
    def __init__(self):
        self.counts = KeyedState()
    def process(self, n):
        self.counts[n % 10] = count = self.counts.get(n % 10, 0) + 1
        yield {"n": n, "count": count}

def check(n):
    if n == fail_at and not os.path.exists("broken"):
        open("broken", "w").close()
        os.abort()
    return n

graph = Graph("counting", max_batch_size=100)
numbers = graph.read("numbers", sources.records(range(5000), rate=rate))
numbers.map(check).via("count", Count()).to("out", sinks.ndjson("out.ndjson"))
"""
EXPECTED = [{"n": n, "count": n // 10 + 1} for n in range(5000)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.py").write_text(COUNTING)
    return tmp_path


def _start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--state", "state", "--interval", "0.1", *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=30)
    return process.returncode, said


def _written(folder: Path) -> list[dict[str, int]]:
    file = folder / "out.ndjson"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # Another process writes what is waited for.


def test_a_killed_job_goes_on_and_counts_right(folder: Path) -> None:
    for part in (500, 1500, 2500):
        process = _start(folder)
        _until(lambda part=part: len(_written(folder)) > part)  # type: ignore[misc]
        process.kill()
        _finish(process)
        assert _written(folder) == EXPECTED[: len(_written(folder))]
    status, said = _finish(_start(folder))
    assert status == 0
    assert "counting goes on from epoch" in said
    assert _written(folder) == EXPECTED


def test_sigterm_suspends_and_the_same_command_goes_on(folder: Path) -> None:
    process = _start(folder)
    _until(lambda: len(_written(folder)) > 500)
    process.send_signal(signal.SIGTERM)
    status, said = _finish(process)
    assert status == 0
    assert "SIGTERM: suspending" in said
    assert "counting suspended after" in said
    written = len(_written(folder))
    assert _written(folder) == EXPECTED[:written]
    assert written < 5000
    status, said = _finish(_start(folder, "--set", "rate=1000000"))
    assert status == 0
    assert _written(folder) == EXPECTED
    status, said = _finish(_start(folder))
    assert status == 0
    assert "had ended with epoch" in said
    assert _written(folder) == EXPECTED


def test_a_process_that_dies_is_started_again(folder: Path) -> None:
    status, said = _finish(_start(folder, "--restart", "3", "--set", "fail_at=2500"))
    assert status == 0
    assert "was ended by SIGABRT; started again in 1 s (restart 1 of 3)" in said
    assert _written(folder) == EXPECTED


def test_a_signal_reaches_the_process_behind_a_restarter(folder: Path) -> None:
    process = _start(folder, "--restart")
    _until(lambda: len(_written(folder)) > 500)
    process.send_signal(signal.SIGTERM)
    status, said = _finish(process)
    assert status == 0
    assert "counting suspended after" in said
    assert "started again" not in said


def test_when_the_restarter_is_killed_the_job_suspends(folder: Path) -> None:
    process = _start(folder, "--restart")
    _until(lambda: len(_written(folder)) > 500)
    process.kill()
    _, said = _finish(process)  # Its standard error is closed when the job has ended, too.
    assert "counting suspended after" in said


def test_a_job_that_breaks_each_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flow.py").write_text(
        COUNTING.replace('open("broken", "w").close()', "raise ValueError(n)")
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("thalweg.deploy.restarting._FIRST_PAUSE", 0.01)
    said: list[str] = []
    words = ["run", "flow.py", "--state", "state", "--set", "fail_at=3", "--progress", "none"]
    assert Restarter(words, limit=2, say=said.append).run() == 1
    assert [line.partition("(")[0] for line in said[:2]] == ["thalweg: it failed "] * 2
    assert said[-1].endswith("3 times in a row: not started again")


def test_what_does_not_go_together_is_refused(folder: Path) -> None:
    for options, message in (
        (["--interval", "2"], "--interval goes with --state"),
        (["--restart"], "--restart needs --state"),
        (["--forget", "count"], "--forget goes with --state"),
        (["--state", "s", "--interval", "0"], "interval is a number of seconds above 0"),
        (["--state", "mysql://host/database"], "postgresql://"),
        (["--state", "s", "--from-epoch", "3"], "no epoch"),
        (["--state", "s", "--restart", "some"], "a number"),
        (["--state", "s", "--restart", "--forget", "count"], "at every start"),
    ):
        found = subprocess.run(
            [*COMMAND, *options], cwd=folder, capture_output=True, text=True, check=False
        )
        assert found.returncode == 2, found.stderr
        assert message in found.stderr
        assert "Traceback" not in found.stderr
        assert not (folder / "out.ndjson").exists()


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["run", "a.py", "--restart", "--state", "s"], ["run", "a.py", "--state", "s"]),
        (["run", "--restart", "5", "a.py"], ["run", "a.py"]),
        (["run", "--restart=5", "a.py"], ["run", "a.py"]),
        (["run", "a.py"], ["run", "a.py"]),
    ],
)
def test_the_command_without_restart(words: list[str], kept: list[str]) -> None:
    assert without_restart(words) == kept


def test_a_second_copy_is_refused(folder: Path) -> None:
    first = _start(folder, "--set", "rate=500")  # It has to last until the second one asks.
    _until(lambda: len(_written(folder)) > 100)
    status, said = _finish(_start(folder))
    assert status == 1
    assert str(first.pid) in said
    assert "Traceback" not in said
    first.kill()
    _finish(first)
    status, _ = _finish(_start(folder, "--set", "rate=1000000"))
    assert status == 0
    assert _written(folder) == EXPECTED
