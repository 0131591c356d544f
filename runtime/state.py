"""Keyed memory that the runtime owns, so that an author cannot forget to save it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Generic, TypeVar

__all__ = ["KeyedState"]

K = TypeVar("K")
"""The key."""
V = TypeVar("V")
"""What is remembered for a key. Never None."""


class KeyedState(MutableMapping[K, V], Generic[K, V]):
    """What an operator remembers per key; declared in `__init__`, saved by the runtime.

    It is a mapping that notes which keys changed. The runtime finds it among the operator's
    attributes, gives each job an empty copy, takes `snapshot()` at each barrier and `restore()`s
    it after `open`. Change a value by assigning it, not in place: only an assignment is noted.

    >>> counts: KeyedState[str, int] = KeyedState()
    >>> counts["setosa"] = counts.get("setosa", 0) + 1
    >>> sorted(counts.items()), sorted(counts.changed())
    ([('setosa', 1)], ['setosa'])
    """

    __slots__ = ("_changed", "_values")

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._changed: set[K] = set()

    def __getitem__(self, key: K) -> V:
        return self._values[key]

    def __setitem__(self, key: K, value: V) -> None:
        self._values[key] = value
        self._changed.add(key)

    def __delitem__(self, key: K) -> None:
        del self._values[key]
        self._changed.add(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def changed(self) -> frozenset[K]:
        """The keys that were assigned or deleted since the last snapshot or restore."""
        return frozenset(self._changed)

    def snapshot(self, encode: Callable[[list[tuple[K, V]]], bytes]) -> bytes:
        """All of it as bytes, through `encode`; what changed counts from here."""
        data = encode(list(self._values.items()))
        self._changed.clear()
        return data

    def restore(self, data: bytes, decode: Callable[[bytes], list[tuple[K, V]]]) -> None:
        """Become what `snapshot` made `data` of."""
        self._values = dict(decode(data))
        self._changed.clear()
