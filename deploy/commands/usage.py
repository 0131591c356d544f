"""`thalweg usage`: the table and the page of a usage experiment, from its database."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..exit_status import ExitStatus, UsageError

if TYPE_CHECKING:
    from ...operators.fleet import UsageTable

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg usage out/fleet/usage.db
  thalweg usage out/fleet/usage.db --page usage.html
  thalweg usage postgresql://lab@db.example/lab --prefix lab_ --json
  thalweg usage out/fleet/usage.db --query > table.sql

The database is the one that the graph fleet_usage writes, or fleet.usage_database in a graph of
yours; it is only read, also while that graph runs. The table has a column for machines that nobody
uses, one for those that somebody uses, and one for both: samples, the samples of each hundred of
all attempts, and the means of what they found. The password of a PostgreSQL is read from
PGPASSWORD or ~/.pgpass.

exit status:
  0  printed     2  wrong usage, no such database, or no such tables in it
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `usage`."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "database", metavar="DATABASE", help="an SQLite file, or the URL of a PostgreSQL"
    )
    parser.add_argument(
        "--prefix", default="", help="how the names of its tables begin, where they have a prefix"
    )
    parser.add_argument(
        "--probe", default="usage", metavar="NAME", help="whose attempts count (usage)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the table as one JSON object")
    form.add_argument("--query", action="store_true", help="print the query, and run nothing")
    form.add_argument(
        "--page", type=Path, metavar="FILE", help="write a page of plots, with the table, to a file"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the table, or write the page. Raises ThalwegError."""
    from ...operators.fleet import usage_page, usage_query, usage_table
    from ...operators.sinks._postgresql_url import read_url

    database: str = arguments.database
    page: Path | None = arguments.page
    names = {"prefix": arguments.prefix, "probe": arguments.probe}
    try:
        if arguments.query:
            print(usage_query(**names), end="", flush=True)
            return ExitStatus.FINE
        if "://" in database and read_url(database)[1]:
            raise UsageError(
                "a password does not belong on a command line, where others see it: leave it out "
                "of the URL, and put it into PGPASSWORD or ~/.pgpass"
            )
        if page is not None:
            page.write_text(usage_page(database, **names), encoding="utf-8")
            print(f"the page is in {page}", flush=True)
            return ExitStatus.FINE
        table = usage_table(database, **names)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"the page cannot be written to {page}: {error.strerror}") from None
    text = json.dumps(_as_dict(table), indent=2) if arguments.json else str(table)
    print(text, flush=True)
    return ExitStatus.FINE


def _as_dict(table: UsageTable) -> dict[str, dict[str, float | None]]:
    """The figures by name, each with its three columns; samples are whole numbers."""
    made: dict[str, dict[str, float | None]] = {}
    for figure, *values in table.rows:
        whole = figure == "samples"
        told = [int(value) if whole and value is not None else value for value in values]
        made[figure] = dict(zip(("without_users", "with_users", "both"), told, strict=True))
    return made
