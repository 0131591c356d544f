"""Jobs that are found by their names from another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from thalweg import ThalwegError
from thalweg.deploy.cli import main
from thalweg.deploy.running_jobs import RunningJob, find_job, running_jobs, told

HELD = """
import sys
from thalweg.deploy.running_jobs import RunningJob, told
with told(RunningJob("held", "a" * 16, 7, "127.0.0.1:1")):
    print("told", flush=True)
    sys.stdin.read()
"""

GRAPH = """
from thalweg import Graph
from thalweg.operators import sinks, sources
graph = Graph("kept_open")
graph.read("rows", sources.push()).to("rows_table", sinks.table("rows", columns={"n": int}))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THALWEG_JOBS", str(tmp_path / "jobs"))
    return tmp_path / "jobs"


def job(name: str, number: int = 1, address: str | None = None) -> RunningJob:
    return RunningJob(name, f"{number:016x}", number, address)


def test_a_job_is_found_by_name_and_by_id_while_it_is_told() -> None:
    with told(job("words")), told(job("numbers", 2)):
        assert running_jobs() == [job("numbers", 2), job("words")]
        assert find_job("words") == find_job(f"{1:016x}") == job("words")
    assert running_jobs() == []


def test_of_several_with_one_name_the_id_is_asked_for() -> None:
    with told(job("words")), told(job("words", 2)):
        with pytest.raises(ThalwegError, match="2 jobs 'words' run here: ask for one by its id"):
            find_job("words")
        assert find_job(f"{2:016x}") == job("words", 2)


def test_a_name_that_none_has_is_told_with_those_there_are() -> None:
    with told(job("words")), pytest.raises(ThalwegError, match=r"there is words\. Did you mean"):
        find_job("wrods")


def test_what_a_killed_process_leaves_is_no_job_and_is_taken_away(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "told\n"
        assert [one.name for one in running_jobs()] == ["held"]
        process.kill()
    assert [path.name for path in folder.iterdir()] == ["a" * 16 + ".json"]
    assert running_jobs() == []
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_can_write_to_tells_nothing(folder: Path) -> None:
    with told(job("words")):
        os.chmod(folder, 0o777)
        assert running_jobs() == []
    with pytest.raises(ThalwegError, match="only you can write to"), told(job("words")):
        pass
    folder.chmod(0o700)
    assert list(folder.iterdir()) == []


def test_a_file_of_another_version_is_passed_over(folder: Path) -> None:
    with told(job("words")):
        path = next(folder.iterdir())
        path.write_text(json.dumps({"name": "words", "what": "else"}))
        assert running_jobs() == []


def test_a_job_without_http_says_how_it_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with told(job("words", 7)):
        assert main(["sql", "words", "select 1"]) == 2
    assert "the job 'words' (process 7) answers nobody: run it with --http" in (
        capsys.readouterr().err
    )


def test_jobs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with told(job("words", 7)), told(job("numbers", 8, "127.0.0.1:9464")):
        assert main(["jobs"]) == 0
        listed = capsys.readouterr().out.splitlines()
        assert main(["jobs", "--json"]) == 0
    assert listed == [
        f"numbers  {8:016x}  process 8  127.0.0.1:9464",
        f"words  {7:016x}  process 7  without --http",
    ]
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["numbers", "words"]


@pytest.fixture
def launched(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    pytest.importorskip("duckdb")
    pytest.importorskip("aiohttp")
    (tmp_path / "flow.py").write_text(GRAPH)
    words = ["-m", "thalweg.deploy.cli", "run", "flow.py", "--http", "0.0.0.0:0"]
    with subprocess.Popen(
        [sys.executable, *words, "--progress", "none"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_job_that_runs_is_asked_by_its_name(
    launched: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert launched.stderr is not None
    while "answers POST /sql" not in launched.stderr.readline():
        assert launched.poll() is None
    # It is told before it begins, and its tables are there when it has begun.
    while main(["sql", "kept_open", "select count(*) as rows from rows"]) != 0:
        said = capsys.readouterr().err
        assert "you run no job" in said or "has begun" in said or "nothing has come" in said
    assert capsys.readouterr().out.splitlines()[2].strip() == "0"
    launched.terminate()
    launched.wait(30)
    assert main(["sql", "kept_open", "from rows"]) == 2
    assert "you run no job 'kept_open' on this machine; there is none" in capsys.readouterr().err
