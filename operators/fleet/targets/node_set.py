"""Names that count up, written short: `lab[01-20]`, and back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

__all__ = ["MOST_NAMES", "expanded", "folded"]

MOST_NAMES = 100_000
"""The most names that one pattern may stand for, and the most targets of a fleet."""

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"([0-9]{1,9})(?:([-:])([0-9]{1,9})(?:[/:]([0-9]{1,9}))?)?\Z")
_LETTERS = re.compile(r"([A-Za-z]):([A-Za-z])(?::([0-9]{1,9}))?\Z")
_LAST = re.compile(r"(?<![0-9])[0-9]{1,9}(?![0-9])(?=[^0-9]*\Z)")


def expanded(pattern: str) -> list[str]:
    """The names that a pattern stands for, in its order.

    >>> expanded("rack[1-2]n[01-02]")
    ['rack1n01', 'rack1n02', 'rack2n01', 'rack2n02']
    >>> expanded("lab[8-10,20]"), expanded("web[a:c]"), expanded("n[0-6/3]")
    (['lab8', 'lab9', 'lab10', 'lab20'], ['weba', 'webb', 'webc'], ['n0', 'n3', 'n6'])

    A range is written with `-` or, as in an Ansible inventory, with `:`; zeros in front are kept.
    Raises ValueError for a pattern that is none, or stands for more than `MOST_NAMES` names:
    before they are made.
    """
    pieces: list[list[str]] = []
    at, count = 0, 1
    for match in _BRACKETS.finditer(pattern):
        pieces.append([pattern[at : match.start()]])
        at = match.end()
        numbers: list[str] = []
        for piece in match[1].split(","):
            numbers += _numbers(piece.strip(), pattern, MOST_NAMES - len(numbers))
        pieces.append(numbers)
        count *= len(numbers)
        if count > MOST_NAMES:
            raise _too_many(pattern)
    pieces.append([pattern[at:]])
    if any("[" in text or "]" in text for text in map("".join, pieces[::2])):
        raise ValueError(f"{pattern!r} has a bracket too many: a range is written [01-20]")
    return ["".join(words) for words in itertools.product(*pieces)]


def folded(names: Iterable[str]) -> str:
    """Names written short, in order: what `expanded` makes names of again.

    >>> folded(["lab03", "lab01", "lab02", "lab07", "printer"])
    'lab[01-03,07],printer'
    >>> folded(["rack1n01", "rack1n02", "rack2n01"])
    'rack1n[01-02],rack2n01'
    """
    families: dict[tuple[str, str, int], list[int]] = {}
    plain: list[str] = []
    for name in dict.fromkeys(names):
        last = _LAST.search(name)
        if last is None:
            plain.append(name)
            continue
        digits = last[0]
        # Numbers of one family count up without a change of their form: 8, 9, 10 or 08, 09, 10.
        width = len(digits) if digits.startswith("0") and len(digits) > 1 else 0
        families.setdefault((name[: last.start()], name[last.end() :], width), []).append(
            int(digits)
        )
    _join_widths(families)
    written = [(name, name) for name in plain]
    for (before, after, width), numbers in families.items():
        numbers.sort()
        text = ",".join(_stretches(numbers, width))
        first = f"{numbers[0]:0{width}d}"
        short = f"[{text}]" if len(numbers) > 1 else first
        written.append((f"{before}{first}{after}", f"{before}{short}{after}"))
    return ",".join(text for _, text in sorted(written))


def _join_widths(families: dict[tuple[str, str, int], list[int]]) -> None:
    """Let 10 of `lab10` stand with 09 of `lab09`, whose form it has."""
    for (before, after, width), numbers in list(families.items()):
        bare = families.get((before, after, 0))
        if not width or bare is None:
            continue
        for number in [number for number in bare if len(str(number)) == width]:
            bare.remove(number)
            numbers.append(number)
        if not bare:
            del families[before, after, 0]


def _stretches(numbers: list[int], width: int) -> Iterable[str]:
    start = previous = numbers[0]
    for number in [*numbers[1:], -1]:
        if number == previous + 1:
            previous = number
            continue
        yield f"{start:0{width}d}" + (f"-{previous:0{width}d}" if previous > start else "")
        start = previous = number


def _numbers(text: str, pattern: str, room: int) -> list[str]:
    letters = _LETTERS.match(text)
    match = _RANGE.match(text)
    if letters is not None:
        first, last, width = ord(letters[1]), ord(letters[2]), 0
        step = int(letters[3] or 1)
    elif match is not None:
        first, last = int(match[1]), int(match[3] or match[1])
        width = len(match[1])
        step = int(match[4] or 1)
    else:
        raise ValueError(
            f"{pattern!r} has [{text}] where numbers are meant, such as [01-20] or [1-3,7]"
        )
    if last < first or step < 1:
        raise ValueError(f"{pattern!r} has [{text}], which counts nothing up")
    if (last - first) // step >= room:
        raise _too_many(pattern)
    counted = range(first, last + 1, step)
    if letters is not None:
        return [chr(number) for number in counted]
    return [f"{number:0{width}d}" for number in counted]


def _too_many(pattern: str) -> ValueError:
    return ValueError(f"{pattern!r} stands for more than {MOST_NAMES:,} names")
