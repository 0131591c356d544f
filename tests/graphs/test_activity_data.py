"""The activity files: by seed, in the published shape, none of their rows twice."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from thalweg.graphs.data.activity import ROWS, activity_lines, write_activity


def readings(number: int = 0, rows: int = 2_000, seed: int = 0) -> list[dict[str, Any]]:
    """The rows of a file."""
    return [json.loads(line) for line in activity_lines(number, rows=rows, seed=seed)]


def test_a_file_is_the_same_everywhere_and_another_for_another_seed_or_number() -> None:
    text = "".join(activity_lines(3, rows=500, seed=1)).encode()
    assert hashlib.sha256(text).hexdigest().startswith("55b3eacf8abca006")
    assert list(activity_lines(3, rows=500, seed=2)) != text.decode().splitlines(keepends=True)
    assert list(activity_lines(4, rows=500, seed=1)) != text.decode().splitlines(keepends=True)


def test_a_row_has_the_published_fields_and_types() -> None:
    for row in readings(rows=300):
        assert {name: type(value) for name, value in row.items()} == {
            "Arrival_Time": int, "Creation_Time": int, "Device": str, "Index": int, "Model": str,
            "User": str, "gt": str, "x": float, "y": float, "z": float,
        }  # fmt: skip
        skew = row["Creation_Time"] / 1_000_000 - row["Arrival_Time"]
        assert skew == pytest.approx(-2_000 if row["Device"] == "nexus4_1" else 1_846_053, abs=10)


def test_a_whole_file_has_the_published_rows_bytes_and_shares() -> None:
    lines = list(activity_lines())
    assert len(lines) == ROWS == 78_012
    assert sum(map(len, lines)) / ROWS == pytest.approx(190, abs=3)
    rows = [json.loads(line) for line in lines]
    by_activity = Counter(row["gt"] for row in rows)
    assert len(by_activity) == 7
    assert by_activity["null"] / ROWS == pytest.approx(835_725 / 6_240_991, abs=0.001)
    assert set(Counter(row["User"] for row in rows)) == set("abcdefghi")
    devices = Counter(row["Device"] for row in rows)
    assert devices["nexus4_1"] / ROWS == pytest.approx(3_091_811 / 6_240_991, abs=0.01)
    assert set(devices) == {"nexus4_1", "nexus4_2"}
    assert {row["Model"] for row in rows} == {"nexus4"}


def test_no_row_is_there_twice_not_even_past_one_recording() -> None:
    seen = [line for number in range(170) for line in activity_lines(number, rows=120)]
    assert len(set(seen)) == len(seen)
    times = [(row["Device"], row["Creation_Time"]) for row in map(json.loads, seen)]
    assert len(set(times)) == len(times)


def test_arrivals_go_up_in_a_file() -> None:
    arrivals = [row["Arrival_Time"] for row in readings()]
    assert arrivals == sorted(arrivals)


def test_the_first_files_are_the_same_however_many_there_are(tmp_path: Path) -> None:
    few = write_activity(tmp_path / "few", files=2, rows=50)
    many = write_activity(tmp_path / "many", files=4, rows=50, markers=True)
    assert [path.read_text() for path in few] == [path.read_text() for path in many[:2]]
    assert [path.name for path in few] == ["part-00000-c000.json", "part-00001-c000.json"]
    more = write_activity(tmp_path / "few", files=2, rows=50, first=2)
    assert [path.read_text() for path in more] == [path.read_text() for path in many[2:]]
    assert sorted(path.name for path in (tmp_path / "few").iterdir()) == sorted(
        path.name for path in many
    )


def test_markers_are_those_that_spark_leaves(tmp_path: Path) -> None:
    written = write_activity(tmp_path, files=1, rows=1, markers=True)
    others = {path.name for path in tmp_path.iterdir()} - {path.name for path in written}
    assert others == {"_SUCCESS", "_committed_0", "_started_0"}


@pytest.mark.parametrize("rows", [0, 1, 3, 62, 63, 64, 8_193])
def test_a_file_has_as_many_rows_as_asked_for(rows: int, tmp_path: Path) -> None:
    (path,) = write_activity(tmp_path, rows=rows)
    assert len(path.read_text().splitlines()) == rows


@pytest.mark.parametrize(("files", "rows", "first"), [(-1, 1, 0), (1, -1, 0), (1, 1, -1)])
def test_what_is_negative_is_refused(files: int, rows: int, first: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="may be negative"):
        write_activity(tmp_path, files=files, rows=rows, first=first)
    assert list(tmp_path.iterdir()) == []


def test_lines_of_a_negative_number_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="number=-1"):
        activity_lines(-1)


def test_a_file_that_is_there_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    (first,) = write_activity(tmp_path, rows=10)
    first.write_text("changed\n")
    assert write_activity(tmp_path, files=2, rows=10, keep=True)[0] == first
    assert first.read_text() == "changed\n"
    assert len(list(tmp_path.iterdir())) == 2
    write_activity(tmp_path, rows=10)
    assert first.read_text() != "changed\n"
