"""A sweep with a store and a database, to be killed in the middle and started again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from thalweg import Graph, State
from thalweg.operators import sinks, sources
from thalweg.operators.fleet import ProbeLimits, ProbeResult, SshAccess, Target, probe

asked = json.loads(Path(sys.argv[1]).read_text())
folder = Path(sys.argv[2])


def row(result: ProbeResult) -> dict[str, object]:
    """What the database keeps of a result."""
    return {name: result[name] for name in ("sweep", "target", "probe", "outcome")}


graph = Graph("killed")
lab = [Target(host, port=asked["port"], user=asked["user"]) for host in asked["hosts"]]
results = graph.read(
    "lab",
    sources.ssh_probe(
        lab,
        probe(asked["command"], name="slow"),
        every="1h",
        sweeps=1,
        access=SshAccess(
            identities=[asked["identity"]], agent=False, known_hosts=asked["known_hosts"]
        ),
        limits=ProbeLimits(max_running=asked["at_once"]),
    ),
)
columns = {"sweep": int, "target": str, "probe": str, "outcome": str}
results.map(row).to("database", sinks.sqlite(folder / "results.db", "results", columns=columns))
graph.run(state=State(folder / "state", interval=0.2))
