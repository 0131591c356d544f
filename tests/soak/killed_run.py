"""One run of the graph in copies that are killed and started again, until it has ended."""

from __future__ import annotations

import json
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from .inputs import Growing, write_orders
from .points import SIDES, Point
from .processes import PATIENCE, Processes
from .results import committed

__all__ = ["KilledRun"]

GRAPH = Path(__file__).with_name("orders.py")

Start = tuple[int, dict[str, int]]
"""How long the file of the sink that commits nothing was when a copy was started, and the last
record of each lane that had been committed by then."""


@dataclass
class KilledRun:
    """A folder with the input, the output, the state, and what was done to the copies.

    `state` is where the state is kept, `given` are more settings of the graph.
    """

    folder: Path
    copies: Processes
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
