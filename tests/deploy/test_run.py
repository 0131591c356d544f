"""`thalweg run` as a process: signals, health while the loop is blocked, exit statuses."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

COMMAND = [sys.executable, "-m", "thalweg.deploy.cli", "run"]

ENDLESS = """\
import itertools
from thalweg import Graph
from thalweg.operators import sinks, sources
graph = Graph("endless")
numbers = graph.read("numbers", sources.records(itertools.count, rate=20_000))
numbers.map(lambda n: {"n": n}).batch(1_000, linger=60).to("kept", sinks.ndjson("kept.ndjson"))
"""

STUCK = """\
import itertools, os
from thalweg import Graph
from thalweg.operators import sinks, sources
import asyncio
async def hold(n):
    while n >= 1500 and not os.path.exists("go"):
        await asyncio.sleep(0.01)
graph = Graph("stuck", channel_batches=2)
numbers = graph.read("numbers", sources.records(itertools.count))
numbers.map(lambda n: n, name="same").to("held", sinks.each(hold))
"""

BLOCKED = """\
import os, time
from thalweg import Graph
from thalweg.operators import sinks, sources
def wait(n):
    while n == 5 and not os.path.exists("go"):
        time.sleep(0.05)
    return n
graph = Graph("blocked")
numbers = graph.read("numbers", sources.records(range(10)))
numbers.map(wait, name="slow").to("out", sinks.collect([]))
"""


FILES = """\
from thalweg import Graph
from thalweg.operators import sinks, sources
graph = Graph("files")
rows = graph.read("rows", sources.files("rows.json", format="ndjson"))
rows.to("out", sinks.collect([]))
"""


class Running:
    """A started `thalweg run` whose standard error is read line by line."""

    def __init__(self, folder: Path, text: str, *options: str) -> None:
        (folder / "flow.py").write_text(text)
        self.process = subprocess.Popen(
            [*COMMAND, "flow.py", "--progress", "plain", *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def line(self, pattern: str, *, seconds: float = 30) -> re.Match[str]:
        """The next line that matches."""
        deadline = time.monotonic() + seconds
        while (line := self._queue.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no line {pattern!r} in {self.lines}")

    def url(self) -> str:
        """Where it can be asked."""
        return self.line(r"(http://127\.0\.0\.1:\d+) tells")[1]

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, *, seconds: float = 30) -> tuple[int, str]:
        """The exit status and all that was said."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        while (line := self._queue.get_nowait()) is not None:
            self.lines.append(line)
        return status, "\n".join(self.lines)


Launch = Callable[..., Running]


@pytest.fixture
def launch(tmp_path: Path) -> Generator[Launch]:
    with contextlib.ExitStack() as stack:

        def launched(text: str, *options: str) -> Running:
            running = Running(tmp_path, text, *options)
            stack.callback(running.close)
            return running

        yield launched


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def ask_until(url: str, wanted: Callable[[str], bool], *, seconds: float = 30) -> str:
    deadline = time.monotonic() + seconds
    while True:
        _, text = ask(url)
        if wanted(text):
            return text
        assert time.monotonic() < deadline, f"{url} still says {text}"


def settled(text: str) -> int:
    return int(json.loads(text)["settled"])


def test_sigterm_in_mid_stream_loses_nothing(launch: Launch, tmp_path: Path) -> None:
    running = launch(ENDLESS, "--http", "127.0.0.1:0")
    ask_until(running.url() + "/progress", lambda text: settled(text) > 2_000)
    running.signal(signal.SIGTERM)
    status, said = running.end()
    assert status == 0, said
    assert "SIGTERM: draining, for 30 s at most; a second signal cancels" in said
    summary = re.search(r"endless drained after .* s: ([\d,]+) records read", said)
    assert summary is not None
    kept = [json.loads(line)["n"] for line in (tmp_path / "kept.ndjson").read_text().splitlines()]
    assert kept == list(range(int(summary[1].replace(",", ""))))
    assert f"  kept          {summary[1]}" in said


def test_a_second_signal_cancels_and_counts(launch: Launch) -> None:
    running = launch(STUCK, "--http", ":0")
    url = running.url()
    ask_until(url + "/progress", lambda text: settled(text) == 1024)
    running.signal(signal.SIGINT)
    running.line("SIGINT: draining")
    ask_until(url + "/readyz", lambda text: text == "draining\n")
    running.signal(signal.SIGTERM)
    status, said = running.end()
    assert status == 3, said
    assert "SIGTERM: cancelling; a third signal ends the process at once" in said
    found = r"graph 'stuck' was cancelled with ([\d,]+) records read and not confirmed"
    left = re.search(found, said)
    assert left is not None
    unprocessed = re.findall(r"  unprocessed  (\w+): ([\d,]+)", said)
    assert {actor for actor, _ in unprocessed} >= {"held"}
    assert sum(int(count.replace(",", "")) for _, count in unprocessed) == int(
        left[1].replace(",", "")
    )
    assert "  settled      numbers: through record 1,023" in said


def test_a_drain_that_takes_too_long_is_cancelled(launch: Launch) -> None:
    running = launch(STUCK, "--http", ":0", "--drain-timeout", "0.1")
    ask_until(running.url() + "/progress", lambda text: settled(text) == 1024)
    running.signal(signal.SIGTERM)
    status, said = running.end()
    assert status == 3, said
    assert "SIGTERM: draining, for 0.1 s at most" in said
    assert "  unprocessed  held: " in said
    assert "  settled      numbers: through record 1,023" in said


