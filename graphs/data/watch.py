"""What a smartwatch measured on ten people who did seven exercises, with either arm.

    from thalweg.graphs.data.watch import watch_series
    table = watch_series(2).table

The data is that of the package seglearn (BSD): 140 series, 244,102 rows at 50 Hz of three
accelerometers and three gyroscopes.
"""

from __future__ import annotations

import pickle
from typing import Any

from thalweg import Columns, DataError, MissingExtra
from thalweg.graphs.data.packaged import packaged

__all__ = ["PACKAGE", "SENSORS", "WINDOW_MS", "watch_series"]

PACKAGE = "seglearn"

SENSORS = ("ax", "ay", "az", "gx", "gy", "gz")

STEP_MS = 20
WINDOW_MS = 5_000
"""Each series begins at a whole number of these, so that no window holds the rows of two."""

_PARTS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


class _Arrays(pickle.Unpickler):
    """Reads arrays, and nothing that could run anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PARTS:
            raise DataError(f"the data of {PACKAGE} names {module}.{name}, which is no array")
        return super().find_class(module, name)


def watch_series(count: int | None = None) -> Columns:
    """The rows of the first `count` series (None: all 140), one series after the other.

    Columns: `series`, `subject`, `exercise`, `side`, `at` in milliseconds, and the six sensors. No
    time was kept with the data: here the first series begins at 0, and each later one at the first
    5 s after the one before. Raises MissingExtra without the package, or without pyarrow, and
    DataError where the file is another.
    """
    path = packaged(PACKAGE, "data/watch_dataset.npy")
    try:
        import numpy as np
        import pyarrow
    except ImportError:
        raise MissingExtra("the data of the watch", "graphs,sql") from None
    arrow: Any = pyarrow
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise DataError(f"{path} is no array of the form that is known")
        np.lib.format.read_array_header_1_0(file)
        found: Any = _Arrays(file, encoding="latin1").load().item()
    parts: list[Any] = []
    begins = 0
    for number, rows in enumerate(found["X"][:count]):
        size = len(rows)
        same = {
            "series": number,
            "subject": int(found["subject"][number]),
            "exercise": str(found["y_labels"][int(found["y"][number])]),
            "side": "right" if found["side"][number] else "left",
        }
        columns = {name: arrow.repeat(value, size) for name, value in same.items()}
        columns["at"] = arrow.array(begins + STEP_MS * np.arange(size, dtype=np.int64))
        for at, name in enumerate(SENSORS):
            columns[name] = arrow.array(np.ascontiguousarray(rows[:, at], dtype=np.float64))
        parts.append(arrow.table(columns))
        begins += -(-size * STEP_MS // WINDOW_MS) * WINDOW_MS
    return Columns(arrow.concat_tables(parts).combine_chunks())
