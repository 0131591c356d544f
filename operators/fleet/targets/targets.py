"""Whom to probe: descriptions of targets, which are looked up afresh for each sweep."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from ....runtime.contracts import MisconfiguredError
from ._gathering import Gathering, LoadedTargets
from ._limited_file import limited_text
from ._patterns import chosen, is_ipv6, nearest, split_words, terms_of
from .node_set import MOST_NAMES, expanded
from .target import Target

__all__ = ["AnyTargets", "Targets", "target_file", "targets"]

_MOST_WRITTEN_OUT = 5 * MOST_NAMES
Groups = Mapping[str, str | Sequence[str]]


class Targets(ABC):
    """Tells which targets there are, whenever it is asked; nothing is read before.

    >>> labs = targets("lab[01-03]", "@old", groups={"old": "pc[1-2]"})
    >>> [target.name for target in labs()]
    ['lab01', 'lab02', 'lab03', 'pc1', 'pc2']

    `targets`, `target_file`, `inventory` and `ssh_config` make one. Called, it returns the targets
    as they are now; `load` tells also what is odd about them. Both read files and may wait for a
    disk, and raise MisconfiguredError for a list that cannot be read, with file and line.
    """

    @staticmethod
    def of(given: AnyTargets) -> Targets:
        """What an argument that takes targets in any form describes.

        >>> len(Targets.of(["lab[01-20]", Target("db")])())
        21

        It may be one already, a name or a `Target`, a list of these, or a function that returns
        one. Raises ValueError or TypeError for what names no target, as `targets` does.
        """
        if isinstance(given, Targets):
            return given
        if isinstance(given, Target | str):
            return targets(given)
        if callable(given):
            return _Function(given)
        if not isinstance(cast(object, given), Iterable):
            raise TypeError(f"targets are names or Targets, or a list of them, not {given!r}")
        return targets(*given)

    @abstractmethod
    def load(self) -> LoadedTargets:
        """The targets as they are now, and what there is to say about them."""

    def __call__(self) -> Sequence[Target]:
        """The targets as they are now."""
        return self.load().targets

    def only(self, *patterns: str) -> Targets:
        """Those of them that patterns name: `lab[01-20]!lab05`, `@web`, or one that begins with
        `!`, which takes away from what stands before it (from all, if it comes first).

        >>> [target.name for target in targets("lab[1-4]").only("!lab[2-3]")()]
        ['lab1', 'lab4']

        Raises ValueError for a pattern that is none; looking them up raises MisconfiguredError for
        a name or a group that is not there, telling the nearest.
        """
        if not patterns:
            raise ValueError("only() names nobody: give patterns such as '@web'")
        return _Only(self, _checked_words(patterns))


class _Only(Targets):
    def __init__(self, whole: Targets, words: Sequence[str]) -> None:
        self._whole = whole
        self._words = ["@all", *words] if words[0].startswith("!") else list(words)

    def load(self) -> LoadedTargets:
        loaded = self._whole.load()
        known = {target.name: target for target in loaded.targets}
        groups: dict[str, list[str]] = {"all": list(known)}
        for target in loaded.targets:
            for group in target.groups:
                if group != "all":
                    groups.setdefault(group, []).append(target.name)
        gathering = Gathering()
        asked = [("only()", word) for word in self._words]
        for where, target in chosen(asked, known, groups, open_ended=False):
            gathering.add(target, where)
        return gathering.loaded(loaded.notes)


class _Named(Targets):
    def __init__(self, given: Sequence[Target | str], groups: Mapping[str, Sequence[str]]) -> None:
        self._given, self._groups = given, groups

    def load(self) -> LoadedTargets:
        known = {one.name: one for one in self._given if isinstance(one, Target)}
        members: dict[str, list[str]] = {}
        inside: dict[str, list[str]] = {}
        for group, words in self._groups.items():
            asked = [(f"the group {group}", word) for word in words]
            members[group] = [
                target.name for _, target in chosen(asked, known, {}, open_ended=True)
            ]
            for name in members[group]:
                inside.setdefault(name, []).append(group)
        gathering = Gathering()
        given = [("targets()", one) for one in self._given]
        for where, target in chosen(given, known, members, open_ended=True):
            groups = tuple(dict.fromkeys((*target.groups, *inside.get(target.name, ()))))
            gathering.add(replace(target, groups=groups), where)
        return gathering.loaded()


class _Function(Targets):
    def __init__(self, function: Callable[[], Iterable[Target | str]]) -> None:
        self._function = function

    def load(self) -> LoadedTargets:
        try:
            return targets(*self._function()).load()
        except (ValueError, TypeError) as error:
            name = getattr(self._function, "__qualname__", "the function")
            raise MisconfiguredError(f"the targets that {name} returns: {error}") from None


class _File(Targets):
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> LoadedTargets:
        text = limited_text(self._path, "the list of targets")
        asked = [
            (f"{self._path}:{number}", word)
            for number, line in enumerate(text.splitlines(), 1)
            for word in split_words(line.partition("#")[0])
        ]
        gathering, left = Gathering(), _MOST_WRITTEN_OUT
        for where, word in asked:
            left -= _size(word, where)
            if left < 0:
                raise MisconfiguredError(
                    f"{where}: up to here the patterns stand for more than "
                    f"{_MOST_WRITTEN_OUT:,} names, most of them again"
                )
        for where, target in chosen(asked, {}, {}, open_ended=True):
            gathering.add(target, where)
        loaded = gathering.loaded()
        if not loaded.targets:
            raise MisconfiguredError(f"the list of targets {self._path} names none")
        return loaded


def _size(word: str, where: str) -> int:
    """How many names a pattern stands for, with those that it takes away."""
    try:
        return sum(
            1 if text.startswith("@") else len(expanded(text))
            for _, text in terms_of(word)
            if "[" in text and not is_ipv6(text)
        )
    except ValueError as error:
        raise MisconfiguredError(f"{where}: {error}") from None


AnyTargets = Targets | Target | str | Iterable[Target | str] | Callable[[], Iterable[Target | str]]
"""What an argument that takes targets may be; see `Targets.of`."""


def targets(*names: Target | str, groups: Groups | None = None) -> Targets:
    """Targets by their names.

    >>> fleet = targets("lab[01-20]!lab05", "root@gate:2222", Target("db", host="10.0.0.9"))
    >>> len(fleet())
    21

    Parameters: `names`, each a `Target`, `[user@]name[:port]`, a pattern of several such as
    `rack[1-2]n[01-40]`, with `!` before what is left out, or `@group`; `groups`, what each group
    consists of, as a text of such patterns or a list of them. A target named twice is probed once;
    two that differ under one name are refused when they are looked up. Raises ValueError or
    TypeError for what names no target, or more than 100,000.
    """
    if not names:
        raise ValueError("targets() names nobody: give names such as 'lab[01-20]'")
    for name in names:
        if not isinstance(cast(object, name), Target | str):
            raise TypeError(f"a target is a name or a Target, not {name!r}")
    divided: list[Target | str] = []
    for name in names:
        divided += [name] if isinstance(name, Target) else _checked_words(split_words(name))
    made: dict[str, Sequence[str]] = {}
    for group, words in (groups or {}).items():
        listed = split_words(words) if isinstance(words, str) else list(words)
        made[group] = _checked_words(listed)
    for word in divided:
        for _, text in terms_of(word) if isinstance(word, str) else ():
            if text.startswith("@") and text[1:] not in made:
                raise ValueError(f"there is no group {text[1:]!r}{nearest(text[1:], made)}")
    return _Named(divided, made)


def target_file(path: str | os.PathLike[str]) -> Targets:
    """Targets from a text file: names and patterns as `targets` takes them, `#` begins a comment.

    >>> fleet = target_file("lab.txt")

    The file is read when a sweep begins, not when this is declared: what is changed in it counts
    from the next sweep on. It may have up to 4 MiB.
    """
    return _File(Path(path).expanduser())


def _checked_words(words: Sequence[str]) -> list[str]:
    for word in words:
        if not isinstance(cast(object, word), str):
            raise TypeError(f"a pattern of names is a text, not {word!r}")
        terms_of(word)
    return list(words)
