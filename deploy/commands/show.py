"""`thalweg show`: a graph's plan, settings and drawing, without running it."""

from __future__ import annotations

import argparse
import json

from ...runtime.settings import Setting
from ..exit_status import ExitStatus
from .arguments import add_graph, graph_of

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg show iris_scoring
  thalweg show flow.py --set max_in_flight=16
  thalweg show flow.py --mermaid > flow.mmd

Nothing is opened: no endpoint has to be up, no file has to be there.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `show`."""
    parser.epilog = _EXAMPLES
    add_graph(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--mermaid", action="store_true", help="only the drawing, as Mermaid text")
    form.add_argument("--json", action="store_true", help="everything, as one JSON object")


def execute(arguments: argparse.Namespace) -> int:
    """Print what was asked for on standard output. Raises GraphError."""
    loaded = graph_of(arguments)
    plan = loaded.graph.plan()
    if arguments.mermaid:
        text = plan.mermaid()
    elif arguments.json:
        settings = [setting.as_dict() for setting in loaded.settings]
        whole = {"plan": plan.as_dict(), "settings": settings, "mermaid": plan.mermaid()}
        text = json.dumps(whole, indent=2, default=str)
    else:
        parts = [plan.text().rstrip(), _settings(loaded.settings), plan.mermaid().rstrip()]
        text = "\n\n".join(part for part in parts if part)
    print(text.rstrip("\n"), flush=True)
    return ExitStatus.FINE


def _settings(settings: tuple[Setting, ...]) -> str:
    """A table of the settings, or nothing when there are none."""
    if not settings:
        return ""
    rows = [("setting", "type", "value", "from", "default", "")]
    rows += [
        (
            found.name,
            found.type,
            found.shown(found.value),
            found.variable if found.origin == "environment" else found.origin,
            found.shown(found.default),
            found.help + (f" ({found.limits})" if found.limits else ""),
        )
        for found in settings
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
