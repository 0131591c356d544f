"""`thalweg tune`: the settings of an operator, searched for against its live endpoint."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.errors import DataError, JobFailed
from ..event_loop import loop_factory
from ..exit_status import ExitStatus, UsageError
from ..loading import importable
from .arguments import add_graph, add_samples, graph_of, seconds

if TYPE_CHECKING:
    from ...runtime.nodes import Node
    from ...runtime.tuning.objective import Throughput
    from ..loading import Loaded
    from ..tuning.findings import Findings
    from ..tuning.watching import Load

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg tune flow.py --operator score --for 60
  thalweg tune flow.py --operator score --p99 0.2 --plot tune.svg
  thalweg tune iris_scoring --set endpoint=oip+http://127.0.0.1:8501/v2/models/iris --json
  thalweg tune flow.py --source flowers=flowers.ndjson

Up to --records records are read as the graph reads them, up to the operator, and are then sent to
its endpoint again and again, as fast as it takes them: this is real load. Nothing below the
operator runs, no sink is written to, and no source is told that anything has arrived. The best
setting is the fastest one of which 99 of 100 calls stay within the bound. Its linger is not tried
but worked out: the time in which a batch fills, a quarter of the bound at most.

The load is told every 5 s on standard error. Ctrl-C ends the search, and what was found is printed.

exit status:
  0  a setting was found     1  none was, or the endpoint failed     2  wrong usage or graph
"""

_SHORTEST = 5.0
"""Seconds in which a few settings can be measured."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tune`."""
    parser.epilog = _EXAMPLES
    add_graph(parser)
    parser.add_argument(
        "--operator", metavar="NAME", help="which one to tune (the only one that can be)"
    )
    parser.add_argument(
        "--for",
        type=_long_enough,
        default=60.0,
        dest="lasts",
        metavar="SECONDS",
        help="how long to search at most (60); it ends before when nothing is left to try",
    )
    parser.add_argument(
        "--p99",
        type=_some_seconds,
        metavar="SECONDS",
        help="how long 99 of 100 calls may take at most (that of the graph's tune=, else 1)",
    )
    parser.add_argument(
        "--max-in-flight",
        type=_count,
        metavar="CALLS",
        help="the most calls at once that are tried (that of the graph's tune=, else 128)",
    )
    parser.add_argument(
        "--max-batch-size",
        type=_count,
        metavar="RECORDS",
        help="the most records in a call that are tried (that of the graph's tune=, else 8192)",
    )
    parser.add_argument(
        "--records",
        type=_count,
        default=10_000,
        metavar="N",
        help="how many records are read at most; a source with fewer is enough (10000)",
    )
    add_samples(parser)
    parser.add_argument("--plot", type=_plot, metavar="FILE.svg", help="draw what was measured")
    parser.add_argument("--json", action="store_true", help="what was found, as one JSON object")


def execute(arguments: argparse.Namespace) -> int:
    """Search, and print what was found. Raises GraphError, UsageError and Untunable."""
    from ..tuning.candidates import chosen

    loaded = graph_of(arguments)
    loaded.graph.plan()  # A mistake in it is told before anything is asked.
    node = chosen(loaded.graph, arguments.operator)
    goal = _goal(node, arguments)
    plot: Path | None = arguments.plot
    if plot is not None and not plot.parent.is_dir():
        raise UsageError(f"--plot {plot}: there is no folder {str(plot.parent)!r}")
    try:
        with importable(loaded.folder), asyncio.Runner(loop_factory=loop_factory()) as runner:
            found = runner.run(_search(loaded, node, goal, arguments))
    except JobFailed as error:
        if arguments.traceback:
            raise
        print(f"thalweg: {error}", file=sys.stderr)
        return ExitStatus.FAILED
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False), flush=True)
    else:
        print(found.text(), flush=True)
    if plot is not None:
        _draw(found, plot)
    return ExitStatus.FINE if found.best is not None else ExitStatus.FAILED


async def _search(
    loaded: Loaded, node: Node, goal: Throughput, arguments: argparse.Namespace
) -> Findings:
    from ..tuning.session import tune

    stop = asyncio.Event()
    with _stopping(stop):
        return await tune(
            loaded.graph,
            node,
            goal,
            seconds=arguments.lasts,
            most=arguments.records,
            given=_given(loaded, arguments.samples),
            say=_say,
            stop=stop,
        )


def _goal(node: Node, arguments: argparse.Namespace) -> Throughput:
    """What the command line asks for, then what the graph does."""
    from dataclasses import replace

    from ...runtime.tuning.feeding import as_tunable
    from ...runtime.tuning.objective import Throughput

    work = as_tunable(node)
    goal = (work.tune if work is not None else None) or Throughput()
    wanted = {
        "p99": arguments.p99,
        "max_in_flight": arguments.max_in_flight,
        "max_batch_size": arguments.max_batch_size,
    }
    try:
        return replace(goal, **{name: value for name, value in wanted.items() if value is not None})
    except ValueError as error:
        raise UsageError(str(error)) from None


def _given(loaded: Loaded, samples: dict[str, str]) -> dict[str, list[object]]:
    """The records of the files that stand for sources."""
    from ..by_hand.given_records import decoded, read_records

    sources = [node.name for node in loaded.graph.nodes if node.kind == "source"]
    given: dict[str, list[object]] = {}
    for name, file in samples.items():
        if name not in sources:
            raise UsageError(
                f"--source {name}=…: there is no source {name!r}; they are {', '.join(sources)}"
            )
        try:
            with open(file, "rb") as stream:
                given[name] = [decoded(one) for one in read_records(stream)]
        except OSError as error:
            raise UsageError(
                f"--source {name}={file}: {error.strerror or type(error).__name__}"
            ) from None
        except DataError as error:
            raise UsageError(f"--source {name}={file}: {error}") from None
        if not given[name]:
            raise UsageError(f"--source {name}={file}: there is no record in it")
    return given


@contextmanager
def _stopping(stop: asyncio.Event) -> Generator[None]:
    """The first SIGINT or SIGTERM ends the search; a second one ends the process."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def received() -> None:
        print("thalweg: stopping; what was found follows", file=sys.stderr, flush=True)
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, received)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _draw(found: Findings, file: Path) -> None:
    from ..tuning.plot import drawn

    try:
        file.write_text(drawn(found), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--plot {file}: {error.strerror or type(error).__name__}") from None
    print(f"thalweg: the curve is in {file}", file=sys.stderr, flush=True)


def _say(load: Load) -> None:
    print(load, file=sys.stderr, flush=True)


def _plot(text: str) -> Path:
    if not text.lower().endswith(".svg"):
        raise argparse.ArgumentTypeError(
            f"the curve is drawn as SVG, which each browser shows: name a file that ends in .svg, "
            f"not {text!r}"
        )
    return Path(text)


def _long_enough(text: str) -> float:
    number = seconds(text)
    if number < _SHORTEST:
        raise argparse.ArgumentTypeError(f"a search takes {_SHORTEST:g} s at least, not {text!r}")
    return number


def _some_seconds(text: str) -> float:
    number = seconds(text)
    if not number:
        raise argparse.ArgumentTypeError("a number of seconds above 0 is asked for, not 0")
    return number


def _count(text: str) -> int:
    number = text.replace("_", "")
    if not (number.isascii() and number.isdigit() and int(number) >= 1):
        raise argparse.ArgumentTypeError(f"a number, 1 or more, is asked for, not {text!r}")
    return int(number)
