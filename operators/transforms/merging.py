"""Puts a model's answer into records: the loop that a person would write by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

__all__ = ["Merge", "merging"]

Merge = Callable[
    [Sequence[Mapping[str, object]], Sequence[Sequence[object]], object], list[dict[str, object]]
]
"""Makes one dict of each record and its row; the last argument is the model's version."""


def merging(fields: Sequence[str], version_field: str | None) -> Merge:
    """The function that merges answers of these fields into records.

    >>> merging(["prediction"], None)([{"n": 1}], [["setosa"]], None)
    [{'n': 1, 'prediction': 'setosa'}]

    `version_field` is where the version goes, or None. What is returned raises ValueError or
    TypeError when a row does not have as many values as there are fields. The loop is generated,
    since only so is it one assignment for each field; names get into it by reference, so that
    nothing a server calls its fields becomes part of the code.
    """
    names: dict[str, object] = {f"k{number}": field for number, field in enumerate(fields)}
    names["copy"] = dict[str, object].copy
    # Unpacked to where they go: a variable for each would be four more steps a record.
    values = "".join(f"record[k{number}], " for number in range(len(fields)))
    if version_field is not None:
        names["kv"] = version_field
    # As defaults they are local in the loop, which is faster to read than global.
    head = "".join(f", {name}={name}" for name in names)
    lines = [
        f"def merge(records, rows, version{head}):",
        "    try:",
        "        merged = list(map(copy, records))",
        "    except TypeError:  # mappings of another kind",
        "        merged = list(map(dict, records))",
        f"    for record, ({values}) in zip(merged, rows, strict=True):",
        "        record[kv] = version" if version_field is not None else "        pass",
        "    return merged",
    ]
    exec("\n".join(lines), names)
    return cast("Merge", names["merge"])
