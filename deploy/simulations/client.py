"""Starts the process that all seeds are copies of, and hears what it says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence

from ...runtime.errors import ThalwegError
from .forks import Result
from .trial import Trial

__all__ = ["try_seeds"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Libraries that compute start threads of their own, which no fork copies, unless told not to."""


def try_seeds(
    trial: Trial, seeds: Sequence[int], *, jobs: int, timeout: float, quiet: bool
) -> Generator[Result]:
    """The result of each seed, as they come. Closing this early ends what still runs."""
    server = subprocess.Popen(
        [sys.executable, "-m", "thalweg.deploy.simulations.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONHASHSEED": "0", **dict.fromkeys(_THREADS, "1")},
        process_group=0,  # So that all of them can be ended together.
    )
    assert server.stdin is not None
    assert server.stdout is not None
    asked = {
        "trial": trial.as_dict(),
        "seeds": list(seeds),
        "jobs": jobs,
        "timeout": timeout,
        "quiet": quiet,
    }
    try:
        with server.stdin:
            json.dump(asked, server.stdin)
        for line in server.stdout:
            result: Result = json.loads(line)
            yield result
        status = server.wait()
        if status:
            raise ThalwegError(f"the process that runs the seeds has ended with status {status}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.stdout.close()
        server.wait()
