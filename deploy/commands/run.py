"""`thalweg run`: a graph until its sources end, or a signal drains it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..address import Address, AddressError, parse_address
from ..exit_status import UsageError
from ..launching import Launcher
from ..loading import importable
from ..reporter import form_for
from ..restarting import Restarter, die_with_parent, restarted
from .arguments import add_graph, add_state, graph_of, seconds, state_of

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg run iris_scoring
  thalweg run flow.py --set repeat=10 --set out=/tmp/out
  thalweg run package.flow:graph --http :9464
  thalweg run flow.py --state state/ --restart
  thalweg run flow.py --state postgresql://user@host/database

Without --state, SIGTERM and SIGINT drain: sources stop, what was read arrives. With it they
suspend: a last epoch is taken, and the same command goes on from there. A second signal
cancels, and prints what was not processed.

exit status:
  0  ended, drained or suspended     1  the job failed     2  wrong usage, graph or settings
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
    add_state(parser)
    parser.add_argument(
        "--restart",
        nargs="?",
        type=_restarts,
        const=10,
        default=None,
        metavar="LIMIT",
        help="start again when the job fails or its process dies, after a pause that grows from "
        "1 s to 60 s, LIMIT times in a row at most (10; 0: no limit); needs --state",
    )
    parser.add_argument(
        "--drain-timeout",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long a drain, or a suspension, may take before the job is cancelled (30)",
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
    state = state_of(arguments)
    if arguments.restart is not None and not restarted():
        if state is None:
            raise UsageError("--restart needs --state: without a store each start begins anew")
        if state.from_epoch is not None or state.forget:
            raise UsageError(
                "--restart would go back, or forget, at every start: run once with --from-epoch or "
                "--forget, then with --restart"
            )
        return _restarted(arguments)
    die_with_parent()
    loaded = graph_of(arguments)
    launcher = Launcher(
        loaded.graph,
        state=state,
        http=arguments.http,
        drain_timeout=arguments.drain_timeout,
        form=form_for(sys.stderr, arguments.progress),
        show_traceback=arguments.traceback,
    )
    with importable(loaded.folder):  # for what functions of the graph import while they run
        return launcher.run()


def _restarted(arguments: argparse.Namespace) -> int:
    graph_of(arguments)  # A mistake in the file is told once, and not by a process of its own.
    words = without_restart(sys.argv[1:])
    limit: int = arguments.restart
    return Restarter(words, limit=limit or None, say=_say).run()


def without_restart(words: Sequence[str]) -> list[str]:
    """The command line without `--restart` and its limit."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
            if word.isdigit():
                continue
        if word == "--restart":
            skip = True
        elif not word.startswith("--restart="):
            kept.append(word)
    return kept


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _restarts(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"a number, 0 or more, is asked for, not {text!r}")
    return int(text)


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
