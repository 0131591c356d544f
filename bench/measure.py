"""What every bench shares: interleaved rounds, medians, the report, and what it says of itself."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Figure", "Report", "arguments", "interleaved", "machine", "progress", "spread"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure that has to be reached: what it says, what was measured, and whether it is."""

    text: str
    measured: str
    reached: bool


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all benches have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 when a figure is not reached"
    )
    return parser


def progress(text: str) -> None:
    """Say on stderr what is being measured."""
    print(f"  … {text}", file=sys.stderr, flush=True)


def interleaved(
    contenders: Mapping[str, Callable[[], float]], rounds: int, what: str
) -> dict[str, list[float]]:
    """Measure each contender once a round, every other round in the opposite order."""
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        if number % 2:
            names.reverse()
        for name in names:
            progress(f"{what}: round {number + 1} of {rounds}, {name}")
            measured[name].append(contenders[name]())
    return measured


def spread(values: Sequence[float], form: str = "{:.2f}") -> str:
    """The median of some values, with the least and the greatest of them."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form.format(middle)} ({form.format(low)} … {form.format(high)})"


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    versions = [f"{name} {_version(name)}" for name in ("thalweg", "uvloop", "aiohttp", "orjson")]
    return {
        "machine": f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.machine()}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()) + " (1, 5, 15 minutes)",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": ", ".join(versions),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", *_from_the_root(sys.argv)]),
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _from_the_root(argv: Sequence[str]) -> list[str]:
    return [f"bench/{Path(argv[0]).name}", *argv[1:]]


class Report:
    """Tables, figures and notes of one run: printed as they come, and kept for the JSON file."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.about = machine()
        self.tables: list[dict[str, object]] = []
        self.figures: list[Figure] = []
        self.notes: list[str] = []
        self.numbers: dict[str, object] = {}
        print(title)
        for name, value in self.about.items():
            print(f"{name:<9}{value}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table: the first column is text, the others are numbers."""
        self.tables.append({"title": title, "columns": list(columns), "rows": rows})
        widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
        print(f"\n{title}")
        for row in [columns, *rows]:
            cells = [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            print("  " + "  ".join(cells).rstrip())

    def figure(self, text: str, measured: str, *, reached: bool) -> None:
        """Note a figure that has to be reached."""
        self.figures.append(Figure(text, measured, reached))

    def note(self, text: str) -> None:
        """Print a remark."""
        self.notes.append(text)
        print(f"  {text}")

    def finish(self, options: argparse.Namespace) -> int:
        """Print whether each figure is reached, write the file, and return the exit status."""
        print()
        for figure in self.figures:
            print(f"{'reached' if figure.reached else 'MISSED '}  {figure.text}: {figure.measured}")
        self.about["load at the end"] = " ".join(f"{load:.2f}" for load in os.getloadavg())
        if options.json is not None:
            result = {
                "title": self.title,
                **self.about,
                "tables": self.tables,
                "numbers": self.numbers,
                "notes": self.notes,
                "figures": [asdict(figure) for figure in self.figures],
            }
            options.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        missed = any(not figure.reached for figure in self.figures)
        return 1 if options.check and missed else 0
