"""`thalweg usage`: the table of a usage experiment, from its database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from thalweg import Graph
from thalweg.deploy.cli import main
from thalweg.operators import sources
from thalweg.operators.fleet import (
    ProbeResult,
    result_of,
    sweep_summaries,
    usage_database,
    usage_samples,
)

_PRINTED = """\
usage=1
uptime=1000
idle=1500
boot=1081947390
cpus=2
memory=1000
memory_free=250
filesystem=4000000 2000000 /
sessions=known
{session}end=1
"""
TABLE = """\
                     without users      with users            both
samples                          1               1               2
uptime %                     25.00           25.00           50.00
CPU idle %                   75.00           75.00           75.00
memory load %                75.00           75.00           75.00
swap load %                      -               -               -
free disk (GB)                2.05            2.05            2.05
sent (bytes/s)                   -               -               -
received (bytes/s)               -               -               -
"""


def _result(target: str, said: str | None) -> ProbeResult:
    made = result_of(
        said or "", target=target, probe="usage", sweep=1081948390,
        outcome="unreachable" if said is None else "ok",
    )  # fmt: skip
    return {**made, "of": 4}


@pytest.fixture
def database(tmp_path: Path) -> str:
    """What four machines came to: one that nobody uses, one that is used, and two that are off."""
    path = str(tmp_path / "usage.db")
    found = [
        _result("m1", _PRINTED.format(session="")),
        _result("m2", _PRINTED.format(session="session=ana tty1 @1081947500\n")),
        _result("m3", None),
        _result("m4", None),
    ]
    graph = Graph("usage")
    results = graph.read("results", sources.records(found))
    usage_database(
        path,
        results=results,
        sweeps=results.via("sweeps", sweep_summaries(), volatile=True),
        samples=results.via("samples", usage_samples(), volatile=True),
    )
    graph.run()
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["usage", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str], database: str) -> None:
    assert run(capsys, database) == (0, TABLE, "")


def test_the_table_is_one_object_of_json(capsys: pytest.CaptureFixture[str], database: str) -> None:
    status, out, _ = run(capsys, database, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["samples"] == {"without_users": 1, "with_users": 1, "both": 2}
    assert found["uptime %"] == {"without_users": 25.0, "with_users": 25.0, "both": 50.0}
    assert found["swap load %"]["both"] is None
    assert len(found) == 8


def test_the_query_finds_the_same(capsys: pytest.CaptureFixture[str], database: str) -> None:
    status, query, _ = run(capsys, database, "--query")
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(query).fetchall()
    assert status == 0
    assert rows[1] == (2, "uptime %", 25.0, 25.0, 50.0)


def test_a_page_is_written(
    capsys: pytest.CaptureFixture[str], database: str, tmp_path: Path
) -> None:
    page = tmp_path / "usage.html"
    assert run(capsys, database, "--page", str(page)) == (0, f"the page is in {page}\n", "")
    assert "50.00" in page.read_text(encoding="utf-8")
    status, out, err = run(capsys, database, "--page", str(tmp_path / "none" / "usage.html"))
    assert (status, out) == (2, "")
    assert "cannot be written" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.db"], "cannot read 'none.db'"),
        (["usage.db", "--prefix", "lab_"], "no such table: lab_"),
        (["postgresql://lab:sesame@127.0.0.1:1/lab"], "does not belong on a command line"),
        (["postgresql://lab@127.0.0.1:1/lab"], "cannot be reached"),
    ],
)
def test_what_is_wrong_is_told(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(Path(database).parent)
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert "sesame" not in err
