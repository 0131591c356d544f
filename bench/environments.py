"""Environments of their own for the peers, made on demand, and worker processes in them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import progress

__all__ = ["PeerMissing", "Worker", "prepare"]

BENCH = Path(__file__).resolve().parent
ENVIRONMENTS = BENCH / ".environments"


class PeerMissing(Exception):
    """A peer cannot be installed or started; the message says why."""


def prepare(name: str) -> Path:
    """The Python of the environment with what `peers/NAME.txt` pins; made when it is not there.

    Raises PeerMissing when it cannot be installed.
    """
    pinned = BENCH / "peers" / f"{name}.txt"
    home = ENVIRONMENTS / name
    python = home / "bin" / "python"
    made_of = home / "made_of.txt"
    wanted = f"{sys.version}\n{pinned.read_text()}"
    if made_of.exists() and made_of.read_text() == wanted:
        return python
    progress(f"making the environment of {name} in {home}")
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(pinned)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise PeerMissing(f"{name} cannot be installed: {last}")
    made_of.write_text(wanted)
    return python


class Worker:
    """A process that runs a module of `peers` and measures what it is asked to."""

    def __init__(self, name: str, python: Path | str, module: str, given: Sequence[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [str(python), "-m", f"peers.{module}", *given],
            cwd=BENCH,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def measure(self, contender: str, *given: object) -> Any:
        """What this contender measures. Raises PeerMissing when the process has died."""
        assert self._process.stdin is not None
        # Where it has died, its last words are told below.
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps([contender, given]), file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=30)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate(timeout=30)
            last = said.strip().splitlines()[-1] if said.strip() else "no message"
            raise PeerMissing(f"{self.name} failed: {last}")
        return json.loads(line)
