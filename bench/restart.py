"""How long a job is away: from SIGKILL to the first new record.

    python bench/restart.py

A keyed count with 100,000 keys runs under `thalweg run --state …` as anyone would start it, and is
killed at a random moment once all keys are there; the same command is started again at once, as
a supervisor would. Records come by the clock, whoever runs. The first record is the first that
the restarted process writes, which may be a repeat since the last epoch: the sink does not commit.
The first new one came after the kill. Each record is written with the count of its key, and every
one of them is compared with what it must be.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import Report, arguments, progress, spread
from services import POSTGRES, forget, postgres_at
from start import launcher

BENCH = Path(__file__).resolve().parent
ITEM = 16
PATIENCE = 90.0
LIMIT = 2.0


@dataclass(slots=True)
class Job:
    """The job, its output, and what was measured of it."""

    command: list[str]
    out: Path
    began: float
    rate: float
    keys: int
    process: subprocess.Popen[bytes] | None = None
    first: list[float] = field(default_factory=list[float])
    new: list[float] = field(default_factory=list[float])
    repeats: list[float] = field(default_factory=list[float])

    def start(self) -> None:
        """Start the command."""
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def size(self) -> int:
        """The size of the output by now, in whole items."""
        try:
            return self.out.stat().st_size // ITEM
        except FileNotFoundError:
            return 0

    def numbers(self, since: int = 0) -> list[tuple[int, int]]:
        """The records that were written, each with the count of its key."""
        with self.out.open("rb") as file:
            file.seek(since * ITEM)
            data = file.read()
        return [
            (
                int.from_bytes(data[i : i + 8], "little"),
                int.from_bytes(data[i + 8 : i + 16], "little"),
            )
            for i in range(0, len(data) - ITEM + 1, ITEM)
        ]

    def wait_for(self, number: int, since: int = 0) -> None:
        """Return once a record of this number or a later one has been written."""
        until = time.monotonic() + PATIENCE
        while True:
            size = self.size()
            if size > since and self.numbers(size - 1)[0][0] >= number:
                return
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > until:
                assert self.process.stderr is not None
                self.process.kill()
                said = self.process.stderr.read().decode()
                raise RuntimeError(f"record {number} has not come: {said}")
            time.sleep(0.0005)

    def kill_and_start(self) -> None:
        """Kill it, start it again, and note how long it was away."""
        assert self.process is not None
        killed_at, killed = time.time(), time.perf_counter()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        size = self.size()
        last = self.numbers(size - 1)[0][0]
        self.start()
        self.wait_for(0, since=size)
        self.first.append(time.perf_counter() - killed)
        self.wait_for(int((killed_at - self.began) * self.rate) + 1, since=size)
        self.new.append(time.perf_counter() - killed)
        self.repeats.append(last + 1 - self.numbers(size)[0][0])

    def stop(self) -> None:
        """End it, and look at all that it wrote."""
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=PATIENCE)
        expected = 0
        for number, count in self.numbers():
            if number > expected or count != number // self.keys + 1:
                raise AssertionError(
                    f"record {number} counted {count} came where {expected} or a repeat was due"
                )
            expected = number + 1


def main() -> int:
    parser = arguments("Time from SIGKILL to the first new record.")
    parser.add_argument("--keys", type=int, default=100_000, help="keys in the state")
    parser.add_argument("--rate", type=float, default=2000.0, help="records a second")
    parser.add_argument("--rounds", type=int, default=7, help="kills of each job")
    parser.add_argument("--run", type=float, default=3.0, help="seconds between kills, at least")
    parser.add_argument("--lease", type=float, default=10.0, help="seconds of PostgreSQL's lease")
    parser.add_argument("--postgres", default=POSTGRES, help="the URL, or none")
    parser.add_argument("--folder", default=None, help="where the local store is made")
    options = parser.parse_args()
    report = Report("restart: from SIGKILL to the first new record")
    chance = random.Random(7)
    with TemporaryDirectory(dir=options.folder) as folder:
        places = {"local store": str(Path(folder) / "state")}
        if postgres_at(options.postgres):
            places["PostgreSQL"] = options.postgres
        else:
            report.note("no PostgreSQL: it is left out")
        jobs: dict[str, Job] = {}
        for name, place in places.items():
            jobs[name] = measure(name, place, Path(folder), options, chance)
    report.table(
        f"{options.keys:,} keys, {options.rate:g} records/s, {options.rounds} kills; seconds",
        ["", "to the first record", "to the first new one", "records again"],
        [
            [name, spread(job.first), spread(job.new), spread(job.repeats, "{:.0f}")]
            for name, job in jobs.items()
        ],
    )
    limits = {"local store": LIMIT, "PostgreSQL": options.lease + LIMIT}
    for name, job in jobs.items():
        what = "" if name == "local store" else f" (a lease of {options.lease:g} s and 2 s)"
        report.figure(
            f"{name}: each first new record within {limits[name]:g} s{what}",
            f"{max(job.new):.2f} s",
            reached=max(job.new) < limits[name],
        )
    report.numbers["seconds"] = {
        name: {"first": job.first, "new": job.new, "repeats": job.repeats}
        for name, job in jobs.items()
    }
    return report.finish(options)


def measure(
    name: str, place: str, folder: Path, options: argparse.Namespace, chance: random.Random
) -> Job:
    """Run one job, and kill it again and again."""
    keys, rate, rounds = options.keys, options.rate, options.rounds
    began = time.time() - keys / rate
    out = folder / name.replace(" ", "-")
    own = f"clockwork-{uuid.uuid4().hex[:12]}"
    job = Job(
        [
            *launcher(), "run", str(BENCH / "peers" / "clockwork.py"), "--progress", "none",
            "--state", place, "--set", f"name={own}",
            "--set", f"keys={keys}", "--set", f"rate={rate}", "--set", f"began={began}",
            "--set", f"out={out}",
        ],
        out, began, rate, keys,
    )  # fmt: skip
    try:
        job.start()
        job.wait_for(keys)
        for number in range(rounds):
            time.sleep(options.run + chance.random())
            progress(f"{name}: kill {number + 1} of {rounds}")
            job.kill_and_start()
        job.stop()
    finally:
        if job.process is not None:
            job.process.kill()
            job.process.wait()
        if place == options.postgres:
            forget(place, own)
    return job


if __name__ == "__main__":
    sys.exit(main())
