"""The process that all seeds are copies of: `python -m thalweg.deploy.simulations.server`.

It reads one JSON object from standard input, and writes one for each seed as a line. It is started
with a fixed hash seed, and single-threaded libraries, so that a seed does the same each time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, cast

from .forks import Result, fork_each
from .trial import Trial

__all__ = ["main"]


def main() -> int:
    """Serve until all seeds are done."""
    asked: dict[str, Any] = json.load(sys.stdin)
    trial = Trial.from_dict(asked["trial"])
    # What the user's code prints while it is loaded is nobody's answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        for result in _results(trial, asked):
            answers.write(json.dumps(result) + "\n")
            answers.flush()
    except BrokenPipeError:
        return 1
    return 0


def _results(trial: Trial, asked: dict[str, Any]) -> Iterator[Result]:
    seeds: list[int] = asked["seeds"]
    jobs, timeout, quiet = asked["jobs"], asked["timeout"], asked["quiet"]
    # The first one alone: what it loads, such as a library for models, is loaded here for all.
    for result in fork_each(seeds[:1], trial.run, jobs=1, timeout=timeout, quiet=quiet):
        _load(cast("list[str]", result.pop("loaded", [])))
        yield result
    for result in fork_each(seeds[1:], trial.run, jobs=jobs, timeout=timeout, quiet=quiet):
        result.pop("loaded", None)
        yield result


def _load(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())
