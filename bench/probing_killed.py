"""kill -9 of whoever probes, in the middle of a sweep: what is left on the machines, and in the
database after it has been started again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

from measure import Report, progress
from probing_peers import asked_of

from thalweg.deploy.fleet_farm import Farm
from thalweg.operators.fleet.ssh._remote_program import LAUNCHER
from thalweg.operators.fleet.usage.query_rows import query_rows
from thalweg.runtime.contracts import MisconfiguredError

__all__ = ["measure_killed"]

_SCRIPT = Path(__file__).resolve().parent / "peers" / "probing_killed.py"
_AT_ONCE = 10
_RUNNER = LAUNCHER.split("'")[1].encode()
"""What only those have in their arguments that run probes on a target."""


def _processes(farm: Farm) -> int:
    """The processes of probes on its machines, and of what runs them, whoever their parent is."""
    count, home = 0, f"HOME={farm.folder}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            variables = (path / "environ").read_bytes()
            ours = b"THALWEG_PROBE=" in variables or _RUNNER in (path / "cmdline").read_bytes()
        except OSError:
            continue
        count += ours and home in variables
    return count


def measure_killed(report: Report, machines: int = 60) -> None:
    """Kill it in mid-sweep, look after 5 s, start it again, and compare."""
    progress(f"kill -9 in the middle of a sweep of {machines} machines")
    with Farm(machines) as farm, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "runs").mkdir()
        # Each run leaves a line at its machine. What it starts in the background is all its own.
        command = f"echo run >>{folder}/runs/{{target}}; sleep 600 & sleep 1; echo done; kill $!"
        asked = replace(asked_of(farm, at_once=_AT_ONCE), command=command)
        file = folder / "asked.json"
        file.write_text(json.dumps(asdict(asked)))
        given = [sys.executable, str(_SCRIPT), str(file), str(folder)]
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        database, rows = folder / "results.db", "SELECT sweep, target, probe, outcome FROM results"
        with subprocess.Popen(given, env=variables) as process:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                time.sleep(0.05)
                with contextlib.suppress(MisconfiguredError):  # Its table is not there yet.
                    if len(query_rows(database, rows)) > machines // 3:
                        break
            running = _processes(farm)
            process.send_signal(signal.SIGKILL)
        time.sleep(5.0)
        left = _processes(farm)
        before = query_rows(database, rows)
        subprocess.run(given, env=variables, check=True, timeout=300)
        after = query_rows(database, rows)
        runs = {path.name: path.read_text().count("run") for path in (folder / "runs").iterdir()}
    repeated = [target for _, target, *_ in before if runs[str(target)] != 1]
    once = len(after) == len(set(after)) == machines and len({sweep for sweep, *_ in after}) == 1
    outcomes = Counter(str(outcome) for *_, outcome in after)
    report.table(
        f"kill -9 in the middle of a sweep of {machines} machines, {_AT_ONCE} at once",
        ["", ""],
        [
            ["processes of probes when it was killed", str(running)],
            ["… 5 s later", str(left)],
            ["answers in the database when it was killed", str(len(before))],
            ["… of which were asked again after the restart", str(len(repeated))],
            ["answers in the end", f"{len(after)} of {machines}"],
            ["outcomes", ", ".join(f"{count} {name}" for name, count in outcomes.items())],
        ],
    )
    report.numbers["killed"] = {"running": running, "left": left, "repeated": len(repeated)}
    report.figure(
        "5 s after kill -9 no process is left on any machine",
        f"{left} of {running}",
        reached=left == 0 < running,
    )
    report.figure(
        "after the restart each attempt is in the database once, and none was asked again",
        f"{len(after)} of {machines}, {len(repeated)} asked again",
        reached=once and not repeated and set(outcomes) == {"ok"},
    )
