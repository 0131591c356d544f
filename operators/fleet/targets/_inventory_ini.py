"""The INI form of an Ansible inventory."""

from __future__ import annotations

import re
import shlex

from ....runtime.contracts import MisconfiguredError
from ._inventory_groups import InventoryGroups

__all__ = ["read_ini"]

_SECTION = re.compile(r"\[\s*([^:\[\]\s]+)\s*(?::\s*(\w+)\s*)?\]\s*(?:[#;].*)?\Z")
_VARIABLE = re.compile(r"\s*([^\s=:]+)\s*=\s*(.*)\Z")
_WITH_PORT = re.compile(r"(.+):(\d{1,5})\Z")


def read_ini(text: str, path: str) -> InventoryGroups:
    """What it says. Raises MisconfiguredError with file and line."""
    made = InventoryGroups(path)
    group, kind = "ungrouped", "hosts"
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number}"
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        section = _SECTION.match(stripped)
        if section is not None:
            group, kind = section[1], section[2] or "hosts"
            if kind not in ("hosts", "vars", "children"):
                raise MisconfiguredError(
                    f"{where}: [{group}:{kind}] is no section: there are [{group}], "
                    f"[{group}:vars] and [{group}:children]"
                )
            if kind != "vars":
                made.group(group)
        elif stripped.startswith("[") and "]" not in stripped:
            raise MisconfiguredError(f"{where}: a section is not closed: {stripped[:80]!r}")
        elif kind == "vars":
            variable = _VARIABLE.match(stripped)
            if variable is None:
                raise MisconfiguredError(f"{where}: NAME=VALUE is meant, not {stripped[:80]!r}")
            made.group(group).variables[variable[1]] = _unquoted(variable[2])
        else:
            words = _words(stripped, where)
            if kind == "children":
                if len(words) != 1:
                    raise MisconfiguredError(
                        f"{where}: one group a line is meant, not {stripped[:80]!r}"
                    )
                made.group(group).children[words[0]] = where
            else:
                _add_host(made, group, words, where)
    if "ungrouped" in made.groups and not made.groups["ungrouped"].hosts:
        del made.groups["ungrouped"]
    return made


def _add_host(made: InventoryGroups, group: str, words: list[str], where: str) -> None:
    host, *assigned = words
    variables: dict[str, str] = {}
    for word in assigned:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise MisconfiguredError(
                f"{where}: NAME=VALUE is meant behind the host {host[:80]!r}, not {word[:80]!r}"
            )
        variables[name] = value
    port = _WITH_PORT.match(host)
    if port is not None and host.count(":") == 1 + host.count("[") * (":" in _inside(host)):
        host = port[1]
        variables.setdefault("ansible_port", port[2])
    made.add_hosts(group, host, variables, where)


def _inside(host: str) -> str:
    return host.partition("[")[2].partition("]")[0]


def _words(line: str, where: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise MisconfiguredError(f"{where}: {error}, in {line[:80]!r}") from None


def _unquoted(value: str) -> str:
    """A value in quotes without them; one without, up to a comment."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return re.split(r"\s#", value, maxsplit=1)[0].rstrip()
