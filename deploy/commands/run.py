"""`thalweg run`: a graph until its sources end, or a signal drains it."""

from __future__ import annotations

import argparse
import math
import sys

from ..address import Address, AddressError, parse_address
from ..launching import Launcher
from ..loading import importable
from ..reporter import form_for
from .arguments import add_graph, graph_of

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg run iris_scoring
  thalweg run flow.py --set repeat=10 --set out=/tmp/out
  thalweg run package.flow:graph --http :9464

SIGTERM and SIGINT drain: sources stop, what was read arrives. A second one cancels, and
prints what was not processed.

exit status:
  0  ended or drained     1  the job failed     2  wrong usage, graph or settings
  3  cancelled, by a second signal or the drain timeout, with records unprocessed
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `run`."""
    parser.epilog = _EXAMPLES
    add_graph(parser)
    parser.add_argument(
        "--http",
        type=_address,
        metavar="HOST:PORT",
        help="serve /metrics, /healthz, /readyz, /progress and /graph here; without a host only "
        "this machine can ask, port 0 is any free one",
    )
    parser.add_argument(
        "--drain-timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long a drain may take before the job is cancelled (30)",
    )
    parser.add_argument(
        "--progress",
        choices=("auto", "line", "plain", "none"),
        default="auto",
        help="one live line, a plain line every 5 s, or nothing, on standard error (auto: a live "
        "line where there is a terminal)",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run the graph and return the exit status. Raises GraphError before anything runs."""
    loaded = graph_of(arguments)
    launcher = Launcher(
        loaded.graph,
        http=arguments.http,
        drain_timeout=arguments.drain_timeout,
        form=form_for(sys.stderr, arguments.progress),
        show_traceback=arguments.traceback,
    )
    with importable(loaded.folder):  # for what functions of the graph import while they run
        return launcher.run()


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise argparse.ArgumentTypeError(
            f"a number of seconds, 0 or more, is asked for, not {text!r}"
        )
    return seconds
