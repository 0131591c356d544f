"""Patterns that name targets: `lab[01-20]!lab05`, `@printers`, `root@lab01:2222`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from itertools import islice

from ....runtime.contracts import MisconfiguredError
from .node_set import expanded
from .target import Target

__all__ = ["chosen", "is_ipv6", "nearest", "split_words", "target_of", "terms_of"]

_WORD = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[^\[\]]+)\]|(?P<name>[^@\s:\[\]]+))(?::(?P<port>\d{1,5}))?\Z"
)
_COMMAS = re.compile(r",(?![^\[]*\])")


def target_of(word: str) -> Target:
    """The target that `[user@]name[:port]` names. Raises ValueError.

    >>> target_of("root@[fe80::1]:2222").address
    'fe80::1'
    """
    user, at, address = word.rpartition("@")
    if not address.startswith("[") and is_ipv6(address):
        return Target(address, user=user if at else None)
    match = _WORD.match(word)
    if match is None or (match["six"] and not is_ipv6(match["six"])):
        raise ValueError(f"{word!r} names no machine: [user@]name[:port] does")
    port = int(match["port"] or 22)
    if not 1 <= port <= 65_535:
        raise ValueError(f"{word!r} has the port {port}, and ports go from 1 to 65535")
    return Target(match["six"] or match["name"], port=port, user=match["user"])


def split_words(text: str) -> list[str]:
    """The patterns of a text in which spaces or commas stand between them.

    >>> split_words("lab[1-3,7], @web !lab2")
    ['lab[1-3,7]', '@web', '!lab2']
    """
    return [word for piece in text.split() for word in _COMMAS.split(piece) if word]


def terms_of(word: str) -> list[tuple[bool, str]]:
    """The parts of `lab[01-20]!lab05!@old`: whether each is taken away, and what it names.

    Raises ValueError for an empty part, and for a range that is none.
    """
    first, *taken = word.split("!")
    terms = [(False, first)] if first else []
    terms += [(True, text) for text in taken]
    for _, text in terms:
        if not text or text == "@":
            raise ValueError(f"{word!r} names nothing: write 'lab[01-20]!lab05' or '@group'")
        if not text.startswith("@") and not is_ipv6(text):
            expanded(text)
    return terms


def is_ipv6(text: str) -> bool:
    """Whether it is an address of IPv6, in brackets and with a port or without."""
    inside = text.rpartition("@")[2]
    if inside.startswith("["):
        inside = inside[1:].partition("]")[0]
    if inside.count(":") < 2:
        return False
    try:
        ip_address(inside.partition("%")[0])
    except ValueError:
        return False
    return True


def chosen(
    asked: Iterable[tuple[str, str | Target]],
    known: Mapping[str, Target],
    groups: Mapping[str, Iterable[str]],
    *,
    open_ended: bool,
) -> Iterable[tuple[str, Target]]:
    """The targets that are asked for, each with where, in order.

    `asked` holds patterns and targets, each behind where it stands; `open_ended` allows names that
    are not `known`; `groups` maps the name of each group to those of its targets. Raises
    MisconfiguredError for an unknown group or name, telling the nearest.
    """
    found: dict[str, list[tuple[str, Target]]] = {}
    for where, item in asked:
        own: dict[str, list[tuple[str, Target]]] = {}
        if isinstance(item, Target):
            own[item.name] = [(where, item)]
        else:
            begins = not item.startswith("!")
            try:
                for taken, text in terms_of(item):
                    for target in _named(text, known, groups, open_ended, where):
                        if not taken:
                            own.setdefault(target.name, []).append((where, target))
                            continue
                        own.pop(target.name, None)
                        if not begins:
                            found.pop(target.name, None)
            except ValueError as error:
                raise MisconfiguredError(f"{where}: {error}") from None
        for name, targets in own.items():
            # Once more is said, a hundred times more says nothing new.
            found[name] = [*found.get(name, ()), *targets][:3]
    for targets in found.values():
        yield from targets


def _named(
    text: str,
    known: Mapping[str, Target],
    groups: Mapping[str, Iterable[str]],
    open_ended: bool,
    where: str,
) -> Iterable[Target]:
    if text.startswith("@"):
        members = groups.get(text[1:])
        if members is None:
            raise MisconfiguredError(
                f"{where}: there is no group {text[1:]!r}{nearest(text[1:], groups)}"
            )
        for name in members:
            yield known.get(name) or target_of(name)
        return
    for name in [text] if is_ipv6(text) else expanded(text):
        target = known.get(name)
        if target is None and not open_ended:
            raise MisconfiguredError(f"{where}: there is no {name!r}{nearest(name, known)}")
        yield target or target_of(name)


def nearest(name: str, names: Iterable[str]) -> str:
    """What may have been meant, as the end of a message."""
    some = list(islice(names, 5000))
    near = get_close_matches(name, some, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(some[:8])}" if some else "; there are none"
