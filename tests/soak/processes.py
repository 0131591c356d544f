"""Processes that run `thalweg`, which can be killed: forked, which is quick, or started anew."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

__all__ = ["PATIENCE", "Copies", "Processes", "Programs"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 40.0


class Processes(ABC):
    """One process of `thalweg` at a time. Leaving the block kills the one that still runs."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def start(self, asked: dict[str, Any]) -> None:
        """Start one, as `copies.py` says."""

    @abstractmethod
    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""

    @abstractmethod
    def status(self, seconds: float) -> int | None:
        """Its exit status; None if it has not ended within some seconds."""


class Copies(Processes):
    """Forked from one process that has everything imported."""

    def __init__(self) -> None:
        self._child: int | None = None
        self._answers = b""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.copies"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._answer(PATIENCE) == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        self.send(signal.SIGKILL)
        self._process.communicate(timeout=PATIENCE)

    def start(self, asked: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._answer(PATIENCE)
        assert isinstance(answer, int)
        self._child = answer

    def send(self, number: signal.Signals) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):  # It has ended since it was asked.
                os.kill(self._child, number)

    def status(self, seconds: float) -> int | None:
        answer = self._answer(seconds)
        if answer is None:
            return None
        assert isinstance(answer, int)
        self._child = None
        return answer

    def _answer(self, seconds: float) -> object:
        assert self._process.stdout is not None
        pipe, until = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._answers:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            came = os.read(pipe, 65536)
            assert came, "the process that copies are forked from is gone"
            self._answers += came
        line, _, self._answers = self._answers.partition(b"\n")
        answer: object = json.loads(line)
        return answer


class Programs(Processes):
    """Started as anyone would, which takes longer; these do not kill themselves at a point."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def start(self, asked: dict[str, Any]) -> None:
        assert asked["point"] is None
        with open(asked["said"], "ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "thalweg.deploy.cli", *asked["argv"]],
                stdout=said,
                stderr=said,
            )

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def status(self, seconds: float) -> int | None:
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
