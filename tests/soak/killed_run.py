"""One run of the graph in copies that are killed and started again, until it has ended."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .inputs import Growing, write_orders
from .points import SIDES, Point
from .results import committed

__all__ = ["Copies", "KilledRun"]

ROOT = Path(__file__).resolve().parents[2]
GRAPH = Path(__file__).with_name("orders.py")
PATIENCE = 40.0

Start = tuple[int, dict[str, int]]
"""How long the file of the sink that commits nothing was when a copy was started, and the last
record of each lane that had been committed by then."""


class Copies:
    """The process that copies of `thalweg` are forked from, one at a time.

    Leaving the block kills the copy that still runs, and ends the process.
    """

    def __init__(self) -> None:
        self._child: int | None = None

    def __enter__(self) -> Copies:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.copies"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._answer(PATIENCE) == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        self.send(signal.SIGKILL)
        self._process.communicate(timeout=PATIENCE)

    def start(self, asked: dict[str, Any]) -> None:
        """Start a copy."""
        assert self._process.stdin is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer = self._answer(PATIENCE)
        assert isinstance(answer, int)
        self._child = answer

    def send(self, number: signal.Signals) -> None:
        """Send the copy a signal, if it has not ended."""
        if self._child is not None:
            os.kill(self._child, number)

    def status(self, seconds: float) -> int | None:
        """The exit status of the copy; None if it has not ended within some seconds."""
        answer = self._answer(seconds)
        if answer is None:
            return None
        assert isinstance(answer, int)
        self._child = None
        return answer

    def _answer(self, seconds: float) -> object:
        answers = self._process.stdout
        assert answers is not None
        ready, _, _ = select.select([answers], [], [], seconds)
        if not ready:
            return None
        line = answers.readline()
        assert line, "the process that copies are forked from is gone"
        answer: object = json.loads(line)
        return answer


@dataclass
class KilledRun:
    """A folder with the input, the output, the state, and what was done to the copies.

    `state` is where the state is kept, `given` are more settings of the graph.
    """

    folder: Path
    copies: Copies
    chance: random.Random
    state: str
    given: dict[str, str] = field(default_factory=dict[str, str])
    job: str = "orders"
    lease: float = 0.4
    """Seconds of the lease on a state in PostgreSQL."""
    log: list[str] = field(default_factory=list[str])
    starts: list[Start] = field(default_factory=list[Start])

    def run(self, kills: int, duration: float, points: dict[str, int] | None = None) -> None:
        """Run to the end: so many kills on the way, at moments of `duration` or at points."""
        write_orders(self.folder / "orders.csv")
        growing = Growing(self.folder / "visits.ndjson", self.chance)
        growing.start()
        try:
            while kills:
                kills -= 1
                if self._once(growing.is_alive(), duration, points) == 0:
                    return
        finally:
            growing.join()
        self._begin(follow=False, point=None)
        self._ended(self.copies.status(PATIENCE), (0,))

    def uninterrupted(self) -> tuple[float, dict[str, int]]:
        """Run to the end without a kill; how long it took, and how many points it passed."""
        write_orders(self.folder / "orders.csv")
        growing = Growing(self.folder / "visits.ndjson", self.chance)
        growing.start()
        began = time.monotonic()
        self._begin(follow=True, point=None)
        growing.join()
        time.sleep(0.2)
        self.copies.send(signal.SIGTERM)
        self._ended(self.copies.status(PATIENCE), (0,))
        tally: dict[str, int] = json.loads((self.folder / "tally").read_text())
        self._begin(follow=False, point=None)
        self._ended(self.copies.status(PATIENCE), (0,))
        return time.monotonic() - began, tally

    def _once(self, growing: bool, duration: float, points: dict[str, int] | None) -> int:
        """Start a copy and stop it somehow; its exit status."""
        point: Point | None = None
        if points and self.chance.random() < 0.5:
            kind = self.chance.choice(sorted(points))
            number = self.chance.randint(1, points[kind])
            point = Point(kind, number, self.chance.choice(SIDES))
        self._begin(follow=growing, point=point)
        moment = 3 * duration if point else self.chance.uniform(0.0, duration)
        status = self.copies.status(moment)
        if status is None:
            # Now and then it is asked to stop, and goes on from there.
            number = signal.SIGTERM if self.chance.random() < 0.1 else signal.SIGKILL
            self.log.append(f"{signal.Signals(number).name} after {moment:.3f} s")
            self.copies.send(number)
            status = self.copies.status(PATIENCE)
            if number == signal.SIGTERM:
                # It may have come before anybody in the copy listened.
                self._ended(status, (0, -signal.SIGTERM))
                return 1
        self._ended(status, (0, -signal.SIGKILL) if not growing else (-signal.SIGKILL,))
        assert status is not None
        return status

    def _begin(self, *, follow: bool, point: Point | None) -> None:
        seen = self.folder / "seen"
        self.starts.append(
            (seen.stat().st_size if seen.exists() else 0, committed(self.folder / "counts.ndjson"))
        )
        settings = {
            "job": self.job,
            "folder": str(self.folder),
            "follow": str(follow).lower(),
            **self.given,
        }
        argv = ["run", str(GRAPH), "--state", self.state, "--interval", "0.04"]
        argv += ["--progress", "plain", "--traceback"]
        for name, value in settings.items():
            argv += ["--set", f"{name}={value}"]
        self.log.append(f"start, follow={follow}" + (f", dies at {point}" if point else ""))
        self.copies.start(
            {
                "argv": argv,
                "said": str(self.folder / "said"),
                "point": None if point is None else [point.kind, point.number, point.side],
                "tally": str(self.folder / "tally"),
                "lease": self.lease,
            }
        )

    def _ended(self, status: int | None, wanted: tuple[int, ...]) -> None:
        self.log.append(f"exit status {status}")
        assert status in wanted, f"exit status {status}, not {wanted}:\n{self.told()}"

    def told(self) -> str:
        """What was done, and what the copies said."""
        said = self.folder / "said"
        return "\n".join(self.log) + "\n" + (said.read_text() if said.exists() else "")
