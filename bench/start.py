"""How long it takes until something happens: import, help, the first scored record.

    python bench/start.py

Each command runs in a process of its own, in turns with a bare interpreter. The time on the wall
is what counts; the CPU time stands beside it, since it is steadier on a busy machine.
"""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import Report, arguments, progress, spread

ROOT = Path(__file__).resolve().parent.parent
NOT_LOADED = ("aiohttp", "prometheus_client", "onnxruntime", "numpy")
IMPORT_LIMIT = 120.0
HELP_LIMIT = 200.0
FIRST_LIMIT = 1000.0
PATIENCE = 60.0

Took = tuple[float, float]
"""Milliseconds on the wall, and of CPU time."""


def run(command: Sequence[str]) -> Took:
    """How long a command takes that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e3 * wall, 1e3 * cpu


def first_record(command: Sequence[str]) -> Took:
    """How long a job takes from its start until the first line of its output is there."""
    with tempfile.TemporaryDirectory() as out:
        scored = Path(out) / "scored.ndjson"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--set", f"out={out}"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            while not _has_a_line(scored):
                if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                    assert process.stderr is not None
                    process.kill()
                    raise RuntimeError(f"no record was scored: {process.stderr.read().decode()}")
                time.sleep(0.001)
            wall = time.perf_counter() - began
        finally:
            process.kill()
            process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e3 * wall, 1e3 * cpu


def _has_a_line(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return b"\n" in file.read(65536)
    return False


def loaded(code: str) -> list[str]:
    """Which of the modules that cost much are loaded after this code has run."""
    look = f"{code}\nimport sys\nprint(*[n for n in {NOT_LOADED!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", look], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return done.stdout.split()


def launcher() -> list[str]:
    """The command `thalweg` of this environment."""
    script = Path(sys.executable).with_name("thalweg")
    if os.access(script, os.X_OK):
        return [str(script)]
    return [
        sys.executable,
        "-c",
        "import sys\nfrom thalweg.deploy.cli import main\nsys.exit(main())",
    ]


def main() -> int:
    parser = arguments("Time until something happens.")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds")
    options = parser.parse_args()
    report = Report("start: import, help, first scored record")
    thalweg = launcher()
    commands: dict[str, Callable[[], Took]] = {
        "bare interpreter": lambda: run([sys.executable, "-c", "pass"]),
        "import thalweg": lambda: run([sys.executable, "-c", "import thalweg"]),
        "import thalweg.operators": lambda: run([sys.executable, "-c", "import thalweg.operators"]),
        "thalweg --help": lambda: run([*thalweg, "--help"]),
        "first scored record": lambda: first_record([*thalweg, "run", "graphs/iris_scoring.py"]),
    }
    for command in commands.values():
        command()  # compiled files and the disk's cache
    took: dict[str, list[Took]] = {name: [] for name in commands}
    for number in range(options.rounds):
        progress(f"round {number + 1} of {options.rounds}")
        for name in reversed(commands) if number % 2 else commands:
            took[name].append(commands[name]())
    bare_wall = [wall for wall, _ in took["bare interpreter"]]
    over: dict[str, float] = {}
    rows: list[list[str]] = []
    for name, times in took.items():
        walls = [wall for wall, _ in times]
        above = [wall - bare for wall, bare in zip(walls, bare_wall, strict=True)]
        over[name] = statistics.median(above)
        ratio = statistics.median([wall / b for wall, b in zip(walls, bare_wall, strict=True)])
        rows.append(
            [
                name,
                spread(walls, "{:.0f}"),
                spread([cpu for _, cpu in times], "{:.0f}"),
                f"{over[name]:.0f}",
                f"{ratio:.1f}",
            ]
        )
    report.table(
        "milliseconds; the job reads graphs/iris_scoring.py, without --http",
        ["", "on the wall", "CPU", "over bare", "ratio to bare"],
        rows,
    )
    report.note(f"medians of {options.rounds} interleaved rounds (least … greatest)")
    wall = {name: statistics.median([wall for wall, _ in times]) for name, times in took.items()}
    for text, value, limit in (
        ("import thalweg, over the bare interpreter", over["import thalweg"], IMPORT_LIMIT),
        ("thalweg --help", wall["thalweg --help"], HELP_LIMIT),
        ("first scored record after start", wall["first scored record"], FIRST_LIMIT),
    ):
        report.figure(f"{text}, under {limit:g} ms", f"{value:.0f} ms", reached=value < limit)
    for code in ("import thalweg", "import thalweg.operators"):
        heavy = loaded(code)
        report.figure(
            f"{code} loads none of {', '.join(NOT_LOADED)}",
            ", ".join(heavy) or "none",
            reached=not heavy,
        )
    report.numbers["milliseconds (wall, CPU)"] = took
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
