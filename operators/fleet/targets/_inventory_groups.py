"""The hosts and groups of an Ansible inventory, and what follows for each host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import field

from ....runtime.contracts import MisconfiguredError, dataclass
from ._gathering import Gathering, LoadedTargets
from ._patterns import nearest
from .node_set import MOST_NAMES, expanded
from .target import Target

__all__ = ["Group", "InventoryGroups"]

_HOST = ("ansible_host", "ansible_ssh_host")
_PORT = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_KEY = ("ansible_ssh_private_key_file", "ansible_private_key_file")
_ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh",
        "ansible.netcommon.libssh", "ansible.builtin.paramiko_ssh")  # fmt: skip
_OPTION = re.compile(r"\s*(\w+)\s*[= ]\s*(.*)\Z", re.DOTALL)
_DEEPEST = 50
_MOST_MEMBERS = 20 * MOST_NAMES


@dataclass(slots=True)
class Group:
    """A group as it is written: its own hosts, its children with where they are named, its vars."""

    hosts: dict[str, None] = field(default_factory=dict[str, None])
    children: dict[str, str] = field(default_factory=dict[str, str])
    variables: dict[str, str] = field(default_factory=dict[str, str])


class InventoryGroups:
    """Takes in what an inventory says; `loaded` makes targets of it. `path` is for messages."""

    def __init__(self, path: str) -> None:
        self.groups: dict[str, Group] = {"all": Group()}
        self._path = path
        self._hosts: dict[str, tuple[dict[str, str], str]] = {}
        self._named = 0

    def group(self, name: str) -> Group:
        """The group of this name, new if need be."""
        return self.groups.setdefault(name, Group())

    def add_hosts(self, group: str, pattern: str, variables: Mapping[str, str], where: str) -> None:
        """Put the hosts that a pattern such as `web[01:20].example` names into a group."""
        try:
            names = expanded(pattern)
        except ValueError as error:
            raise MisconfiguredError(f"{where}: {error}") from None
        self._named += len(names)
        if self._named > _MOST_MEMBERS:
            raise MisconfiguredError(f"{where}: hosts are named more than {_MOST_MEMBERS:,} times")
        members = self.group(group).hosts
        for name in names:
            if len(self._hosts) >= MOST_NAMES and name not in self._hosts:
                raise MisconfiguredError(f"{where}: a fleet has up to {MOST_NAMES:,} targets")
            own, _ = self._hosts.setdefault(name, ({}, where))
            own.update(variables)
            members[name] = None

    def loaded(self) -> LoadedTargets:
        """The hosts as targets. Raises MisconfiguredError."""
        depths = self._depths()
        inside: dict[str, list[str]] = {name: [] for name in self._hosts}
        left = _MOST_MEMBERS
        for name in sorted(self.groups, key=lambda name: (depths[name], name)):
            members = {} if name == "all" else self._members(name)
            left -= len(members)
            if left < 0:
                raise MisconfiguredError(
                    f"the inventory {self._path}: hosts are in groups more than "
                    f"{_MOST_MEMBERS:,} times"
                )
            for host in members:
                inside[host].append(name)
        gathering, notes = Gathering(), list[str]()
        for host, (own, where) in self._hosts.items():
            merged = dict(self.groups["all"].variables)
            for name in inside[host]:
                merged.update(self.groups[name].variables)
            merged.update(own)
            connection = merged.get("ansible_connection", "ssh")
            if connection not in _SSH:
                notes.append(
                    f"{where}: {host} is left out, since it is reached by {connection!r} and not "
                    "over SSH"
                )
                continue
            gathering.add(_target(host, merged, tuple(inside[host]), where, notes), where)
        loaded = gathering.loaded(notes)
        if not loaded.targets:
            raise MisconfiguredError(f"the inventory {self._path} names no host that SSH reaches")
        return loaded

    def _depths(self) -> dict[str, int]:
        """How deep each group stands under `all`: a deeper one's variables weigh more."""
        for parent, group in self.groups.items():
            for child, where in group.children.items():
                if child not in self.groups:
                    raise MisconfiguredError(
                        f"{where}: the group {parent!r} has a child {child!r} that is no "
                        f"group{nearest(child, self.groups)}"
                    )
        depths: dict[str, int] = {}
        under: set[str] = set()
        path: list[str] = []

        def go(name: str, where: str) -> int:
            """The longest way down from this group; depths are counted from below, then turned."""
            if name in under:
                ring = " → ".join((*path[path.index(name) :], name))
                raise MisconfiguredError(f"{where}: the groups go in a circle: {ring}")
            if name in heights:
                return heights[name]
            if len(path) >= _DEEPEST:
                raise MisconfiguredError(f"{where}: groups are {_DEEPEST} deep at most")
            under.add(name)
            path.append(name)
            heights[name] = 1 + max(
                (go(child, at) for child, at in self.groups[name].children.items()), default=0
            )
            path.pop()
            under.discard(name)
            return heights[name]

        heights: dict[str, int] = {}
        for name in self.groups:
            go(name, self._path)
        for name in sorted(self.groups, key=lambda name: -heights[name]):
            depth = depths.setdefault(name, 0 if name == "all" else 1)
            for child in self.groups[name].children:
                depths[child] = max(depths.get(child, 1), depth + 1)
        return depths

    def _members(self, name: str) -> dict[str, None]:
        members: dict[str, None] = {}
        seen: set[str] = set()
        left = [name]
        while left:
            group = left.pop()
            if group not in seen:
                seen.add(group)
                members.update(self.groups[group].hosts)
                left += self.groups[group].children
        return members


