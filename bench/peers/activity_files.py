"""What the peers of `analytics.py` share: the files, what is asked of them, and how it is told."""

from __future__ import annotations

import gc
import json
import resource
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

__all__ = ["COLLECTOR", "Answers", "Partial", "answers_of", "files_in", "tell"]

COLLECTOR = (50_000, 20, 50)
"""The garbage collector's settings, as everybody who takes part has them."""

Answers = dict[str, list[list[Any]]]
"""Rows by the name of the answer: counts, cube and means."""

Partial = tuple[str | None, str | None, str | None, int, float, float, float]
"""A device, an activity and a model, their rows, and the sums of x, y and z."""


def files_in(folder: str) -> list[str]:
    """The files, in order."""
    return sorted(map(str, Path(folder).glob("*.json")))


def answers_of(partials: Iterable[Partial]) -> Answers:
    """The three answers, put together of parts that have rows and no value missing."""
    counts: dict[tuple[Any, ...], int] = defaultdict(int)
    cube: dict[tuple[Any, ...], int] = defaultdict(int)
    means: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0, 0.0, 0.0, 0.0])
    for device, activity, model, number, *sums in partials:
        counts[device, activity] += number
        for group in (
            (device, activity, 0), (device, None, 1), (None, activity, 2), (None, None, 3)
        ):  # fmt: skip
            cube[group] += number
        kept = means[activity, model]
        kept[0] += number
        for at, one in enumerate(sums, 1):
            kept[at] += one
    return {
        "counts": [[*group, number] for group, number in counts.items()],
        "cube": [[*group, number] for group, number in cube.items()],
        "means": [
            [*group, *(one / number for one in sums)] for group, (number, *sums) in means.items()
        ],
    }


def tell(work: Callable[[str], tuple[Answers, dict[str, float]]]) -> None:
    """Print what `work` answers about the folder that is named, and what it measured of itself."""
    gc.set_threshold(*COLLECTOR)
    answers, measured = work(sys.argv[1])
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"answers": answers, "megabytes": megabytes} | measured))
