"""The findings of a look as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from .findings import Counts, Findings

__all__ = ["text_of"]

_WIDEST = 32
"""Letters of a value that are shown."""


def text_of(found: Findings) -> str:
    """Everything that was found, one section after the other."""
    parts = [_head(found)]
    if found.schema:
        if found.sample:
            rows = [list(map(_shown, row)) for row in found.sample]
            parts.append(_table([list(map(_shown, found.schema)), *rows]))
        parts.append(_columns(found))
        parts += [_counts(one) for one in found.counts]
        parts.append("In a graph:\n\n" + found.declaration)
    return "\n\n".join(part for part in parts if part)


def _head(found: Findings) -> str:
    lines = [f"{_several(found.files, 'file')} of {found.format}, {found.bytes:,} bytes"]
    if found.passed_over:
        lines.append(f"{found.passed_over:,} passed over: their names begin with _ or .")
    if found.empty:
        lines.append(f"{found.empty:,} of them empty")
    lines.append(f"{_several(found.rows, 'row')}, {_duplicates(found)}")
    if found.unread:
        lines.append(f"{_several(found.unread, 'row')} passed over as unreadable")
    return "\n".join(lines)


def _duplicates(found: Findings) -> str:
    if not found.duplicates:
        return "no duplicates"
    return f"{_several(found.duplicates, 'duplicate')} (a row that repeats another in all columns)"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _columns(found: Findings) -> str:
    distinct = "~distinct" if found.estimated else "distinct"
    rows = [["column", "type", "count", "nulls", distinct, "mean", "stddev", "min", "max"]]
    strange: list[str] = []
    for one in found.columns:
        rows.append([
            _shown(one.name),
            one.type if len(one.type) <= _WIDEST else one.type[: _WIDEST - 1] + "…",
            f"{one.count:,}",
            f"{one.nulls:,}",
            "" if one.distinct is None else f"{one.distinct:,}",
            "" if one.mean is None else f"{one.mean:.6g}",
            "" if one.stddev is None else f"{one.stddev:.6g}",
            "" if one.min is None else _shown(one.min),
            "" if one.max is None else _shown(one.max),
        ])  # fmt: skip
        if one.not_finite:
            strange.append(
                f"{_shown(one.name)} holds {one.not_finite:,} NaN or infinite, left out here"
            )
    return "\n".join([_table(rows, numbers=range(2, 7)), *strange])


def _counts(counts: Counts) -> str:
    rows = [[*map(_shown, counts.columns), "count"]]
    rows += [[*map(_shown, values), f"{count:,}"] for values, count in counts.rows]
    text = _table(rows, numbers=range(len(counts.columns), len(counts.columns) + 1))
    left = counts.groups - len(counts.rows)
    return text + (f"\n… and {left:,} more" if left > 0 else "")


def _table(rows: Sequence[Sequence[str]], *, numbers: range = range(0)) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _shown(value: object) -> str:
    """A value in short. NULL is none, and told from the text of that name."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.10g}"
    text = str(value)
    if text == "NULL":
        return '"NULL"'
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