def test_a_scrape_while_draining_gets_a_whole_answer(launch: Launch, tmp_path: Path) -> None:
    running = launch(STUCK, "--http", ":0")
    url = running.url()
    ask_until(url + "/progress", lambda text: settled(text) == 1024)
    assert ask(url + "/readyz") == (200, "running\n")
    running.signal(signal.SIGTERM)
    ask_until(url + "/readyz", lambda text: text == "draining\n")
    assert ask(url + "/readyz") == (503, "draining\n")
    status, metrics = ask(url + "/metrics")
    assert status == 200
    states = {
        sample.labels["state"]: sample.value
        for family in text_string_to_metric_families(metrics)
        if family.name == "thalweg_job_state"
        for sample in family.samples
    }
    assert [state for state, value in states.items() if value] == ["draining"]
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, text=True)
        assert checked.returncode == 0
    (tmp_path / "go").touch()
    status, said = running.end()
    assert status == 0, said


def test_the_watchdog_names_who_blocks_while_metrics_are_served(
    launch: Launch, tmp_path: Path
) -> None:
    running = launch(BLOCKED, "--http", ":0")
    url = running.url()
    told = r"operator 'slow' has blocked the event loop for \d\.\d s at flow\.py:6 in wait"
    running.line(told)
    status, health = ask(url + "/healthz")
    assert status == 503
    assert re.match(told, health)
    status, metrics = ask(url + "/metrics")
    assert status == 200
    assert 'thalweg_job_state{graph="blocked",state="running"} 1.0' in metrics
    assert ask(url + "/readyz")[0] == 200
    (tmp_path / "go").touch()
    status, said = running.end()
    assert status == 0, said
    assert "10 records read" in said


def test_a_signal_is_answered_while_the_loop_is_blocked(launch: Launch, tmp_path: Path) -> None:
    running = launch(BLOCKED)
    running.line("operator 'slow' has blocked")
    running.signal(signal.SIGTERM)
    running.line("SIGTERM: draining")
    (tmp_path / "go").touch()
    status, said = running.end()
    assert status == 0, said


def test_a_third_signal_ends_the_process_at_once(launch: Launch) -> None:
    running = launch(BLOCKED)
    running.line("operator 'slow' has blocked")
    running.signal(signal.SIGTERM)
    running.line("SIGTERM: draining")
    running.signal(signal.SIGTERM)
    running.line("SIGTERM: cancelling")
    running.signal(signal.SIGTERM)
    status, _ = running.end()
    assert status == -signal.SIGTERM


def test_the_columns_that_were_seen_in_files_are_printed(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"n": 1, "word": "a"}\n')
    running = launch(FILES)
    running.line(r"rows: the columns are held as")
    running.line(r"^schema=\{")
    running.line(r'^    "n": "BIGINT",')
    running.line(r'^    "word": "VARCHAR",')
    running.line(r"^\}")
    assert running.process.wait(30) == 0


def test_a_job_that_is_still_opening_is_stopped(launch: Launch) -> None:
    text = """\
import asyncio, sys
from thalweg import Graph, Source
from thalweg.operators import sinks
class Late(Source):
    async def open(self, context, position=None):
        print("opening", file=sys.stderr, flush=True)
        await asyncio.Event().wait()
    async def read(self, limit):
        return None
graph = Graph("late")
graph.read("late", Late()).to("out", sinks.collect([]))
"""
    running = launch(text)
    running.line("opening")
    running.signal(signal.SIGTERM)
    status, said = running.end()
    assert status == 0, said
    assert "thalweg: late was stopped before it began" in said


def test_a_port_that_is_taken_stops_everything_before_it_begins(
    launch: Launch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = launch(ENDLESS, "--http", f"127.0.0.1:{port}").end()
    assert (status, said) == (
        2,
        f"thalweg: cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose another port, or port 0 for a free one",
    )
    assert not (tmp_path / "kept.ndjson").exists()


def test_an_address_that_others_can_reach_is_warned_of(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    running = launch(BLOCKED, "--http", "0.0.0.0:0")
    running.line(
        r"warning: 0\.0\.0\.0:\d+ can be reached from other machines, and asks nobody who they are"
    )
    assert running.end()[0] == 0


def test_a_terminal_gets_one_live_line(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(BLOCKED)
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [*COMMAND, "flow.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=slave, env=environment
    )
    os.close(slave)
    seen = b""
    with contextlib.ExitStack() as stack:
        stack.enter_context(process)
        stack.callback(process.kill)
        terminal = stack.enter_context(open(master, "rb", buffering=0))
        while b"in flight" not in seen:
            seen += terminal.read(4096)
        (tmp_path / "go").touch()
        with contextlib.suppress(OSError):  # the other side has closed: the process has ended
            while more := terminal.read(4096):
                seen += more
        assert process.communicate()[0] == b""
    assert process.returncode == 0
    text = seen.decode()
    assert "blocked  10 records  " in text
    assert "out 0  in flight 10" in text
    assert "\r\x1b[K" in text
    assert text.rpartition("\x1b[K")[2].startswith("blocked ended after ")
