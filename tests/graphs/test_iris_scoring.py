"""The main job, on the embedded model: what goes in comes out, scored or with a reason."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from thalweg.deploy.loading import Loaded, load
from thalweg.runtime.progress import Progress

pytest.importorskip("onnxruntime")

FLOWER = ["n", "sepal_length", "sepal_width", "petal_length", "petal_width", "species"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(out: Path, **settings: object) -> Progress:
    given = {name: str(value) for name, value in settings.items()}
    return load("iris_scoring", {"out": str(out), **given}).graph.run()


def test_every_flower_is_scored_in_order(tmp_path: Path) -> None:
    progress = run(tmp_path, repeat=4)
    scored = lines(tmp_path / "scored.ndjson")
    assert [flower["n"] for flower in scored] == list(range(600))
    assert {tuple(flower) for flower in scored} == {
        (*FLOWER, "prediction", "probability", "correct")
    }
    assert (tmp_path / "failed.ndjson").read_text() == ""
    assert (progress.read, progress.settled, progress.dead_letters) == (600, 600, 0)


def test_the_prediction_is_compared_with_the_species(tmp_path: Path) -> None:
    run(tmp_path, repeat=1)
    scored = lines(tmp_path / "scored.ndjson")
    first = scored[0]
    assert first["prediction"] == first["species"] == "setosa"
    for flower in scored:
        assert flower["correct"] is (flower["prediction"] == flower["species"])
        assert 1 / 3 < flower["probability"] <= 1
    assert sum(flower["correct"] for flower in scored) > 140


def test_a_spoiled_flower_fails_alone_and_says_why(tmp_path: Path) -> None:
    progress = run(tmp_path, repeat=2, bad_every=20)
    failed = lines(tmp_path / "failed.ndjson")
    assert [letter["record"]["n"] for letter in failed] == list(range(19, 300, 20))
    letter = failed[0]
    assert (letter["graph"], letter["node"]) == ("iris_scoring", "score")
    assert letter["origin"]["source"] == "flowers"
    assert letter["origin"]["position"] == 19
    assert "petal_width" not in letter["record"]
    assert "'petal_width'" in letter["error"]["message"]
    scored = [flower["n"] for flower in lines(tmp_path / "scored.ndjson")]
    assert scored == [n for n in range(300) if n % 20 != 19]
    assert progress.node("failed").records_out == progress.dead_letters == 15


@pytest.mark.parametrize(
    "settings",
    [
        {"max_batch_size": 1, "max_in_flight": 1, "linger": 0},
        {"max_batch_size": 1000, "max_in_flight": 3},
        {"rate": 100_000},
    ],
)
def test_no_setting_changes_the_result(tmp_path: Path, settings: dict[str, object]) -> None:
    run(tmp_path / "a", repeat=2, bad_every=7)
    run(tmp_path / "b", repeat=2, bad_every=7, **settings)
    one, other = (lines(tmp_path / name / "scored.ndjson") for name in "ab")
    # The model's arithmetic differs in the seventh digit from one batch size to the next.
    near = [pytest.approx(flower.pop("probability"), abs=1e-5) for flower in one]
    assert [flower.pop("probability") for flower in other] == near
    assert one == other
    assert lines(tmp_path / "a" / "failed.ndjson") == lines(tmp_path / "b" / "failed.ndjson")


def described() -> dict[str, tuple[str, object]]:
    loaded: Loaded = load("iris_scoring")
    return {found.name: (found.type, found.default) for found in loaded.settings}


def test_the_settings_have_their_types_and_defaults() -> None:
    found = described()
    endpoint = found.pop("endpoint")
    assert endpoint[0] == "str"
    assert found == {
        "repeat": ("int", 1000),
        "rate": ("float", 0.0),
        "max_batch_size": ("int", 256),
        "linger": ("float", 0.05),
        "max_in_flight": ("int", 8),
        "bad_every": ("int", 0),
        "out": ("str", "out"),
    }


def test_the_model_is_found_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert described()["endpoint"][1] == "onnx:graphs/models/iris.onnx"
    monkeypatch.chdir(tmp_path)
    model = str(described()["endpoint"][1]).removeprefix("onnx:")
    assert Path(model).is_file()


def test_the_plan_needs_nothing_that_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = "oip+http://127.0.0.1:1/v2/models/iris"
    plan = load("iris_scoring", {"endpoint": url, "bad_every": "20"}).graph.plan()
    assert [node.name for actor in plan.actors for node in actor.nodes] == [
        "flowers",
        "spoil",
        "batch",
        "score",
        "scored",
        "failed",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["repeat", "rate", "max_in_flight", "linger", "bad_every"])
def test_a_number_below_its_limit_is_refused(name: str) -> None:
    with pytest.raises(Exception, match=f"the setting '{name}' is a .*number, . or more, not '-1'"):
        load("iris_scoring", {name: "-1"})


@contextlib.contextmanager
def served() -> Generator[str]:
    """`thalweg serve` with the iris model on a port of its own; yields its first line."""
    model = str(Path(__file__).parents[2] / "graphs/models/iris.onnx")
    command = [sys.executable, "-m", "thalweg.deploy.cli", "serve", model, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("protocol", ["wml", "oip"])
def test_a_served_model_gives_the_same_unchanged(tmp_path: Path, protocol: str) -> None:
    with served() as line:
        endpoint = re.search(rf"{protocol}\+http://[^'\s]+", line)
        assert endpoint is not None
        run(tmp_path / "a", repeat=4, bad_every=20)
        run(tmp_path / "b", repeat=4, bad_every=20, endpoint=endpoint[0])
    one, other = (lines(tmp_path / name / "scored.ndjson") for name in "ab")
    near = [pytest.approx(flower.pop("probability"), abs=1e-5) for flower in one]
    assert [flower.pop("probability") for flower in other] == near
    assert one == other
    assert lines(tmp_path / "a" / "failed.ndjson") == lines(tmp_path / "b" / "failed.ndjson")
