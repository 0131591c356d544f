"""The graph of the smartwatch: the features of each window are what NumPy finds in its rows."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg import Columns, DataError, JobFailed
from thalweg.deploy.loading import load
from thalweg.graphs.data import watch
from thalweg.graphs.data.watch import PACKAGE, SENSORS, watch_series

from ..missing import missing


@pytest.fixture(scope="module")
def seglearn() -> None:
    """The data package. Where it is missing the test is skipped, but with CI set it fails."""
    if importlib.util.find_spec(PACKAGE) is None:
        missing(f"no package {PACKAGE}: install thalweg[graphs]")


@pytest.mark.usefixtures("seglearn")
def test_the_features_of_a_window_are_what_numpy_finds_in_its_rows(tmp_path: Path) -> None:
    progress = load("watch_exercises", {"series": "3", "out": str(tmp_path)}).graph.run()
    assert progress.dead_letters == 0
    found = [json.loads(line) for line in (tmp_path / "features.ndjson").read_text().splitlines()]
    table: Any = watch_series(3).table
    rows = {name: np.array(table.column(name)) for name in table.schema.names}
    rows["strength"] = np.sqrt(rows["ax"] ** 2 + rows["ay"] ** 2 + rows["az"] ** 2)
    rows["turning"] = np.sqrt(rows["gx"] ** 2 + rows["gy"] ** 2 + rows["gz"] ** 2)
    windows: list[int] = sorted(set((rows["at"] // 5_000).tolist()))
    assert len(found) == len(windows)
    makers: dict[str, Callable[[Any], Any]] = {
        "mean": np.mean, "min": np.min, "max": np.max,
        "stddev": lambda values: np.std(values, ddof=1),
    }  # fmt: skip
    for number, features in zip(windows, found, strict=True):
        inside = rows["at"] // 5_000 == number
        assert features["samples"] == inside.sum() <= 250
        assert {features["series"]} == set(rows["series"][inside].tolist())
        for name in (*SENSORS, "strength", "turning"):
            for kind, make in makers.items():
                expected = make(rows[name][inside])
                assert features[f"{kind}_{name}"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    full = [features for features in found if features["samples"] == 250]
    assert len(found) - len(full) <= 3


@pytest.mark.usefixtures("seglearn")
def test_all_of_the_data_is_there_as_published() -> None:
    columns = watch_series()
    assert len(columns) == 244_102
    table: Any = columns.table
    assert len(set(table.column("subject").to_pylist())) == 10
    assert len(set(table.column("exercise").to_pylist())) == 7
    assert len(set(table.column("series").to_pylist())) == 140
    assert len(set(table.column("at").to_pylist())) == 244_102


def test_a_file_that_holds_more_than_arrays_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "made"),))

    file = io.BytesIO()
    np.save(file, np.zeros(()))
    header = file.getvalue()[:-8]
    bad = tmp_path / "bad.npy"
    bad.write_bytes(header + pickle.dumps(Evil()))

    def bad_file(package: str, name: str) -> Path:
        return bad

    monkeypatch.setattr(watch, "packaged", bad_file)
    with pytest.raises(DataError, match="mkdir, which is no array"):
        watch_series()
    assert not (tmp_path / "made").exists()


def test_what_is_not_installed_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", dict[str, object]().get)
    with pytest.raises(JobFailed, match=r"seglearn .*thalweg\[graphs\]"):
        load("watch_exercises", {"out": str(tmp_path)}).graph.run()
    assert PACKAGE not in sys.modules


@pytest.mark.usefixtures("seglearn")
def test_fewer_series_are_the_first_ones() -> None:
    few, more = watch_series(1), watch_series(2)
    assert isinstance(few, Columns)
    assert more[: len(few)].table.equals(few.table)
