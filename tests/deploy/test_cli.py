"""The command line: help at once, errors in one line, exit statuses as documented."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.deploy.cli import main

FLOW = """\
from thalweg import Graph, setting
from thalweg.operators import sinks, sources
count = setting("count", 10, "how many", minimum=1)
password = setting("password", "", "nobody's business")
def checked(n):
    if n == 7:
        raise ValueError("seven is right out")
    return 100 // (n - 5) if n == 5 else n
graph = Graph("flow")
numbers = graph.read("numbers", sources.records(range(count)))
kept = numbers.map(checked, name="checked")
kept.to("kept", sinks.ndjson("kept.ndjson"))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "safe.py").write_text(
        FLOW + 'graph.failed.to("failed", sinks.ndjson("failed.ndjson"))\n'
    )
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command line."""
    try:
        status = main(words)
    except SystemExit as stop:
        status = int(str(stop.code))
    out, err = capsys.readouterr()
    return status, out, err


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_job_that_ends_exits_with_0(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    status, out, err = run(capsys, "run", "safe.py", "--set", "count=1_000")
    assert (status, out) == (0, "")
    assert err.startswith("flow ended after ")
    assert " s: 1,000 records read, " in err
    assert "  kept          998\n  failed          2\n  dead letters  checked 2\n" in err
    assert len((folder / "kept.ndjson").read_text().splitlines()) == 998
    assert len((folder / "failed.ndjson").read_text().splitlines()) == 2


def test_a_job_that_fails_exits_with_1_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "run", "flow.py", "--progress", "none")
    assert (status, out) == (1, "")
    assert err.startswith(
        "thalweg: graph 'flow': checked on numbers, record 5: ZeroDivisionError: integer division "
        "or modulo by zero (flow.py:8 in checked)\n"
    )
    assert "Traceback" not in err


def test_a_traceback_is_there_for_who_asks(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "run", "flow.py", "--traceback", "--progress", "none")
    assert status == 1
    assert 'File "flow.py", line 8, in checked' in err


def test_a_failing_job_still_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = run(capsys, "run", "flow.py", "--set", "count=10")
    assert err.startswith("flow failed after ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["flw.py"], "thalweg: flw.py: there is no such file. Did you mean 'flow.py'?\n"),
        (
            ["flow.py", "--set", "count=0"],
            "thalweg: flow.py:3: the setting 'count' is a whole number, 1 or more, not '0' "
            "(from --set count=0).\n",
        ),
        (
            ["flow.py", "--set", "cuont=1"],
            "thalweg: flow.py: there is no setting 'cuont' (from --set cuont=…). "
            "Did you mean 'count'? The settings are: count, password\n",
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "show"])
def test_a_mistake_exits_with_2_and_one_line(
    capsys: pytest.CaptureFixture[str], command: str, words: list[str], expected: str
) -> None:
    assert run(capsys, command, *words) == (2, "", expected)


def test_a_graph_that_cannot_be_planned_exits_with_2(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    text = FLOW.replace('kept.to("kept"', 'numbers.to("kept"')
    (folder / "flow.py").write_text(text)
    expected = (
        "thalweg: flow.py:11: what comes out of 'checked' goes nowhere: send it .to(…) a sink\n"
    )
    assert run(capsys, "run", "flow.py") == (2, "", expected)
    assert run(capsys, "show", "flow.py") == (2, "", expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run"], "the following arguments are required: GRAPH"),
        (["run", "flow.py", "--set", "count"], "--set takes NAME=VALUE, not 'count'"),
        (["run", "flow.py", "--set", "a=1", "--set", "a=2"], "--set a=… is given twice"),
        (["run", "flow.py", "--http", "nowhere"], "HOST:PORT is asked for"),
        (["run", "flow.py", "--drain-timeout", "-1"], "a number of seconds, 0 or more"),
        (["run", "flow.py", "--progress", "loud"], "invalid choice: 'loud'"),
        (["walk"], "invalid choice: 'walk'"),
        (["serve", "iris.onnx", "--port", "65536"], "a port is a number from 0 to 65535"),
    ],
)
def test_a_wrong_command_line_exits_with_2(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert expected in err


def test_nothing_to_do_prints_help_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys)
    assert status == 2
    assert out.startswith("usage: thalweg [-h] [--version] COMMAND ...")


def test_help_names_the_commands_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("    ")]
    assert listed == [
        "run",
        "show",
        "test",
        "tune",
        "jobs",
        "sql",
        "look",
        "serve",
        "model",
        "score",
        "check",
        "probe",
        "usage",
    ]


@pytest.mark.parametrize(
    "command",
    [
        "run", "show", "test", "tune", "jobs", "sql", "look", "serve", "model", "score", "check",
        "probe", "usage",
    ],
)  # fmt: skip
def test_each_command_has_help_with_examples(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    assert f"examples:\n  thalweg {command}" in out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version")[:2] == (0, "thalweg 0.1.0\n")


def test_help_loads_neither_engine_nor_libraries() -> None:
    heavy = ["asyncio", "uvloop", "aiohttp", "anyio", "prometheus_client", "onnxruntime", "numpy"]
    code = f"""
