"""Generated graphs come through simulated faults as they do without.

`make soak` tries 2,000 seeds; a hundred of them are among the normal tests. A seed is tried alone
with `PYTHONHASHSEED=0 python -m tests.soak.simulated --seed SEED`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SEEDS = 10 * int(os.environ.get("THALWEG_SOAK_RUNS", "10"))


def run(*words: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """What the seeds that failed say, or with --all every seed, and the sums."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.simulated", *words],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    assert done.stdout, done.stderr
    *failed, sums = [json.loads(line) for line in done.stdout.splitlines()]
    return failed, sums


@pytest.mark.timeout(60 + 2 * SEEDS)
def test_generated_graphs_come_through_simulated_faults() -> None:
    failed, sums = run("--seeds", str(SEEDS))
    assert not failed, "\n".join(str(one["text"]) for one in failed[:5])
    assert sums["seeds"] == SEEDS
    # A simulation in which nothing goes wrong would come through, too.
    assert sums["faults"] > 2 * SEEDS
    assert sums["starts"] > 1.5 * SEEDS
    assert sums["epochs"] > 5 * SEEDS
    assert sums["records"] > 50 * SEEDS


def test_a_seed_does_the_same_in_another_process() -> None:
    first, _ = run("--seeds", "25", "--all", "--jobs", "1")
    again, _ = run("--seeds", "25", "--all", "--jobs", "3")
    told = [{one["seed"]: one["text"] for one in several} for several in (first, again)]
    assert len(told[0]) == 25
    assert told[0] == told[1]
