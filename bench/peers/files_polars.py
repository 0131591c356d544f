"""The work of `analytics.py` on Polars: file by file, and the answers behind each."""

from __future__ import annotations

import polars as pl  # type: ignore[import-not-found]

from peers.activity_files import Answers, answers_of, files_in, tell

KEYS = ["Device", "gt", "Model"]
SCHEMA = {
    "Arrival_Time": pl.Int64, "Creation_Time": pl.Int64, "Device": pl.String, "Index": pl.Int64,
    "Model": pl.String, "User": pl.String, "gt": pl.String,
    "x": pl.Float64, "y": pl.Float64, "z": pl.Float64,
}  # fmt: skip


def per_file(folder: str) -> tuple[Answers, dict[str, float]]:
    answers: Answers = {}
    groups = pl.DataFrame()
    for path in files_in(folder):
        found = (
            pl.scan_ndjson(path, schema=SCHEMA)
            .group_by(KEYS)
            .agg(pl.len().cast(pl.Int64).alias("rows"), pl.sum("x"), pl.sum("y"), pl.sum("z"))
            .collect()
        )
        groups = found if groups.is_empty() else pl.concat([groups, found]).group_by(KEYS).sum()
        answers = answers_of(groups.rows())
    return answers, {}


tell(per_file)
