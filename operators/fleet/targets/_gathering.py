"""Targets as they are found, from one place or from several, each name once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from ....runtime.contracts import MisconfiguredError, dataclass
from .node_set import MOST_NAMES
from .target import Target

__all__ = ["Gathering", "LoadedTargets"]

_NAME = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}\Z")


@dataclass(frozen=True, slots=True)
class LoadedTargets:
    """The targets as they stand now; `notes` say in a line each what is odd but harmless.

    See `Targets`, whose `load` makes it.
    """

    targets: tuple[Target, ...]
    notes: tuple[str, ...] = ()


class Gathering:
    """Takes targets in; the same one twice is noted, two that differ under one name are refused."""

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}
        self._twice: dict[str, None] = {}

    def add(self, target: Target, where: str) -> None:
        """Take a target in; `where` tells where it stands. Raises MisconfiguredError."""
        before = self._targets.get(target.name)
        if before is None:
            if not _NAME.match(target.name):
                raise MisconfiguredError(
                    f"{where}: {target.name[:80]!r} is no name of a machine: letters, digits and "
                    "any of _.:%- are (files and tables are called so)"
                )
            if len(self._targets) >= MOST_NAMES:
                raise MisconfiguredError(f"{where}: a fleet has up to {MOST_NAMES:,} targets")
            self._targets[target.name] = target
            return
        self._twice[target.name] = None
        if before == target:
            return
        plain = replace(before, groups=target.groups, variables=target.variables)
        if plain != target:
            raise MisconfiguredError(
                f"{where}: the target {target.name} stands for two machines, or for two ways to "
                f"one: {_reached(before)} and {_reached(target)}; give them two names"
            )
        self._targets[target.name] = replace(
            before,
            groups=tuple(dict.fromkeys((*before.groups, *target.groups))),
            variables={**before.variables, **target.variables},
        )

    def loaded(self, notes: Iterable[str] = ()) -> LoadedTargets:
        """All of them, in the order in which they were first named."""
        twice = [f"the target {name} is listed twice, and probed once" for name in self._twice]
        if len(twice) > 10:
            twice = [*twice[:10], f"and {len(twice) - 10} more are listed twice"]
        return LoadedTargets(tuple(self._targets.values()), (*notes, *twice))


def _reached(target: Target) -> str:
    user = f"{target.user}@" if target.user else ""
    through = f" through {', '.join(target.jump)}" if target.jump else ""
    return f"{user}{target.address}:{target.port}{through}"
