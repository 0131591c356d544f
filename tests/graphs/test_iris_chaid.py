"""A PMML tree with branches of several children, from end to end."""

from __future__ import annotations

import importlib
from math import isclose
from pathlib import Path
from typing import Any

import pytest

from thalweg import Graph
from thalweg.deploy.loading import load
from thalweg.operators import Field, score, sinks, sources
from thalweg.runtime.dead_letters import DeadLetter

MODELS = Path(__file__).parents[2] / "graphs" / "models"
FLOWERS = MODELS.parent / "data" / "iris.csv"
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
FIELDS: dict[str, str | Field] = dict(
    zip(COLUMNS, ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width"), strict=True)
)


@pytest.mark.usefixtures("java")
def test_every_flower_is_scored_by_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(MODELS.parents[1])
    graph = Graph("iris_chaid")
    columns = {**dict.fromkeys(COLUMNS, float), "species": str}
    flowers = graph.read("flowers", sources.csv_records(FLOWERS, columns=columns, number="n"))
    spoiled = flowers.map(
        lambda flower: {**flower, "petal_length": "long"} if flower["n"] == 70 else flower,
        name="spoil",
    )
    scored = spoiled.batch(32).via(
        "score", score("pmml:graphs/models/iris_chaid.pmml", fields=FIELDS)
    )
    seen: list[dict[str, Any]] = []
    failed: list[DeadLetter] = []
    scored.to("seen", sinks.each(seen.append))
    scored.failed.to("failed", sinks.each(failed.append))
    graph.run()
    assert [flower["n"] for flower in seen] == [n for n in range(150) if n != 70]
    assert [letter.record["n"] for letter in failed] == [70]  # type: ignore[index]  # pyright: ignore
    assert "cannot carry the str 'long'" in str(failed[0].error)
    right = sum(flower["prediction"] == flower["species"] for flower in seen)
    assert 0.9 < right / len(seen) < 1
    assert {flower["model_version"] for flower in seen} == {"1"}


@pytest.mark.usefixtures("java")
def test_the_shipped_graph_runs_on_it_unchanged(tmp_path: Path) -> None:
    settings = {"endpoint": f"pmml:{MODELS}/iris_chaid.pmml", "repeat": "2", "out": str(tmp_path)}
    progress = load("iris_scoring", settings).graph.run()
    assert (progress.read, progress.settled, progress.dead_letters) == (300, 300, 0)


def test_the_script_writes_the_file_that_is_kept() -> None:
    train: Any = importlib.import_module("thalweg.graphs.models.train_chaid")
    assert train.written(train.grown()) == (MODELS / "iris_chaid.pmml").read_bytes()


@pytest.mark.parametrize(
    ("statistic", "degrees", "chance"),
    [(3.841, 1, 0.05), (5.991, 2, 0.05), (7.815, 3, 0.05), (13.277, 4, 0.01), (15.086, 5, 0.01)],
)
def test_the_test_s_chances_are_those_of_the_tables(
    statistic: float, degrees: int, chance: float
) -> None:
    train: Any = importlib.import_module("thalweg.graphs.models.train_chaid")
    assert isclose(train.beyond(statistic, degrees), chance, rel_tol=1e-3)
