"""`thalweg test`: a graph under simulated faults, compared with its run without."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time

from ...runtime.testing.simulation import FAULTS
from ..exit_status import ExitStatus
from ..simulations.client import try_seeds
from ..simulations.findings import Findings, came_through, told
from ..simulations.trial import Trial, Unfit
from .arguments import add_graph, add_samples, seconds

__all__ = ["configure", "execute"]

_EXAMPLES = f"""\
examples:
  thalweg test flow.py --seeds 1000
  thalweg test flow.py --seed 417
  thalweg test flow.py --source orders=orders.ndjson --records 200
  thalweg test flow.py --faults process,store --set max_in_flight=16

Each seed runs the graph twice on virtual time, in a process of its own: once as it is, and once
with faults, going on from its last epoch after each crash. Then what has arrived in the sinks is
compared. Sinks are replaced by simulated ones: nothing is written. The same seed does the same
again; with --seed, what the graph prints is shown.

faults:
  {", ".join(FAULTS)}

exit status:
  0  every seed came through     1  a seed did not     2  wrong usage, graph or settings
"""

_MOST_SHOWN, _MOST_FAILED = 5, 20
"""So many seeds that fail are printed, and so many are enough."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `test`."""
    parser.epilog = _EXAMPLES
    add_graph(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--seeds", type=_count, default=100, metavar="N", help="how many seeds to try, from 0 (100)"
    )
    which.add_argument("--seed", type=_seed, metavar="SEED", help="try this seed alone")
    parser.add_argument(
        "--jobs",
        type=_count,
        default=os.cpu_count() or 1,
        metavar="N",
        help="how many seeds run side by side (one for each processor)",
    )
    parser.add_argument(
        "--records",
        type=_count,
        default=1000,
        metavar="N",
        help="how many records are read of each source at most (1000)",
    )
    add_samples(parser)
    parser.add_argument(
        "--faults",
        type=_faults,
        default=FAULTS,
        metavar="KIND,…",
        help="the kinds of faults to inject (all)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=120.0,
        metavar="SECONDS",
        help="how long one seed may take (120)",
    )
    parser.add_argument("--json", action="store_true", help="what was found, as one JSON object")


def execute(arguments: argparse.Namespace) -> int:
    """Try the seeds and print what was found. Raises GraphError and Unfit."""
    trial = Trial(
        arguments.graph,
        arguments.given,
        records=arguments.records,
        samples=arguments.samples,
        faults=tuple(arguments.faults),
    )
    graph = trial.check().graph.name
    alone: int | None = arguments.seed
    seeds = range(arguments.seeds) if alone is None else [alone]
    findings = Findings()
    progress = _Progress(len(seeds))
    began = time.monotonic()
    results = try_seeds(
        trial, seeds, jobs=arguments.jobs, timeout=arguments.timeout, quiet=alone is None
    )
    try:
        for result in results:
            if "unfit" in result:
                raise Unfit(str(result["unfit"]))
            findings.add(result)
            progress.show(findings)
            shown = len(findings.failed) <= _MOST_SHOWN and not came_through(result)
            if (shown or alone is not None) and not arguments.json:
                progress.clear()
                print(told(result), flush=True)
            if len(findings.failed) >= _MOST_FAILED:
                break
    finally:
        results.close()
        progress.clear()
    took = time.monotonic() - began
    if arguments.json:
        whole = findings.as_dict(graph, took)
        if findings.failed:
            whole["again"] = _again(arguments, findings)
        print(json.dumps(whole, indent=2), flush=True)
    else:
        print(findings.text(graph, took, asked=len(seeds)), flush=True)
        if findings.failed and alone is None:
            print(f"again: {_again(arguments, findings)}", flush=True)
    return ExitStatus.FAILED if findings.failed else ExitStatus.FINE


def _again(arguments: argparse.Namespace, findings: Findings) -> str:
    """The command that does what the first failed seed did."""
    words = ["thalweg", "test", arguments.graph, "--seed", str(findings.failed[0]["seed"])]
    for name, value in arguments.given.items():
        words += ["--set", f"{name}={value}"]
    for name, file in arguments.samples.items():
        words += ["--source", f"{name}={file}"]
    if arguments.records != 1000:
        words += ["--records", str(arguments.records)]
    if tuple(arguments.faults) != FAULTS:
        words += ["--faults", ",".join(arguments.faults)]
    return shlex.join(words)


class _Progress:
    """How far it is, on standard error, once it has taken a second."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._next = time.monotonic() + 1.0
        self._line = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = False

    def show(self, findings: Findings) -> None:
        """Tell it, five times a second to a terminal and every 5 s to a file."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._line else 5.0)
        text = f"thalweg: {findings.seeds:,} of {self._seeds:,} seeds"
        if findings.failed:
            text += f", {len(findings.failed):,} did not come through"
        print(
            f"\r\x1b[K{text}" if self._line else text,
            end="" if self._line else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._drawn = self._line

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = False


def _faults(text: str) -> tuple[str, ...]:
    kinds = [word.strip() for word in text.split(",") if word.strip()]
    strange = [kind for kind in kinds if kind not in FAULTS]
    if strange or not kinds:
        raise argparse.ArgumentTypeError(
            f"faults are {', '.join(FAULTS)}, not {(strange or [text])[0]!r}"
        )
    return tuple(kind for kind in FAULTS if kind in kinds)


def _count(text: str) -> int:
    number = text.replace("_", "")
    if not (number.isascii() and number.isdigit() and int(number) >= 1):
        raise argparse.ArgumentTypeError(f"a number, 1 or more, is asked for, not {text!r}")
    return int(number)


def _seed(text: str) -> int:
    number = text.replace("_", "")
    if not (number.isascii() and number.isdigit()):
        raise argparse.ArgumentTypeError(f"a number, 0 or more, is asked for, not {text!r}")
    return int(number)
