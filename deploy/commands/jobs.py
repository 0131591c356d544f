"""`thalweg jobs`: the jobs that run on this machine."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..exit_status import ExitStatus
from ..running_jobs import running_jobs

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg jobs
  thalweg jobs --json

It lists the jobs that this user has started with `thalweg run`: name, id, process, and the address
that each was given by --http. By name or id they are asked: thalweg sql NAME 'from counts'.
They are told in the folder THALWEG_JOBS, or where that is not set in one of this user's.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `jobs`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--json", action="store_true", help="one JSON object for each, in a list")


def execute(arguments: argparse.Namespace) -> int:
    """Print them."""
    jobs = running_jobs()
    if arguments.json:
        print(json.dumps([asdict(job) for job in jobs]))
        return ExitStatus.FINE
    for job in jobs:
        print(f"{job.name}  {job.id}  process {job.process}  {job.address or 'without --http'}")
    return ExitStatus.FINE
