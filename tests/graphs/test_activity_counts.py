"""The activity graph: each of its tables is what DuckDB finds in the same files at rest."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import duckdb
import pytest

from thalweg.deploy.cli import main
from thalweg.deploy.loading import load
from thalweg.graphs.data.activity import write_activity
from thalweg.testing import run_virtual

MEANS = ", ".join(f"avg({axis}) as mean_{axis}" for axis in "xyz")
AT_REST = {
    "counts": "select Device, gt, count(*) as rows from readings group by all",
    "cube": "select Device, gt, grouping(Device, gt) as grouping, count(*) as rows "
    "from readings group by cube (Device, gt)",
    "rollup": "select Device, gt, grouping(Device, gt) as grouping, count(*) as rows "
    "from readings group by rollup (Device, gt)",
    "stairs": "select User, gt, count(*) as rows from readings "
    "where (gt = 'stairsup' or gt = 'stairsdown') and Device = 'nexus4_1' "
    "and (User = 'a' or User = 'b') group by all",
    "means": f"select gt, Model, {MEANS} from readings group by all",
}


def at_rest(files: str, query: str) -> list[dict[str, Any]]:
    """What DuckDB finds in the files."""
    with duckdb.connect() as database:
        database.execute(
            f"create view readings as from read_json('{files}', format = 'newline_delimited')"
        )
        found = database.execute(query)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def same(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> bool:
    """Whether the rows are equal in any order; means within 1e-9."""
    keys = [name for name in theirs[0] if "mean" not in name]
    mine, theirs = (
        sorted(rows, key=lambda row: repr([row[k] for k in keys])) for rows in (mine, theirs)
    )
    return len(mine) == len(theirs) and all(
        one.keys() == other.keys()
        and all(
            math.isclose(one[name], value, rel_tol=1e-9) if "mean" in name else one[name] == value
            for name, value in other.items()
        )
        for one, other in zip(mine, theirs, strict=True)
    )


def result(path: Path) -> list[dict[str, Any]]:
    """What a file of results holds."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def tables(given: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """All tables of the graph when it has read everything, as SQL finds them."""

    async def ask() -> dict[str, list[dict[str, Any]]]:
        async with load("activity_counts", given).graph.start() as job:
            await job.wait()
            return {name: (await job.sql(f"from {name}")).rows() for name in AT_REST}

    return run_virtual(ask)


def test_each_table_is_what_duckdb_finds_in_the_same_files(tmp_path: Path) -> None:
    write_activity(tmp_path / "data", files=3, rows=4_000, markers=True)
    data = f"{tmp_path}/data/*.json"
    found = tables({"data": data, "out": str(tmp_path / "out")})
    for name, query in AT_REST.items():
        kept = [
            {column: value for column, value in row.items() if "historical" not in column}
            for row in found[name]
        ]
        assert same(kept, at_rest(data, query)), name
        assert same(result(tmp_path / "out" / f"{name}.ndjson"), found[name]), name
    assert len(found["cube"]) == 24
    assert {row["gt"] for row in found["stairs"]} == {"stairsup", "stairsdown"}
    assert not (tmp_path / "out" / "readings").exists()


def test_means_stand_beside_those_of_the_files_that_are_history(tmp_path: Path) -> None:
    write_activity(tmp_path / "new", files=1, rows=1_000)
    write_activity(tmp_path / "old", files=2, rows=1_000, seed=1)
    for path in (tmp_path / "old").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if '"sit"' not in line))
    expected = at_rest(f"{tmp_path}/old/*.json", AT_REST["means"])
    with (tmp_path / "old" / "part-00000-c000.json").open("a") as torn:
        torn.write('{"gt": "si')
    found = tables(
        {
            "data": f"{tmp_path}/new/*.json",
            "history": f"{tmp_path}/old/*.json",
            "out": str(tmp_path),
        }
    )
    historical = [
        {
            name.removeprefix("historical_"): value
            for name, value in row.items()
            if not name.startswith("mean")
        }
        for row in found["means"]
        if row["gt"] != "sit"
    ]
    assert same(historical, expected)
    (sitting,) = [row for row in found["means"] if row["gt"] == "sit"]
    assert sitting["historical_mean_x"] is None
    assert sitting["mean_x"] > 0


def test_the_command_runs_it_on_files_that_it_makes_and_makes_them_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"out={tmp_path}", "generate=2", "rows=500"]
    command = ["run", "activity_counts", *(word for one in settings for word in ("--set", one))]
    assert main(command) == 0
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "readings").iterdir()}
    assert len(made) == 2
    counted = result(tmp_path / "counts.ndjson")
    assert sum(row["rows"] for row in counted) == 1_000
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "readings").iterdir()} == made
    assert result(tmp_path / "counts.ndjson") == counted


def test_a_reading_that_does_not_fit_is_kept_apart(tmp_path: Path) -> None:
    (path,) = write_activity(tmp_path / "data", rows=100)
    path.write_text(path.read_text().replace('"x":', '"x":"left",', 1))
    found = tables({"data": str(path), "out": str(tmp_path)})
    assert sum(row["rows"] for row in found["counts"]) == 99
    (failed,) = result(tmp_path / "failed.ndjson")
    assert path.name in json.dumps(failed)
