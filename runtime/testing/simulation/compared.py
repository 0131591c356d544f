"""What two runs have written, compared in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence

from .frozen import frozen
from .targets import PlainTarget, Row
from .world import World

__all__ = ["difference", "differing", "strayed"]

_LONGEST = 300


def differing(
    plain: World, faulty: World, *, ordered: Collection[str], repeated: Collection[str]
) -> dict[str, str]:
    """For each target that is not the same in both worlds, the first difference in words.

    Those in `ordered` are compared in the order of each lane; in those in `repeated` a record may
    be there more often.
    """
    found: dict[str, str] = {}
    for name, target in plain.targets.items():
        other = faulty.targets.get(name)
        others = other.held if other is not None else ()
        what = difference(
            target.held, others, ordered=name in ordered, repeated=name in repeated
        )
        if what is None and isinstance(other, PlainTarget):
            what = strayed(other)
        if what is not None:
            found[name] = what
    return found


def difference(
    rows: Sequence[Row], others: Sequence[Row], *, ordered: bool, repeated: bool = False
) -> str | None:
    """What `others` lack, have too often or have in another order than `rows`; None for nothing."""
    wanted, there = _counted(rows), _counted(others)
    for row in rows:
        key = frozen(row.record)
        if there[key] < wanted[key]:
            count = f" ({wanted[key]} of it without faults, {there[key]} with)"
            return f"{_shown(row)} is missing{count if there[key] else ''}"
    for row in others:
        key = frozen(row.record)
        if there[key] > wanted[key]:
            if not wanted[key]:
                return f"{_shown(row)} is there, and is not without faults"
            if not repeated:
                return f"{_shown(row)} is there {there[key]} times, and {wanted[key]} without faults"
    if ordered and not repeated:
        return _disorder(_lanes(rows), _lanes(others))
    return None


def strayed(target: PlainTarget) -> str | None:
    """What was written after an epoch, before a crash, and has not come again after it."""
    for place, rows in target.again:
        later = Counter(frozen(row.record) for row in target.kept[place:])
        for row in rows:
            key = frozen(row.record)
            if not later[key]:
                return f"{_shown(row)} was written before a crash, and not again after it"
            later[key] -= 1
    return None


def _counted(rows: Sequence[Row]) -> Counter[Hashable]:
    return Counter(frozen(row.record) for row in rows)


def _lanes(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    lanes: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.lane is not None:
            lanes[row.lane].append(row)
    return lanes


def _disorder(
    lanes: Mapping[tuple[str, str], Sequence[Row]], others: Mapping[tuple[str, str], Sequence[Row]]
) -> str | None:
    for lane, rows in lanes.items():
        there = others.get(lane, ())
        if len(there) != len(rows):
            continue  # Of some it is not told from where they come.
        for row, other in zip(rows, there, strict=True):
            if frozen(row.record) != frozen(other.record):
                return f"{_shown(other)} stands where {_shown(row)} stands without faults"
    return None


def _shown(row: Row) -> str:
    text = repr(row.record)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + " …"
    return f"{text} ({row.origin})" if row.origin is not None else text
