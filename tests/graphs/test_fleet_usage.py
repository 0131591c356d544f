"""The usage experiment on real SSH servers: what is found is in every place that it is said to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.deploy.fleet_farm import Farm
from thalweg.deploy.loading import load
from thalweg.operators.fleet import read_trace, usage_table
from thalweg.operators.fleet.usage.query_rows import query_rows

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("sshd")]


def test_what_a_sweep_finds_is_in_the_database_the_trace_and_the_logs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Farm(3, refusing=1) as farm:
        inventory = tmp_path / "hosts.ini"
        inventory.write_text(
            "".join(
                f"{one.name} ansible_host={one.host} ansible_port={one.port}\n"
                for one in farm.targets
            )
        )
        settings = {
            "inventory": inventory, "every": "1s", "minimum_gap": "0s", "sweeps": 2,
            "user": farm.user, "identity": farm.identity, "known_hosts": farm.known_hosts,
            "out": out, "live": "no",
        }  # fmt: skip
        given = {name: str(value) for name, value in settings.items()}
        progress = load("fleet_usage", given).graph.run()
    assert (progress.read, progress.settled, progress.dead_letters) == (8, 8, 0)
    rows = query_rows(out / "usage.db", "SELECT outcome, count(*) FROM attempts GROUP BY outcome")
    assert sorted(rows) == [("ok", 6), ("refused", 2)]
    assert dict(row[:1] + row[3:] for row in usage_table(out / "usage.db").rows)["samples"] == 6
    first, second = read_trace(out / "usage.trace")
    assert first["ok"] == second["ok"] == ["m0001", "m0002", "m0003"]
    assert first["unavailable"] == ["m0004"]
    assert second["sweep"] > first["sweep"]
    assert (out / "m0001" / "usage.stdout").read_text().count("usage=1\n") == 2


def test_make_fleet_leaves_a_database_a_page_and_no_server(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "thalweg.deploy.fleet_farm", "--machines", "3", "--sweeps", "1",
         "--out", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [folder] = tmp_path.iterdir()
    assert "samples" in done.stdout
    assert (folder / "usage.html").read_text().startswith("<!DOCTYPE html>")
    assert query_rows(folder / "usage.db", "SELECT count(*) FROM samples") == [(3,)]
