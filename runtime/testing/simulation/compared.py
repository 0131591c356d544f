"""What two runs have written, compared in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from .frozen import alike, frozen
from .targets import PlainTarget, Row
from .world import World

__all__ = ["difference", "differing", "miskeyed", "strayed"]

_LONGEST = 300
_MANY = 4_000_000
"""Pairs of rows: where there are more, last digits are not what is wrong."""


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
        what = difference(target.held, others, ordered=name in ordered, repeated=name in repeated)
        if what is None and isinstance(other, PlainTarget):
            what = strayed(other)
            if what is None and name in ordered:
                what = miskeyed(other)
        if what is not None:
            found[name] = what
    return found


def difference(
    rows: Sequence[Row], others: Sequence[Row], *, ordered: bool, repeated: bool = False
) -> str | None:
    """What `others` lack, have too often or have in another order than `rows`; None for nothing."""
    missing, extra = _unmatched(rows, others), _unmatched(others, rows)
    missing, extra = _unlike(missing, extra), _unlike(extra, missing)
    if missing:
        there = sum(frozen(missing[0].record) == frozen(row.record) for row in others)
        more = f": it is there {there} times, and once more without faults" if there else ""
        return f"{_shown(missing[0])} is missing{more}"
    known = {frozen(row.record) for row in rows}
    strange = [row for row in extra if frozen(row.record) not in known]
    if strange:
        return f"{_shown(strange[0])} is there, and is not without faults"
    if extra and not repeated:
        there = sum(frozen(extra[0].record) == frozen(row.record) for row in others)
        return f"{_shown(extra[0])} is there {there} times, which is too often"
    return None if repeated or not ordered else _disorder(_lanes(rows), _lanes(others))


def strayed(target: PlainTarget) -> str | None:
    """What was written after an epoch, before a crash, and has not come again after it."""
    for place, rows in target.again:
        later = target.kept[place:]
        left = _unlike(_unmatched(rows, later), _unmatched(later, rows))
        if left:
            return f"{_shown(left[0])} was written before a crash, and not again after it"
    return None


def miskeyed(target: PlainTarget) -> str | None:
    """What has a key that another record has, too, or has another one when it comes again."""
    records = {row.key: row for row in target.kept if row.key is not None}
    for row in target.kept:
        if row.key is not None and records[row.key] is not row:
            return f"{_shown(row)} has the key {row.key!r}, as has {_shown(records[row.key])}"
    for _, rows in target.again:
        for row in rows:
            if row.key is None or "@" in row.key.partition("/")[0]:
                continue  # Its source counts anew after each start, which the key tells.
            later = records.get(row.key)
            if later is None or not alike(frozen(later.record), frozen(row.record)):
                whose = "nobody" if later is None else _shown(later)
                return f"{_shown(row)} had the key {row.key!r}, which {whose} has after a crash"
    return None


def _unmatched(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """The rows that have no equal one in `others`, each of which stands for one."""
    there = Counter(frozen(row.record) for row in others)
    left: list[Row] = []
    for row in rows:
        key = frozen(row.record)
        if there[key]:
            there[key] -= 1
        else:
            left.append(row)
    return left


def _unlike(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """The rows of these few that have none in `others` that says the same but for last digits."""
    if len(rows) * len(others) > _MANY:
        return list(rows)
    there = [frozen(row.record) for row in others]
    left: list[Row] = []
    for row in rows:
        key = frozen(row.record)
        place = next((n for n, other in enumerate(there) if alike(key, other)), None)
        if place is None:
            left.append(row)
        else:
            del there[place]
    return left


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
            if not alike(frozen(row.record), frozen(other.record)):
                return f"{_shown(other)} stands where {_shown(row)} stands without faults"
    return None


def _shown(row: Row) -> str:
    text = repr(row.record)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + " …"
    return f"{text} ({row.origin})" if row.origin is not None else text
