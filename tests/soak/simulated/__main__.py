"""Simulated seeds over generated graphs, each in a fresh process.

    PYTHONHASHSEED=0 python -m tests.soak.simulated --seeds 2000
    PYTHONHASHSEED=0 python -m tests.soak.simulated --seed 417

Prints one JSON object for each seed that did not come through, and at last one with the sums.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from collections import Counter
from typing import cast

from thalweg.deploy.simulations.forks import Result, fork_each
from thalweg.testing import simulate

from .generated import generated


def one(seed: int) -> Result:
    """What became of a seed, in a process of its own."""
    logging.disable(logging.CRITICAL)
    try:
        report = simulate(lambda: generated(seed), seed=seed)
    except Exception as error:
        return {"seed": seed, "ok": False, "text": "".join(traceback.format_exception(error))}
    # Of these graphs all can be compared: one that differs without faults has a fault of its own.
    ok = report.ok and not report.not_compared
    return {**report.as_dict(), "ok": ok, "text": str(report)}


def main() -> int:
    """Run the seeds that the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--all", action="store_true", help="print what every seed says")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        parser.error("set PYTHONHASHSEED=0: else a seed need not do the same again")
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else [asked.seed]
    one(0)  # What it imports, it imports for all.
    sums: Counter[str] = Counter()
    for result in fork_each(seeds, one, jobs=asked.jobs, timeout=120, quiet=asked.seed is None):
        sums["seeds"] += 1
        failed = result.get("ok") is not True
        sums["failed"] += failed
        if failed or asked.all:
            print(json.dumps({"seed": result["seed"], "text": result.get("text", str(result))}))
        elif asked.seed is not None:
            print(result["text"])
        for name in ("starts", "epochs", "records"):
            number = result.get(name, 0)
            sums[name] += number if isinstance(number, int) else 0
        sums["faults"] += len(cast("list[object]", result.get("faults", [])))
    print(json.dumps(sums), flush=True)
    return 1 if sums["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
