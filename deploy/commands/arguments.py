"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..loading import Loaded, load

__all__ = ["add_graph", "graph_of"]


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
