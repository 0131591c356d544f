"""`thalweg look`: what is in these files, and how to declare a stream of them."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable

from ..exit_status import ExitStatus
from ..looking.found_files import FORMATS
from ..looking.limits import Limits

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg look 'data/*.json'
  thalweg look data/ --format csv --by device,gt --by user
  thalweg look 'data/*.json.gz' --json > findings.json

Files are read once, into a temporary folder; names that begin with _ or . are passed over in
patterns and folders. A line that cannot be read is told with its file, and ends the look unless
--skip-bad is said; then values of another type than their column has are NULL.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `look`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, a pattern or a folder")
    parser.add_argument("--format", choices=FORMATS, help="what the files are, if no name tells it")
    parser.add_argument(
        "--by", action="append", type=_names, default=[], metavar="COLUMNS",
        help="count the rows by these columns, as in device,gt; may be said several times",
    )  # fmt: skip
    parser.add_argument("--rows", type=_rows, default=5, metavar="N", help="rows to show (5)")
    parser.add_argument("--json", action="store_true", help="everything, as one JSON object")
    parser.add_argument("--skip-bad", action="store_true", help="pass over what cannot be read")
    parser.add_argument(
        "--memory", default="1GB", metavar="SIZE", help="held in memory at most (1GB)"
    )
    parser.add_argument(
        "--timeout", type=_above(0), default=600.0, metavar="SECONDS", help="for all of it (600)"
    )
    parser.add_argument(
        "--max-ratio", type=_above(1), default=100.0, metavar="TIMES",
        help="how many times as large a compressed file may become (100)",
    )  # fmt: skip


def execute(arguments: argparse.Namespace) -> int:
    """Look, and print what was found. Raises ThalwegError."""
    from ..looking.looking import look
    from ..looking.printing import text_of

    found = look(
        arguments.paths,
        format=arguments.format,
        by=arguments.by,
        rows=arguments.rows,
        skip_bad=arguments.skip_bad,
        limits=Limits(arguments.memory, arguments.timeout, arguments.max_ratio),
    )
    text = json.dumps(found.as_dict(), indent=2, default=str) if arguments.json else text_of(found)
    print(text, flush=True)
    return ExitStatus.FINE


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"names of columns are asked for, as a,b, not {text!r}")
    return names


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"a number from 0 to 1000 is asked for, not {text!r}")
    return int(text)


def _above(least: float) -> Callable[[str], float]:
    """What reads a number above another."""

    def number(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not (math.isfinite(found) and found > least):
            raise argparse.ArgumentTypeError(f"a number above {least:g} is asked for, not {text!r}")
        return found

    return number
