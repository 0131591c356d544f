"""What a look has found, as data."""

from __future__ import annotations

import os
from dataclasses import asdict

from ...operators.sources._file_schema import in_python
from ...runtime.dataclass import dataclass
from .found_files import Format

__all__ = ["ColumnFindings", "Counts", "Findings", "declaration"]


@dataclass(frozen=True, slots=True)
class ColumnFindings:
    """One column. What does not apply to its type is None.

    `mean` and `stddev` (of the sample) leave out NaN and infinities, which `not_finite` counts.
    `distinct` is exact unless the findings say that it is an estimate.
    """

    name: str
    type: str
    count: int
    nulls: int
    distinct: int | None
    mean: float | None
    stddev: float | None
    min: object
    max: object
    not_finite: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are of each combination of some columns, the most frequent first.

    `groups` is the number of combinations; `rows` holds no more than the first of them.
    """

    columns: tuple[str, ...]
    groups: int
    rows: tuple[tuple[tuple[object, ...], int], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a look has found.

    `duplicates` counts the rows that repeat another one in all columns. `unread` counts the rows
    that were passed over since they could not be read at all.
    """

    patterns: tuple[str, ...]
    format: Format
    files: int
    bytes: int
    passed_over: int
    empty: int
    schema: dict[str, str]
    rows: int
    unread: int
    duplicates: int
    estimated: bool
    sample: tuple[tuple[object, ...], ...]
    columns: tuple[ColumnFindings, ...]
    counts: tuple[Counts, ...]

    @property
    def declaration(self) -> str:
        """What reads these files in a graph."""
        # A folder is watched by a pattern.
        patterns = tuple(os.path.join(p, "*") if os.path.isdir(p) else p for p in self.patterns)
        return declaration(patterns, self.format, self.schema)

    def as_dict(self) -> dict[str, object]:
        """The same as plain data; what JSON has no form for is text."""
        sample = [dict(zip(self.schema, row, strict=True)) for row in self.sample]
        return {
            **asdict(self),
            "sample": sample,
            "counts": [
                {
                    "columns": list(one.columns),
                    "groups": one.groups,
                    "rows": [
                        {**dict(zip(one.columns, values, strict=True)), "count": count}
                        for values, count in one.rows
                    ],
                }
                for one in self.counts
            ],
            "declaration": self.declaration,
        }


def declaration(patterns: tuple[str, ...], kind: Format, schema: dict[str, str]) -> str:
    """The lines that declare a stream of such files, with the schema held.

    >>> print(declaration(("data/*.json",), "ndjson", {"n": "BIGINT"}))
    rows = graph.read(
        "rows",
        sources.files(
            "data/*.json",
            format="ndjson",
            schema={
                "n": "BIGINT",
            },
        ),
    )
    """
    named = ", ".join(map(in_python, patterns))
    paths = named if len(patterns) == 1 else f"[{named}]"
    lines = [
        "rows = graph.read(",
        '    "rows",',
        "    sources.files(",
        f"        {paths},",
        f'        format="{kind}",',
        "        schema={",
        *(f"            {in_python(name)}: {in_python(type_)}," for name, type_ in schema.items()),
        "        },",
        "    ),",
        ")",
    ]
    return "\n".join(lines)
