"""`thalweg test`: each seed in a process of its own, and what is said of them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thalweg.deploy.cli import main

FLOW = """\
from thalweg import Graph, setting
from thalweg.operators import sinks, sources
count = setting("count", 100, "how many", minimum=1)
graph = Graph("flow")
numbers = graph.read("numbers", sources.records(range(count)))
numbers.map(lambda n: {"n": n}).to("out", sinks.ndjson("out.ndjson"))
"""

FORGETFUL = """\
import helper
from thalweg import Graph, KeyedState, Operator
from thalweg.operators import sinks, sources
class Total:
    def __init__(self, value):
        self.value = value
class Sums(Operator):
    def __init__(self):
        self.sums = KeyedState()
    async def open(self, context):
        self.count = 0
    def process(self, n):
        total = self.sums.get(n % 3, Total(0))
        assert isinstance(total, Total)
        helper.seen += 1
        self.count += 1
        self.sums[n % 3] = Total(total.value + n)
        print("this is shown only for one seed")
        yield {"sum": total.value + n, "seen": SEEN}
graph = Graph("forgetful")
sums = graph.read("numbers", sources.records(range(100))).via("sums", Sums())
sums.to("out", sinks.ndjson("out.ndjson"))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "helper.py").write_text("seen = 0\n")
    # In a process that has just begun, what a module counts is as it was when it began, too.
    (tmp_path / "fine.py").write_text(FORGETFUL.replace("SEEN", "0"))
    (tmp_path / "wrong.py").write_text(FORGETFUL.replace("SEEN", "self.count"))
    (tmp_path / "fresh.py").write_text(FORGETFUL.replace("SEEN", "helper.seen == self.count"))
    return tmp_path


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command line."""
    try:
        status = main(["test", *words])
    except SystemExit as stop:
        status = int(str(stop.code))
    out, err = capfd.readouterr()
    return status, out, err


def test_a_graph_that_recovers_comes_through(
    capfd: pytest.CaptureFixture[str], folder: Path
) -> None:
    status, out, err = run(capfd, "flow.py", "--seeds", "20", "--jobs", "2")
    assert status == 0, out
    assert out.startswith("flow: 20 seeds, all came through (")
    assert " faults, " in out
    assert "did not" not in err
    assert not (folder / "out.ndjson").exists()


def test_classes_of_the_file_and_its_modules_are_as_in_a_new_process(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(capfd, "fine.py", "--seeds", "15", "--jobs", "2")[0] == 0
    assert run(capfd, "fresh.py", "--seeds", "15", "--jobs", "2")[0] == 0


def test_the_seed_that_failed_is_told_and_fails_again(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capfd, "wrong.py", "--seeds", "60", "--jobs", "2")
    assert status == 1
    assert "did not come through" in out
    assert "not as without faults" in out
    assert "this is shown" not in out
    again = shlex.split(out.splitlines()[-1].removeprefix("again: "))
    assert again[:4] == ["thalweg", "test", "wrong.py", "--seed"]
    told = out[out.index(f"seed {again[4]}:") :].split("\nseed ")[0].split("\nforgetful:")[0]
    status, out, err = run(capfd, *again[2:])
    assert status == 1
    assert told in out
    assert "this is shown only for one seed" in err


def test_what_was_found_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(
        capfd, "wrong.py", "--seeds", "40", "--jobs", "2", "--json", "--records", "50",
        "--faults", "process,store",
    )  # fmt: skip
    found = json.loads(out)
    assert status == 1
    assert found["graph"] == "forgetful"
    assert 20 <= found["seeds"] <= 40
    first = found["failed"][0]
    assert first["ok"] is False
    assert "out" in first["differences"]
    assert all(set(one) == {"at", "what"} for one in first["faults"])
    assert found["again"].endswith(f"--seed {first['seed']} --records 50 --faults process,store")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.py"], "there is no such file"),
        (["flow.py", "--set", "cuont=3"], "Did you mean 'count'"),
        (["flow.py", "--seeds", "0"], "a number, 1 or more, is asked for, not '0'"),
        (["flow.py", "--seed", "x"], "a number, 0 or more, is asked for, not 'x'"),
        (["flow.py", "--faults", "fire"], "not 'fire'"),
        (["flow.py", "--source", "numbers"], "--source takes NAME=FILE, not 'numbers'"),
        (["flow.py", "--source", "numbers=a", "--source", "numbers=b"], "is given twice"),
        (["flow.py", "--source", "numbers=a"], "numbers=a: No such file"),
        (["flow.py", "--source", "other=flow.ndjson"], "there is no source 'other'"),
        (["flow.py", "--source", "numbers=flow.py"], "line 1 is no JSON"),
        (["flow.py", "--source", "numbers=empty"], "there is no record in it"),
        (["pushed.py"], "--source orders=FILE.ndjson, one JSON value a line"),
        (["scored.py"], "--set endpoint=onnx:model.onnx"),
        (["network.py"], "asked for a connection to '127.0.0.1'"),
    ],
)
def test_what_cannot_be_tried_is_refused(
    capfd: pytest.CaptureFixture[str], folder: Path, words: list[str], says: str
) -> None:
    (folder / "empty").write_text("\n")
    (folder / "flow.ndjson").write_text("1\n")
    (folder / "pushed.py").write_text(
        FLOW.replace("sources.records(range(count))", "sources.push(), lossy=True")
        .replace('"numbers"', '"orders"')
    )  # fmt: skip
    (folder / "scored.py").write_text(
        FLOW.replace("import sinks", "import score, sinks").replace(
            '{"n": n})', '{"n": n}).via("s", score("oip+http://h/v2/models/m", fields={"n": "n"}))'
        )
    )
    (folder / "network.py").write_text(
        "import asyncio\n"
        + FLOW.replace("lambda n:", "ask, name='ask').map(lambda n:").replace(
            "numbers.map",
            "async def ask(n):\n    await asyncio.open_connection('127.0.0.1', 9)\nnumbers.map",
        )
    )
    status, _, err = run(capfd, *words)
    assert status == 2
    assert says in err


def test_a_source_that_cannot_be_read_again_is_given_records(
    capfd: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "orders.ndjson").write_text("".join(f"{n}\n" for n in range(40)))
    (folder / "pushed.py").write_text(
        FLOW.replace("sources.records(range(count))", "sources.push(), lossy=True")
        .replace('"numbers"', '"orders"')
    )  # fmt: skip
    words = ["pushed.py", "--source", "orders=orders.ndjson", "--seeds", "10", "--jobs", "2"]
    status, out, _ = run(capfd, *words)
    assert status == 0, out
    assert "400 records in sinks" in out


def test_a_seed_that_kills_its_process_or_never_ends_is_told(
    capfd: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "dies.py").write_text(
        "import os, signal\n"
        + FLOW.replace('{"n": n}', "os.kill(os.getpid(), signal.SIGSEGV) if n == 7 else n")
    )
    status, out, _ = run(capfd, "dies.py", "--seeds", "3", "--jobs", "2")
    assert status == 1
    assert "seed 0: its process was ended by SIGSEGV" in out
    (folder / "hangs.py").write_text(
        "import time\n" + FLOW.replace('{"n": n}', "time.sleep(1000) if n == 7 else n")
    )
    status, out, _ = run(capfd, "hangs.py", "--seeds", "2", "--jobs", "2", "--timeout", "1")
    assert status == 1
    assert "seed 1: it did not end in time" in out


def test_a_graph_that_fails_by_itself_is_told(
    capfd: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "fails.py").write_text(FLOW.replace('{"n": n}', "1 // (n - 50)"))
    status, out, _ = run(capfd, "fails.py", "--seeds", "2")
    assert status == 1
    assert "the graph fails without any fault" in out
    assert "numbers, record 50: ZeroDivisionError" in out


def test_who_is_stopped_leaves_no_process_behind(folder: Path) -> None:
    (folder / "hangs.py").write_text(
        "import os, time\n"
        "def hang(n):\n"
        "    open(f'{os.getpid()}.pid', 'w').close()\n"
        "    time.sleep(1000)\n"
        + FLOW.replace('{"n": n}', "hang(n)")
    )  # fmt: skip
    command = [sys.executable, "-m", "thalweg.deploy.cli", "test", "hangs.py", "--seeds", "4"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while not list(folder.glob("*.pid")) and time.monotonic() < until:
        time.sleep(0.05)
    pids = [int(path.stem) for path in folder.glob("*.pid")]
    assert pids
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    while time.monotonic() < until:
        if not any(_lives(pid) for pid in pids):
            return
        time.sleep(0.05)
    raise AssertionError(f"{pids} live on")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that is gone and not yet waited for.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
