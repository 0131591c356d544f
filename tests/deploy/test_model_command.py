"""`thalweg model`: tables for people, JSON for programs, and a message for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thalweg.deploy.cli import main

ROOT = Path(__file__).resolve().parents[2]
IRIS = ROOT / "graphs" / "models" / "iris.onnx"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THALWEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command line."""
    try:
        status = main(words)
    except SystemExit as stop:
        status = int(str(stop.code))
    out, err = capsys.readouterr()
    return status, out, err


def test_a_model_is_stored_listed_and_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "model", "store", str(IRIS))
    assert (status, err) == (0, "")
    assert out.startswith("iris version 1 is stored: iris-1-")
    run(capsys, "model", "store", str(IRIS), "--name", "iris")
    run(capsys, "model", "store", str(IRIS), "--name", "another")
    status, out, _ = run(capsys, "model", "list")
    header, *lines = out.splitlines()
    assert status == 0
    assert header.split() == ["name", "version", "id", "kind", "bytes", "stored"]
    assert [line.split()[:2] for line in lines] == [["another", "1"], ["iris", "1"], ["iris", "2"]]
    assert f"{IRIS.stat().st_size:,}" in lines[0]
    assert run(capsys, "model", "delete", "iris@1")[:2] == (0, "iris version 1 is deleted\n")
    assert run(capsys, "model", "delete", "iris")[:2] == (0, "iris version 2 is deleted\n")
    _, out, _ = run(capsys, "model", "list")
    assert [line.split()[0] for line in out.splitlines()] == ["name", "another"]


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "model", "list", "--json")[:2] == (0, "[]\n")
    stored = json.loads(run(capsys, "model", "store", str(IRIS), "--json")[1])
    assert (stored["name"], stored["version"], stored["kind"]) == ("iris", 1, "onnx")
    assert json.loads(run(capsys, "model", "list", "--json")[1]) == [stored]
    assert json.loads(run(capsys, "model", "delete", "iris", "--json")[1]) == [stored]


def test_an_empty_store_prints_nothing(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert run(capsys, "model", "list") == (0, "", "")
    assert not folder.exists()


def test_another_store_can_be_named(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    assert run(capsys, "model", "store", str(IRIS), "--store", "here")[0] == 0
    assert (tmp_path / "here" / "index.json").is_file()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "the following arguments are required: ACTION"),
        (["keep"], "invalid choice: 'keep'"),
        (["store"], "the following arguments are required: FILE"),
        (["store", "nowhere.onnx"], "thalweg: there is no model file /"),
        (["store", "bad.onnx"], "bad.onnx is no ONNX model that can be loaded"),
        (["store", "notes.txt"], "'notes.txt' is no model: give the path of an .onnx"),
        (["store", "os:getcwd"], "'os:getcwd' is no model"),
        (["store", str(IRIS), "--name", "a/b"], "the model's name 'a/b' does not fit into a URL"),
        (["store", str(IRIS), "--name", ""], "the model's name '' does not fit into a URL"),
        (["store", str(IRIS), "--store", ""], "--store takes a folder, and its name is empty"),
        (["store", str(IRIS), "--store", "bad.onnx"], "cannot write the store of models"),
        (["delete", "iris"], "thalweg: there is no model 'iris' in"),
        (["delete", "iris@new"], "a version is a number, as in iris@1, not 'new'"),
        (["delete", "iris@"], "a version is a number, as in iris@1, not ''"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    Path("bad.onnx").write_bytes(b"no model")
    Path("notes.txt").touch()
    status, out, err = run(capsys, "model", *words)
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize("action", ["store", "list", "delete"])
def test_each_action_has_help(capsys: pytest.CaptureFixture[str], action: str) -> None:
    status, out, _ = run(capsys, "model", action, "--help")
    assert status == 0
    assert f"thalweg model {action}" in out
