"""`thalweg sql`: a query for the tables of a running job."""

from __future__ import annotations

import argparse
import json

from ..address import AddressError, parse_address
from ..exit_status import ExitStatus, UsageError
from ..running_jobs import find_job

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg sql activity_counts 'select * from counts order by n desc limit 10'
  thalweg sql :9464 'from thalweg_tables'
  thalweg sql http://127.0.0.1:9464 'from counts' --out counts.parquet

The job is one that thalweg run FILE --http HOST:PORT has started: on this machine it is found by
its name, that of its graph, or by its id, and elsewhere by its address. thalweg jobs lists them.
It answers one SELECT, for all tables as they stood at one moment, within 10 s and of up to
100,000 rows. The table thalweg_tables lists the others.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `sql`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("job", metavar="JOB", help="name, id, HOST:PORT, :PORT or URL of the job")
    parser.add_argument("query", metavar="SELECT", help="the query")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the answer as one JSON object")
    form.add_argument(
        "--out", metavar="FILE", help="write the answer to a file: .parquet, .csv or .ndjson"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Ask, and print or write the answer. Raises ThalwegError."""
    from ..asking_job import ask_job
    from ..written_answer import text_of, write_answer, writer_of

    out: str | None = arguments.out
    write = None if out is None else writer_of(out)
    answer = ask_job(_url(arguments.job), arguments.query)
    if out is not None and write is not None:
        write_answer(answer, out, write)
        print(f"{len(answer):,} rows of version {answer.version} are in {out}")
    elif arguments.json:
        print(json.dumps(answer.as_dict()), flush=True)
    else:
        print(text_of(answer), flush=True)
    return ExitStatus.FINE


def _url(job: str) -> str:
    """The address of the page that answers. Raises ThalwegError for what is none."""
    if job.startswith(("http://", "https://")):
        return f"{job.rstrip('/').removesuffix('/sql')}/sql"
    try:
        return f"http://{parse_address(job)}/sql"
    except AddressError as error:
        if ":" in job:
            raise UsageError(
                f"{error}: a job is asked by its name, or at the address that it was started "
                "with, by --http"
            ) from None
    found = find_job(job)
    if found.address is None:
        raise UsageError(
            f"the job {job!r} (process {found.process}) answers nobody: run it with --http, such "
            "as --http :0 for any free port"
        )
    return f"http://{found.address}/sql"
