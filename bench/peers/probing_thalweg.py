"""Sweeps with Thalweg: as many as told, in one job; the seconds of each are its own."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from thalweg import Graph
from thalweg.operators import sinks, sources
from thalweg.operators.fleet import ProbeLimits, ProbeResult, SshAccess, Target

asked = json.loads(Path(sys.argv[1]).read_text())
results: dict[int, list[ProbeResult]] = {}
ended: dict[int, float] = {}
began: dict[int, float] = {}


def take(result: ProbeResult) -> None:
    """Note one result, and when it came."""
    sweep = result["sweep"]
    began[sweep] = min(began.get(sweep, time.time()), result["started"])
    ended[sweep] = time.time()
    results.setdefault(sweep, []).append(result)


graph = Graph("bench")
lab = [Target(host, port=asked["port"], user=asked["user"]) for host in asked["hosts"]]
graph.read(
    "lab",
    sources.ssh_probe(
        lab,
        asked["command"],
        every=asked["every"],
        sweeps=asked["sweeps"],
        keep=asked["keep"],
        access=SshAccess(
            identities=[asked["identity"]], agent=False, known_hosts=asked["known_hosts"]
        ),
        limits=ProbeLimits(connect_timeout=asked["connect_timeout"]),
    ),
).to("results", sinks.each(take))
start = time.perf_counter()
graph.run()
whole = time.perf_counter() - start
answer = asked["answer"] + "\n"
print(
    json.dumps(
        {
            "seconds": [ended[sweep] - began[sweep] for sweep in results],
            "whole": whole,
            "found": [
                [
                    one["target"]
                    for one in sweep
                    if one["outcome"] == "ok" and one["stdout"] == answer
                ]
                for sweep in results.values()
            ],
            "outcomes": [
                {one["target"]: one["outcome"] for one in sweep} for sweep in results.values()
            ],
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )
)
