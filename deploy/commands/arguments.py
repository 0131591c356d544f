"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..exit_status import UsageError
from ..loading import Loaded, load

if TYPE_CHECKING:
    from ...runtime.checkpoints.options import State

__all__ = ["add_graph", "add_samples", "add_state", "graph_of", "seconds", "state_of"]


def add_graph(parser: argparse.ArgumentParser) -> None:
    """Declare `GRAPH` and `--set`."""
    parser.add_argument(
        "graph",
        metavar="GRAPH",
        help="a file (flow.py), a module (package.flow) or the name of a graph that ships "
        "(iris_scoring); ':attribute' behind it when it is not called 'graph'",
    )
    parser.add_argument(
        "--set",
        action=_Assignment,
        default={},
        dest="given",
        metavar="NAME=VALUE",
        help="a value for one of the graph's settings; may be repeated",
    )


def graph_of(arguments: argparse.Namespace) -> Loaded:
    """The graph that the command line names. Raises GraphError."""
    target: str = arguments.graph
    given: dict[str, str] = arguments.given
    return load(target, given)


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Declare `--source`: records that stand for those of a source."""
    parser.add_argument(
        "--source",
        action=_Sample,
        default={},
        dest="samples",
        metavar="NAME=FILE",
        help="records of a source that cannot be read again, one JSON value a line; may be "
        "repeated",
    )


def add_state(parser: argparse.ArgumentParser) -> None:
    """Declare where the job keeps its epochs, and what goes with it."""
    group = parser.add_argument_group("recovery")
    group.add_argument(
        "--state",
        metavar="PLACE",
        help="keep epochs here, and go on from the last one: a folder, or a PostgreSQL URL "
        "(without one the job begins anew each time)",
    )
    group.add_argument(
        "--interval",
        type=seconds,
        metavar="SECONDS",
        help="the time from one epoch to the next (1)",
    )
    group.add_argument(
        "--from-epoch",
        type=int,
        metavar="EPOCH",
        help="go on from an earlier epoch that is still kept; what was committed after it may "
        "come again",
    )
    group.add_argument(
        "--forget",
        action="append",
        default=[],
        metavar="OPERATOR",
        help="begin this operator, source or sink without what was saved of it; may be repeated",
    )


def state_of(arguments: argparse.Namespace) -> State | None:
    """The state that the command line names. Raises UsageError."""
    place: str | None = arguments.state
    options = {
        "--interval": arguments.interval,
        "--from-epoch": arguments.from_epoch,
        "--forget": arguments.forget or None,
    }
    if place is None:
        given = [name for name, value in options.items() if value is not None]
        if given:
            raise UsageError(f"{given[0]} goes with --state, which says where the epochs are")
        return None
    from ...runtime.checkpoints.options import State

    interval: float | None = arguments.interval
    try:
        state = State(
            place,
            interval=1.0 if interval is None else interval,
            from_epoch=arguments.from_epoch,
            forget=arguments.forget,
        )
        state.store()  # Opens nothing; a place that is none is told of before anything runs.
        return state
    except ValueError as error:
        raise UsageError(str(error)) from None


def seconds(text: str) -> float:
    """A number of seconds, 0 or more, as an argument."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number >= 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(
            f"a number of seconds, 0 or more, is asked for, not {text!r}"
        )
    return number


class _Assignment(argparse.Action):
    """Collects `name=value` words into a dict; a name given twice is a mistake."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        name, equals, value = str(values).partition("=")
        given: dict[str, str] = dict(getattr(namespace, self.dest))
        if not equals or not name:
            parser.error(f"--set takes NAME=VALUE, not {values!r}")
        if name in given:
            parser.error(f"--set {name}=… is given twice")
        given[name] = value
        setattr(namespace, self.dest, given)


class _Sample(argparse.Action):
    """Collects `name=file` words into a dict; a name given twice is a mistake."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        name, equals, file = str(values).partition("=")
        samples: dict[str, str] = dict(getattr(namespace, self.dest))
        if not equals or not name or not file:
            parser.error(f"--source takes NAME=FILE, not {values!r}")
        if name in samples:
            parser.error(f"--source {name}=… is given twice")
        samples[name] = file
        setattr(namespace, self.dest, samples)
