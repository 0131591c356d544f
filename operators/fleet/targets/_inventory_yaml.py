"""The YAML form of an Ansible inventory.

Nothing is ever made of a YAML tag: the tree of nodes is read as text. What aliases stand for is
counted before the tree is built, so that a few lines cannot fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ....runtime.contracts import MisconfiguredError, MissingExtra
from ._inventory_groups import InventoryGroups

__all__ = ["read_yaml"]

_MOST_NODES = 500_000
_DEEPEST = 60
_STANDARD = "tag:yaml.org,2002:"
_PLAIN = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
_KEYS = ("hosts", "children", "vars")


def read_yaml(text: str, path: str) -> InventoryGroups:
    """What it says. Raises MisconfiguredError with file and line."""
    return _Reader(path).read(text)


class _Reader:
    def __init__(self, path: str) -> None:
        try:
            import yaml
        except ImportError:
            raise MissingExtra("a YAML inventory", "ssh") from None
        self._yaml = yaml
        self._path = path
        # The one that is written in C, where it was built, takes a tenth of the time.
        self._loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._made = InventoryGroups(path)

    def read(self, text: str) -> InventoryGroups:
        try:
            self._weigh(text)
            root = self._yaml.compose(text, Loader=self._loader)
        except self._yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark is not None else ""
            problem = getattr(error, "problem", None) or str(error)
            raise MisconfiguredError(f"{self._path}{line}: this is no YAML: {problem}") from None
        if root is None:
            raise MisconfiguredError(f"the inventory {self._path} is empty")
        for name, at, node in self._pairs(root, "an inventory"):
            self._group(name, node, at)
        return self._made

    def _weigh(self, text: str) -> None:
        """Refuse what is too deep, or would be too large with its aliases written out."""
        yaml = self._yaml
        anchors: dict[str, int] = {}
        open_nodes: list[tuple[str | None, int]] = []
        size = documents = 0

        def close(anchor: str | None, before: int) -> None:
            if anchor is not None:
                anchors[anchor] = size - before

        for event in yaml.parse(text, Loader=self._loader):
            where = self._where(event)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise MisconfiguredError(f"{where}: an inventory is one document of YAML")
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    raise MisconfiguredError(
                        f"{where}: *{event.anchor} stands for nothing that is complete before it"
                    )
                size += anchors[event.anchor]
            elif isinstance(event, yaml.CollectionStartEvent):
                self._check_tag(event.tag, where)
                open_nodes.append((event.anchor, size))
                size += 1
                if len(open_nodes) > _DEEPEST:
                    raise MisconfiguredError(f"{where}: an inventory is {_DEEPEST} deep at most")
            elif isinstance(event, yaml.CollectionEndEvent):
                close(*open_nodes.pop())
            elif isinstance(event, yaml.ScalarEvent):
                self._check_tag(event.tag, where)
                size += 1
                close(event.anchor, size - 1)
            if size > _MOST_NODES:
                raise MisconfiguredError(
                    f"{where}: with its aliases this inventory has more than {_MOST_NODES:,} "
                    "entries, and is refused"
                )

    def _check_tag(self, tag: str | None, where: str) -> None:
        if tag is None or tag == "!" or tag.removeprefix(_STANDARD) in _PLAIN:
            return
        short = tag.replace(_STANDARD, "!!")[:80]
        more = ": nothing is decrypted here" if "vault" in tag else ""
        raise MisconfiguredError(
            f"{where}: the tag {short} is refused{more}; an inventory holds texts, numbers, lists "
            "and mappings"
        )

    def _group(self, name: str, node: Any, where: str) -> None:
        group = self._made.group(name)
        if self._is_nothing(node):
            return
        for key, at, value in self._pairs(node, f"the group {name!r}"):
            if key not in _KEYS:
                raise MisconfiguredError(
                    f"{at}: the group {name!r} has {key!r}; a group has {', '.join(_KEYS)}"
                )
            if self._is_nothing(value):
                continue
            for inner, inner_at, inner_value in self._pairs(value, f"{key} of {name!r}"):
                if key == "children":
                    group.children[inner] = inner_at
                    self._group(inner, inner_value, inner_at)
                elif key == "vars":
                    group.variables[inner] = self._text(inner_value)
                else:
                    self._made.add_hosts(name, inner, self._variables(inner_value, inner), inner_at)

    def _variables(self, node: Any, host: str) -> dict[str, str]:
        if self._is_nothing(node):
            return {}
        pairs = self._pairs(node, f"the host {host!r}")
        return {name: self._text(value) for name, _, value in pairs}

    def _pairs(self, node: Any, what: str) -> Iterator[tuple[str, str, Any]]:
        """The pairs of a mapping, with what is merged into it where it has no own."""
        if not isinstance(node, self._yaml.MappingNode):
            raise MisconfiguredError(
                f"{self._where(node)}: {what} is a mapping of names, such as 'lab01:', not "
                f"{'a list' if isinstance(node, self._yaml.SequenceNode) else 'a single value'}"
            )
        own: dict[str, tuple[str, Any]] = {}
        merged: dict[str, tuple[str, Any]] = {}
        for key, value in cast("list[tuple[Any, Any]]", node.value):
            where = self._where(key)
            if key.tag == _STANDARD + "merge":
                several = isinstance(value, self._yaml.SequenceNode)
                for other in value.value if several else [value]:
                    for name, at, inner in self._pairs(other, "what << merges"):
                        merged.setdefault(name, (at, inner))
            elif not isinstance(key, self._yaml.ScalarNode):
                raise MisconfiguredError(f"{where}: {what} has a name that is no text")
            elif key.value in own:
                raise MisconfiguredError(f"{where}: {what} has {key.value!r} twice")
            else:
                own[key.value] = (where, value)
        for name, (at, value) in {**merged, **own}.items():
            yield name, at, value

    def _text(self, node: Any) -> str:
        """A value as it is written; lists and mappings, which no probe can take, as JSON."""
        if isinstance(node, self._yaml.ScalarNode):
            return "" if self._is_nothing(node) else str(node.value)
        import json

        return json.dumps(self._plain(node))

    def _plain(self, node: Any) -> object:
        if isinstance(node, self._yaml.ScalarNode):
            return None if self._is_nothing(node) else str(node.value)
        if isinstance(node, self._yaml.SequenceNode):
            return [self._plain(one) for one in node.value]
        return {name: self._plain(value) for name, _, value in self._pairs(node, "a value")}

    def _is_nothing(self, node: Any) -> bool:
        return isinstance(node, self._yaml.ScalarNode) and node.tag == _STANDARD + "null"

    def _where(self, node: Any) -> str:
        return f"{self._path}:{node.start_mark.line + 1}"
