"""Plain integers that operators bump and the collector reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["Counter", "Counters"]

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_MOST_LABEL_SETS = 1_000

_TAKEN = frozenset({
    "actor_seconds", "converted_records", "converting_seconds", "dead_letters", "epoch",
    "epoch_age_seconds", "epoch_bytes", "epoch_seconds", "epochs", "in_flight_records",
    "inbox_batches", "inbox_bytes", "inbox_max_batches", "inbox_max_bytes", "inbox_max_records",
    "inbox_records", "job_in_flight_records", "job_read_records", "job_settled_records",
    "job_state", "late_records", "latency_seconds", "records_in", "records_out", "retries",
    "store_waiting",
})  # fmt: skip
"""The names under which the runtime exports what it counts itself."""


class Counter:
    """A number that only grows.

    >>> answers = Counter()
    >>> answers.add(3)
    >>> answers.value
    3
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        """Add `amount`, 0 or more."""
        self.value += amount


class _Family:
    __slots__ = ("children", "help", "labels")

    def __init__(self, help_text: str, labels: tuple[str, ...]) -> None:
        self.help = help_text
        self.labels = labels
        self.children: dict[tuple[str, ...], Counter] = {}


class Counters:
    """All counters that the operators of one job asked for, with a cap on label values."""

    __slots__ = ("_families",)

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}

    def counter(self, node: str, name: str, help_text: str, labels: Mapping[str, str]) -> Counter:
        """The counter `name` of `node` with these label values; the same one for the same call.

        Raises ValueError for a name or a label that Prometheus would refuse, for a name that the
        runtime uses itself, or when `name` is asked for with other label names than before.
        """
        for word in (name, *labels):
            if not _NAME.match(word):
                raise ValueError(f"{word!r} is no metric or label name: use a-z, 0-9 and _")
        if name in _TAKEN or name.endswith("_total"):
            raise ValueError(
                f"a counter cannot be named {name!r}: the runtime's own are {sorted(_TAKEN)}, and "
                "'_total' is added to each"
            )
        if "node" in labels or "graph" in labels:
            raise ValueError("the labels 'graph' and 'node' are set by the runtime")
        keys = tuple(sorted(labels))
        family = self._families.setdefault(name, _Family(help_text, keys))
        if family.labels != keys:
            raise ValueError(
                f"counter {name!r} has the labels {list(family.labels)}, not {list(keys)}"
            )
        values = (node, *(labels[key] for key in keys))
        child = family.children.get(values)
        if child is None:
            if keys and len(family.children) >= _MOST_LABEL_SETS:
                values = (node, *("_other" for _ in keys))
                child = family.children.get(values)
            if child is None:
                child = family.children[values] = Counter()
        return child

    def families(self) -> Iterator[tuple[str, str, tuple[str, ...], dict[tuple[str, ...], int]]]:
        """Name, help, label names (after `node`) and values of each family, for the collector."""
        for name, family in list(self._families.items()):
            values = {labels: child.value for labels, child in list(family.children.items())}
            yield name, family.help, family.labels, values
