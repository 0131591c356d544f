"""Groups, cubes and windows tell in each mode what Spark has told of the same files."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

BENCH = Path(__file__).resolve().parents[2] / "bench"
TOLD = Path(__file__).with_name("as_spark.json")
"""Made by `python bench/analytics_modes.py --record tests/bench/as_spark.json`."""

NAMES = list[str](json.loads(TOLD.read_text()))


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The bench, which is no package, and is forgotten again."""
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    before = set(sys.modules)
    yield importlib.import_module("analytics_modes")
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readings")


def test_every_query_was_recorded(modes: Any) -> None:
    assert [query.name for query in modes.QUERIES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_spark(modes: Any, folder: Path, name: str) -> None:
    modes.write_files(folder)
    theirs = json.loads(TOLD.read_text())[name]
    (query,) = [one for one in modes.QUERIES if one.name == name]
    mine = modes.ours(folder, query)
    assert modes.same(query, mine, theirs)
    # What is compared is not empty, and one row less or another value is seen.
    assert sum(map(len, mine)) > 20
    last = next(rows for rows in reversed(theirs) if rows)
    row = last.pop()
    assert not modes.same(query, mine, theirs)
    last.append([*row[:-1], (row[-1] or 0) + 1e-6])
    assert not modes.same(query, mine, theirs)
