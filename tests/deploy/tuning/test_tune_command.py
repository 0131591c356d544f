"""`thalweg tune`: what is printed where, the exit statuses, and a real server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from thalweg.deploy.cli import main

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "graphs" / "models" / "iris.onnx"
COMMAND = (sys.executable, "-m", "thalweg.deploy.cli")

FLOW = """\
import asyncio, pathlib, time
from thalweg import BatchFunction, Graph, setting
from thalweg.operators import Throughput, sinks, sources
pace = setting("pace", 0.002, "seconds of a call")
class Ask(BatchFunction):
    repeatable = True
    max_in_flight = 2
    tune = Throughput(p99=0.125, max_in_flight=4, max_batch_size=256)
    async def call(self, records):
        await asyncio.sleep(pace)
        return list(records)
graph = Graph("flow")
numbers = graph.read("numbers", sources.ndjson_records("numbers.ndjson"))
read = numbers.map(lambda r: {**r, "twice": 2 * r["n"]}, name="twice").batch(32)
read.via("ask", Ask()).to("out", sinks.ndjson("out.ndjson"))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "numbers.ndjson").write_text("".join(f'{{"n": {n}}}\n' for n in range(50)))
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `thalweg tune` with these words."""
    try:
        status = main(("tune", *words))
    except SystemExit as stop:
        status = int(str(stop.code))
    out, err = capsys.readouterr()
    return status, out, err


def test_it_prints_a_table_draws_the_curve_and_writes_nothing_else(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    status, out, err = run(capsys, "flow.py", "--for", "6", "--plot", "tune.svg")
    assert status == 0
    *lines, last = err.splitlines()
    assert last == "thalweg: the curve is in tune.svg"
    assert all(line.startswith("  5 s  ") for line in lines)
    heading, table, _, pasted = out.rstrip("\n").split("\n\n")
    assert re.fullmatch(
        r"flow: ask tuned for [56] s with 50 records, again and again; p99 within 125 ms", heading
    )
    assert re.match(r" +batch  in flight +records/s +p50 +p99 +failures\n", table)
    assert len([line for line in table.splitlines() if line.startswith("*")]) == 1
    assert re.search(
        r"\n    \.batch\(\d+, linger=[\d.e-]+\)\n    Ask\(…, max_in_flight=\d\)$", pasted
    )
    ElementTree.parse(folder / "tune.svg")
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "flow.py",
        "numbers.ndjson",
        "tune.svg",
    ]


def test_a_program_gets_json_and_nothing_else_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("flow.py", "--operator", "ask", "--for", "5", "--json", "--max-in-flight", "3")
    status, out, err = run(capsys, *words, "--p99", "1.5", "--set", "pace=0.004")
    assert (status, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    assert (found["graph"], found["operator"], found["p99_bound"]) == ("flow", "ask", 1.5)
    first = found["points"][0]
    assert (first["max_batch_size"], first["max_in_flight"]) == (32, 2)
    assert all(point["max_in_flight"] <= 3 for point in found["points"])
    assert all(point["max_batch_size"] <= 256 for point in found["points"])
    assert found["best"]["within_bound"]
    assert found["best"]["linger"] <= 1.5 / 4
    assert found["sample"]["records"] == 50
    assert len(found["settings"]) == 2


def test_where_no_setting_keeps_the_bound_the_exit_status_is_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = run(capsys, "flow.py", "--for", "5", "--p99", "0.001")
    assert status == 1
    assert "no setting kept to the bound" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flow.py", "--operator", "aks"],
         "graph 'flow' has no operator 'aks'. Did you mean 'ask'? What can be tuned: ask"),
        (["flow.py", "--operator", "twice"], "'twice' is a map whose calls are not measured"),
        (["flow.py", "--source", "n=numbers.ndjson"], "there is no source 'n'; they are numbers"),
        (["flow.py", "--source", "numbers=none.ndjson"], "none.ndjson: No such file"),
        (["flow.py", "--source", "numbers=flow.py"], "--source numbers=flow.py: this is no JSON"),
        (["flow.py", "--plot", "nowhere/tune.svg"], "there is no folder 'nowhere'"),
        (["flow.py", "--plot", "tune.png"], "name a file that ends in .svg, not 'tune.png'"),
        (["flow.py", "--for", "4"], "a search takes 5 s at least, not '4'"),
        (["flow.py", "--p99", "0"], "a number of seconds above 0 is asked for"),
        (["flow.py", "--records", "none"], "a number, 1 or more, is asked for"),
        (["flow.py", "--max-in-flight", "20000"], "max_in_flight is 1 to 10,000, not 20000"),
    ],
)  # fmt: skip
def test_wrong_words_are_told_before_anything_runs(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_graph_with_nothing_to_tune_says_so(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "plain.py").write_text(
        "from thalweg import Graph\nfrom thalweg.operators import sinks, sources\n"
        'graph = Graph("plain")\n'
        'graph.read("numbers", sources.records([1])).to("out", sinks.collect([]))\n'
    )
    status, _, err = run(capsys, "plain.py")
    assert status == 2
    assert err.startswith("thalweg: graph 'plain' has nothing to tune: what can be is an operator")


def test_a_source_that_cannot_be_read_is_a_failure(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "numbers.ndjson").unlink()
    status, _, err = run(capsys, "flow.py", "--for", "5")
    assert status == 1
    assert "numbers.ndjson" in err
    assert "Traceback" not in err


@contextmanager
def _serving(faults: str) -> Generator[str]:
    """The endpoint of a server process with these faults."""
    command = (*COMMAND, "serve", str(MODEL), "--port", "0", "--fault", faults)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"endpoint=(oip\+http://[^']+)'", server.stdout.readline())
            assert found is not None
            yield found[1]
        finally:
            server.kill()


def test_against_a_real_server_it_finds_more_than_the_graph_has_and_ctrl_c_prints_it(
    folder: Path,
) -> None:
    with _serving("latency=20ms,per_row=100us,workers=4") as endpoint:
        words = ("tune", "iris_scoring", "--set", f"endpoint={endpoint}", "--p99", "2")
        small = ("--set", "max_batch_size=16", "--set", "max_in_flight=2", "--json")
        with subprocess.Popen(
            (*COMMAND, *words, *small), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as tuning:
            try:
                assert tuning.stderr is not None
                line = tuning.stderr.readline()
                assert tuning.stderr.readline().startswith(" 10 s  ")
                assert re.match(
                    r"  5 s  [\d,]+ records/s  p50 [\d.]+ ms  p99 [\d.]+ ms  failures 0  at \d+ in "
                    r"flight, batches of [\d,]+  (server|network|client): ",
                    line,
                )
                tuning.send_signal(signal.SIGINT)
                out, err = tuning.communicate(timeout=20)
            finally:
                tuning.kill()
    assert tuning.returncode == 0
    assert err == "thalweg: stopping; what was found follows\n"
    found = json.loads(out)
    first, best = found["points"][0], found["best"]
    assert (first["max_batch_size"], first["max_in_flight"]) == (16, 2)
    # Of 4 workers two were asked, for batches that cost 20 ms beside their 16 rows.
    assert best["records_per_second"] > 1.3 * first["records_per_second"]
    assert best["p99"] <= 2.0
    assert 10.0 < found["seconds"] < 25.0
    assert not (folder / "out").exists()
