"""Placeholders in command lines and arguments, filled with what is known of a target."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from ....runtime.contracts import DataError
from ..targets.target import Target

__all__ = ["command_with", "known_of", "placeholders", "text_with"]

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# In a command line everything between single quotes, and what a backslash or a dollar protects,
# is the shell's; `{name}` elsewhere is ours. Double quotes are told apart, for the value's sake.
_SHELL = re.compile(rf"'[^']*'|\\.|\$\{{|(?P<quote>\")|\{{(?P<name>{_NAME})\}}", re.DOTALL)
_PLAIN = re.compile(rf"\{{\{{|\}}\}}|\{{(?P<name>{_NAME})\}}")


def known_of(target: Target) -> dict[str, str]:
    """What may stand in a placeholder: the target's variables, and how it is reached.

    >>> known_of(Target("lab01", variables={"disk": "/dev/sda"}))["disk"]
    '/dev/sda'
    """
    return {
        "target": target.name,
        "host": target.address,
        "port": str(target.port),
        "user": target.user or "",
        **target.variables,
    }


def placeholders(command: str, arguments: Iterable[str]) -> list[str]:
    """The names that a command line and its arguments ask for, each once, sorted.

    >>> placeholders("df -P {disk} | awk '{print}'", ["{mount}"])
    ['disk', 'mount']
    """
    found = {name for _, name in _in_shell(command)}
    for argument in arguments:
        found.update(match["name"] for match in _PLAIN.finditer(argument) if match["name"])
    return sorted(found)


def command_with(command: str, known: Mapping[str, str], whose: str) -> str:
    """The command line with its placeholders filled, for a shell.

    >>> print(command_with("df -P {disk}", {"disk": "/dev/sda; reboot"}, "target lab01"))
    probe_disk='/dev/sda; reboot'
    df -P "${probe_disk}"

    A value never becomes part of the command line itself: it is assigned to a variable of the
    shell, so that whatever it holds, and whatever stands around it, it stays one word of data.
    Raises DataError for a name that is not known.
    """
    names = sorted({name for _, name in _in_shell(command)})
    if not names:
        return command
    assigned = [f"probe_{name}={shlex.quote(_value(name, known, whose))}" for name in names]
    pieces: list[str] = []
    quoted, at = False, 0
    for match in _SHELL.finditer(command):
        pieces.append(command[at : match.start()])
        at = match.end()
        if match["quote"]:
            quoted = not quoted
        name = match["name"]
        if name:
            pieces.append(f"${{probe_{name}}}" if quoted else f'"${{probe_{name}}}"')
        else:
            pieces.append(match[0])
    return "\n".join((*assigned, "".join((*pieces, command[at:]))))


def text_with(text: str, known: Mapping[str, str], whose: str) -> str:
    """A text with its placeholders filled; `{{` and `}}` stand for braces.

    >>> text_with("--device={disk}", {"disk": "/dev/sda"}, "target lab01")
    '--device=/dev/sda'

    Raises DataError for a name that is not known.
    """

    def filled(match: re.Match[str]) -> str:
        name = match["name"]
        return _value(name, known, whose) if name else match[0][0]

    return _PLAIN.sub(filled, text)


def _in_shell(command: str) -> list[tuple[int, str]]:
    return [(one.start(), one["name"]) for one in _SHELL.finditer(command) if one["name"]]


def _value(name: str, known: Mapping[str, str], whose: str) -> str:
    try:
        value = known[name]
    except KeyError:
        near = get_close_matches(name, known, 1)
        meant = f" (did you mean {{{near[0]}}}?)" if near else ""
        raise DataError(
            f"{{{name}}} stands for a variable that {whose} does not have{meant}; it has "
            + ", ".join(sorted(known))
        ) from None
    if "\0" in value:
        raise DataError(f"the variable {name} of {whose} holds a NUL, which no command can take")
    return value
