"""The usage experiment on real SSH servers: what is found is in every place that it is said to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thalweg.deploy.fleet_farm import Farm
from thalweg.deploy.loading import load
from thalweg.operators.fleet import read_trace, usage_table
from thalweg.operators.fleet.usage.query_rows import query_rows
from thalweg.runtime.contracts import MisconfiguredError

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


def _written(database: Path) -> int:
    """The attempts that are in the database by now."""
    try:
        [(count,)] = query_rows(database, "SELECT count(*) FROM attempts")
    except MisconfiguredError:
        return 0  # It is not there yet.
    return int(count)


def test_after_kill_9_in_mid_sweep_nothing_is_asked_twice_and_nothing_is_there_twice(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    with Farm(4) as farm:
        inventory = tmp_path / "hosts.ini"
        inventory.write_text(
            "".join(
                f"{one.name} ansible_host={one.host} ansible_port={one.port}\n"
                for one in farm.targets
            )
        )
        settings = {
            "inventory": inventory, "every": "15min", "sweeps": 1, "user": farm.user,
            "identity": farm.identity, "known_hosts": farm.known_hosts, "out": out, "live": "no",
        }  # fmt: skip
        command = [sys.executable, "-m", "thalweg.deploy.cli", "run", "fleet_usage"]
        command += ["--state", str(tmp_path / "state"), "--interval", "0.2"]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        slow = farm.machine("m0004")
        slow.pause()
        with subprocess.Popen(command, env=environment) as process:
            late = time.monotonic() + 40
            while _written(out / "usage.db") < 3:
                assert time.monotonic() < late, "nothing is written"
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        slow.go_on()
        done = subprocess.run(command, env=environment, check=False, timeout=100)
        assert done.returncode == 0
        asked = {one.name: one.log().count("Accepted publickey") for one in farm.machines}
    rows = query_rows(out / "usage.db", "SELECT target, outcome FROM attempts ORDER BY target")
    assert rows == [(f"m000{number}", "ok") for number in (1, 2, 3, 4)]
    assert [(one["ok"], one["failed"]) for one in read_trace(out / "usage.trace")] == [
        (["m0001", "m0002", "m0003", "m0004"], [])
    ]
    assert (out / "m0001" / "usage.stdout").read_text().count("# sweep ") == 1
    assert [asked[f"m000{number}"] for number in (1, 2, 3)] == [1, 1, 1]


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
