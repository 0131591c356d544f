"""Targets from the configuration of OpenSSH's client."""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from ....runtime.contracts import MisconfiguredError, MissingExtra
from ._gathering import Gathering, LoadedTargets
from ._limited_file import limited_text
from .target import Target
from .targets import Targets

__all__ = ["ssh_config"]

_MOST_FILES = 200


class _SshConfig(Targets):
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> LoadedTargets:
        try:
            import asyncssh
            import asyncssh.config as configuration
        except ImportError:
            raise MissingExtra("ssh_config()", "ssh") from None
        gathering = Gathering()
        aliases: dict[str, str] = {}
        for alias, where in self._aliases(self._path, [0]):
            aliases.setdefault(alias, where)
        user = getpass.getuser()
        for alias, where in aliases.items():
            try:
                # What Host, Match and Include mean is told by the library that connects.
                found: Any = configuration.SSHClientConfig.load(
                    None, [self._path], False, False, False, user, (), alias, ()
                )
            except (asyncssh.Error, ValueError, OSError) as error:
                raise MisconfiguredError(f"{where}: {error}") from None
            gathering.add(_target(alias, found, where), where)
        loaded = gathering.loaded()
        if not loaded.targets:
            raise MisconfiguredError(
                f"the SSH config {self._path} names no machine: it has no Host without * or ?"
            )
        return loaded

    def _aliases(self, path: Path, count: list[int]) -> Iterator[tuple[str, str]]:
        """The names behind `Host` that stand for one machine, each with where it stands."""
        count[0] += 1
        if count[0] > _MOST_FILES:
            raise MisconfiguredError(
                f"the SSH config {self._path} includes more than {_MOST_FILES} files: does one "
                "include itself?"
            )
        text = limited_text(path, "the SSH config")
        for number, line in enumerate(StringIO(text, newline=None), 1):
            where = f"{path}:{number}"
            try:
                words = _words(line)
            except ValueError as error:
                raise MisconfiguredError(f"{where}: {error}, in {line.strip()[:80]!r}") from None
            word = words.pop(0).lower() if words else ""
            if word == "match" and any(one.lower().lstrip("!") == "exec" for one in words):
                raise MisconfiguredError(
                    f"{where}: Match exec would run a command for each machine; looking targets up "
                    "runs nothing: leave it out of this file, or list the machines otherwise"
                )
            if word == "host":
                for name in words:
                    if not re.search(r"[*?!]", name):
                        yield name, where
            elif word == "include":
                for name in words:
                    for included in _included(name):
                        yield from self._aliases(included, count)


def _words(line: str) -> list[str]:
    """The words of a line, divided just as the library does it that reads the file after us."""
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return []
    return [part for word in shlex.split(stripped) for part in word.split("=") if part]


def _included(pattern: str) -> Iterator[Path]:
    path = Path(pattern).expanduser()
    if path.is_absolute():
        base, rest = Path(path.anchor), str(path.relative_to(path.anchor))
    else:
        base, rest = Path("~/.ssh").expanduser(), pattern
    yield from sorted(found for found in base.glob(rest) if found.is_file())


def _target(alias: str, found: Any, where: str) -> Target:
    def words(option: str) -> tuple[str, ...]:
        value: Any = found.get(option) or ()
        return (value,) if isinstance(value, str) else tuple(value)

    if found.get("ProxyCommand"):
        raise MisconfiguredError(
            f"{where}: {alias} has a ProxyCommand, which would run a command here for each "
            "connection; ProxyJump is understood"
        )
    jump = found.get("ProxyJump")
    return Target(
        alias,
        host=str(found.get("Hostname") or ""),
        port=int(found.get("Port") or 22),
        user=found.get("User"),
        identities=words("IdentityFile"),
        jump=tuple(one.strip() for one in jump.split(",")) if jump else (),
    )


def ssh_config(path: str | os.PathLike[str] = "~/.ssh/config") -> Targets:
    """Targets from the configuration of OpenSSH's client: every `Host` that names one machine.

    >>> labs = ssh_config("~/.ssh/config.d/labs").only("lab[01-20]")

    A name is a target if it stands behind `Host` without `*`, `?` or `!`, there or in a file that
    is included. How it is reached, by `HostName`, `Port`, `User`, `IdentityFile` and `ProxyJump`,
    follows from all that matches it, `Host *` and `Match` included. Other settings are not taken
    over.

    The files are read when a sweep begins. Loading raises MisconfiguredError, with file and line,
    for a syntax error, and for `Match exec` and `ProxyCommand`, which would run commands here;
    MissingExtra without the extra `ssh`.
    """
    return _SshConfig(Path(os.fspath(path)).expanduser())