def _target(
    host: str, merged: Mapping[str, str], groups: tuple[str, ...], where: str, notes: list[str]
) -> Target:
    def read(names: tuple[str, ...]) -> str:
        value = next((merged[name] for name in names if merged.get(name)), "")
        if "{{" in value:
            raise MisconfiguredError(
                f"{where}: {names[0]} of {host} is a template, and templates are not evaluated "
                "here: write the value, or list this host with fleet.targets()"
            )
        return value

    port = read(_PORT) or "22"
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535):
        raise MisconfiguredError(f"{where}: ansible_port of {host} is no port: {port[:40]!r}")
    key = read(_KEY)
    variables: dict[str, str] = {}
    templates: list[str] = []
    for name, value in merged.items():
        # Others of Ansible's own may be passwords; none of them is for a probe.
        if name.startswith("ansible_") or not name.isidentifier() or not name.isascii():
            continue
        if "{{" in value:
            templates.append(name)
        else:
            variables[name] = value
    if templates:
        notes.append(f"{where}: {host} has no {', '.join(templates)}: templates are not evaluated")
    return Target(
        host,
        host=read(_HOST),
        port=int(port),
        user=read(_USER) or None,
        identities=(key,) if key else (),
        jump=_jump(_words(read(_ARGUMENTS), where, host), where, host),
        variables=variables,
        groups=groups,
    )


def _words(text: str, where: str, host: str) -> list[str]:
    """The words of a command line in an inventory."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise MisconfiguredError(f"{where}: ansible_ssh_common_args of {host}: {error}") from None


def _jump(words: list[str], where: str, host: str) -> tuple[str, ...]:
    """The machines to go through, of `-J gate` or `-o ProxyJump=gate`; nothing else is taken."""
    jump = ""
    while words:
        word = words.pop(0)
        if word in ("-J", "-o") and words:
            word += words.pop(0)
        if word.startswith("-J"):
            jump = word[2:]
            continue
        option = _OPTION.match(word[2:]) if word.startswith("-o") else None
        if option is None or option[1].lower() != "proxyjump":
            raise MisconfiguredError(
                f"{where}: ansible_ssh_common_args of {host} holds {word!r}, of which only -J and "
                "-o ProxyJump=… are understood: put the rest into the SSH config, or leave it out"
            )
        jump = option[2]
    return tuple(one.strip() for one in jump.split(",")) if jump and jump != "none" else ()