import sys
from thalweg.deploy.cli import main
try:
    main(["--help"])
except SystemExit:
    print([name for name in {heavy} if name in sys.modules])
"""
    assert python(code).endswith("\n[]\n")


def test_importing_the_package_loads_no_library() -> None:
    heavy = ["uvloop", "aiohttp", "anyio", "prometheus_client", "onnxruntime", "numpy", "ssl"]
    code = f"import sys, thalweg; print([name for name in {heavy} if name in sys.modules])"
    assert python(code) == "[]\n"


def test_running_without_http_loads_no_web_server(folder: Path) -> None:
    code = """
import sys
from thalweg.deploy.cli import main
main(["run", "safe.py", "--progress", "none"])
print([name for name in ("aiohttp", "prometheus_client", "onnxruntime") if name in sys.modules])
print("uvloop" in sys.modules)
"""
    assert python(code) == "[]\nTrue\n"


def test_without_aiohttp_http_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.setitem(sys.modules, "aiohttp.web", None)
    expected = "thalweg: --http needs an extra package: pip install 'thalweg[http]'\n"
    assert run(capsys, "run", "safe.py", "--http", ":0") == (2, "", expected)
    assert not (folder / "kept.ndjson").exists()


def test_without_uvloop_asyncio_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(capsys, "run", "safe.py")[0] == 0


def test_a_part_that_cannot_be_opened_fails_the_job(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "kept.ndjson").mkdir()
    status, _, err = run(capsys, "run", "safe.py", "--progress", "none")
    assert status == 1
    assert "kept" in err
    assert "cannot write 'kept.ndjson': Is a directory" in err
    assert "Traceback" not in err


def test_a_reader_that_has_gone_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m thalweg.deploy.cli show safe.py | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_leaves_signals_and_loop_policy_as_they_were(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert run(capsys, "run", "safe.py")[0] == 0
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_show_prints_plan_settings_and_drawing(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "show", "safe.py", "--set", "count=3", "--set", "password=x")
    assert (status, err) == (0, "")
    assert out.startswith("graph flow: ")
    assert "flowchart" in out
    table = out[out.index("setting ") : out.index("flowchart")].rstrip().splitlines()
    assert table == [
        "setting   type  value  from   default",
        "count     int   3      --set  10       how many (1 or more)",
        "password  str   ***    --set           nobody's business",
    ]


def test_show_names_the_environment_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THALWEG_COUNT", "4")
    assert "count     int   4      THALWEG_COUNT  10" in run(capsys, "show", "safe.py")[1]


def test_show_gives_the_drawing_alone(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "show", "safe.py", "--mermaid")
    assert status == 0
    assert out.startswith("flowchart")
    assert "setting" not in out


def test_show_gives_everything_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "show", "safe.py", "--json", "--set", "password=hunter2")
    assert status == 0
    whole = json.loads(out)
    assert set(whole) == {"plan", "settings", "mermaid"}
    count = whole["settings"][0]
    assert (count["name"], count["type"], count["value"], count["where"]) == (
        "count",
        "int",
        10,
        "safe.py:3",
    )
    assert "hunter2" not in out


def test_show_opens_nothing(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    run(capsys, "show", "safe.py")
    assert sorted(path.name for path in folder.iterdir()) == ["flow.py", "safe.py"]


def test_a_model_that_is_not_there_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "serve", "no.onnx", "--port", "0")
    assert (status, out) == (2, "")
    assert err.startswith("thalweg: ")
    assert "no.onnx" in err
    assert "Traceback" not in err
