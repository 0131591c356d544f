"""Targets from an Ansible inventory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ._gathering import LoadedTargets
from ._inventory_ini import read_ini
from ._limited_file import limited_text
from .targets import Targets

__all__ = ["inventory"]

# An INI inventory has hosts and sections; a YAML one begins with a document, or a name and a colon.
_YAML = re.compile(r"\s*(?:#[^\n]*\n\s*)*(?:---|%YAML|\{|[\w.-]+:\s*(?:[#&{!]|\n|\Z))")


class _Inventory(Targets):
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> LoadedTargets:
        text = limited_text(self._path, "the inventory")
        ending = self._path.suffix.lower()
        is_yaml = ending in (".yml", ".yaml", ".json")
        if is_yaml or (ending != ".ini" and _YAML.match(text)):
            from ._inventory_yaml import read_yaml

            return read_yaml(text, str(self._path)).loaded()
        return read_ini(text, str(self._path)).loaded()


def inventory(path: str | os.PathLike[str]) -> Targets:
    """Targets from a static inventory of Ansible, in its INI or its YAML form.

    >>> web = inventory("hosts.yml").only("@web", "!web07")

    Hosts, ranges (`web[01:20]`), groups, their children and variables are read as Ansible reads
    them: a host's own variables weigh most, then those of the deeper group. `ansible_host`,
    `ansible_port`, `ansible_user`, `ansible_ssh_private_key_file`, and `-J` or `ProxyJump` in
    `ansible_ssh_common_args` say how a host is reached. Other variables whose names begin with
    `ansible_` are left out, as they may be passwords; the rest fill placeholders of probes, a list
    or a mapping as JSON. Not read are `group_vars` and `host_vars`, plugins and scripts; templates
    and encrypted values are not evaluated. A host that is reached by something else than SSH is
    left out with a note.

    The file is read when a sweep begins, not when this is declared. It may have up to 4 MiB, and
    500,000 entries with its aliases written out. Loading raises MisconfiguredError, with file and
    line, for what is no inventory, for a tag of YAML that would make an object, for groups that go
    in a circle, and for one that is not there, telling the nearest; MissingExtra for a YAML one
    without the extra `ssh`.
    """
    return _Inventory(Path(path).expanduser())
