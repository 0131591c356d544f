"""Activity files for the benches: writes them, and says how long that took and what is in them.

    python bench/activity.py out/activity --files 80
    python bench/activity.py --check

Without a folder they are written to a temporary one. What they are is told by
`thalweg.graphs.data.activity`, which tests and graphs import.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import orjson
from measure import Report, arguments, progress

from thalweg.graphs.data.activity import ROWS, write_activity

WITHIN = 120.0


def main() -> int:
    """Write the files, look at them, and return the exit status."""
    parser = arguments("Write activity files by seed.")
    parser.add_argument("folder", nargs="?", type=Path, help="where to; else a temporary one")
    parser.add_argument("--files", type=int, default=80, help="files to write")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows in each")
    parser.add_argument("--seed", type=int, default=0, help="other files for another seed")
    parser.add_argument("--first", type=int, default=0, help="the number of the first file")
    parser.add_argument("--markers", action="store_true", help="add the files that Spark leaves")
    options = parser.parse_args()
    report = Report(f"{options.files} activity files of {options.rows:,} rows")
    if options.folder is not None:
        measure(options, options.folder, report)
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(options, Path(folder), report)
    return report.finish(options)


def measure(options: argparse.Namespace, folder: Path, report: Report) -> None:
    """Write them, and look at the first."""
    progress(f"writing into {folder}")
    began = time.perf_counter()
    written = write_activity(
        folder,
        files=options.files,
        rows=options.rows,
        seed=options.seed,
        first=options.first,
        markers=options.markers,
    )
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in written)
    rows = options.files * options.rows
    report.numbers = {"seconds": seconds, "bytes": size, "rows": rows}
    report.table(
        "written",
        ["files", "rows", "bytes", "bytes a row", "seconds"],
        [[f"{len(written)}", f"{rows:,}", f"{size:,}", f"{size / max(1, rows):.1f}",
          f"{seconds:.1f}"]],
    )  # fmt: skip
    if written:
        with written[0].open("rb") as lines:
            found = Counter(orjson.loads(line)["gt"] for line in lines)
        report.table(
            "activities in the first", ["gt", "rows"], [[gt, f"{n:,}"] for gt, n in found.items()]
        )
    report.figure(f"written in under {WITHIN:g} s", f"{seconds:.1f} s", reached=seconds < WITHIN)


if __name__ == "__main__":
    sys.exit(main())
