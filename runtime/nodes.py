"""Nodes: operators as they stand in a graph, as pure data."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any, Literal

from .dataclass import dataclass
from .did_you_mean import nearest as most_similar
from .errors import GraphError

__all__ = [
    "FAILED",
    "LATE",
    "Kind",
    "Node",
    "NodeOptions",
    "Port",
    "Regroup",
    "declared_at",
    "is_a",
    "is_count",
    "is_seconds",
    "nearest",
    "overrides",
]

Kind = Literal[
    "source",
    "map",
    "filter",
    "flat_map",
    "map_batch",
    "key_by",
    "event_time",
    "split",
    "batch",
    "function",
    "operator",
    "sink",
]

FAILED = "failed"
"""The port that every node has, for dead letters."""

LATE = "late"
"""The port of a node that knows the time, for records that came too late; it may go nowhere."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")
_OURS = ("thalweg.runtime", "thalweg.operators")


@dataclass(frozen=True, slots=True)
class Port:
    """A named output of a node."""

    node: str
    name: str = "out"

    def __str__(self) -> str:
        return self.node if self.name == "out" else f"{self.node}.{self.name}"


@dataclass(frozen=True, slots=True)
class Regroup:
    """How `batch` cuts the stream anew; None is no limit. `linger` is in seconds."""

    max_batch_size: int | None
    max_batch_bytes: int | None
    linger: float | None


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """The options that any node may have; a wrong one raises ValueError.

    `fail_after` is the number of records in a row that may fail, with none between them that
    passes, before it is no longer the data: then the job fails. None never gives up.
    """

    max_in_flight: int = 1
    ordered: bool = True
    timeout: float = 60.0
    volatile: bool = False
    fail_after: int | None = 1000
    on_failure: Literal["stop", "isolate"] = "stop"
    lossy: bool = False
    identity: Callable[[Any], object] | None = None
    key_version: int = 1

    def __post_init__(self) -> None:
        if not is_count(self.max_in_flight) or self.max_in_flight > 100_000:
            raise ValueError(f"max_in_flight is 1 to 100,000, not {self.max_in_flight!r}")
        if not is_seconds(self.timeout) or not 0 < self.timeout < math.inf:
            raise ValueError(f"timeout is a number of seconds above 0, not {self.timeout!r}")
        if self.fail_after is not None and not is_count(self.fail_after):
            raise ValueError(f"fail_after is 1 or more, or None, not {self.fail_after!r}")
        if not is_count(self.key_version):
            raise ValueError(f"version is 1 or more, not {self.key_version!r}")
        if self.on_failure not in ("stop", "isolate"):
            raise ValueError(f"on_failure is 'stop' or 'isolate', not {self.on_failure!r}")


@dataclass(frozen=True, slots=True)
class Node:
    """One declared step: its name, what it does, and where its records come from."""

    name: str
    kind: Kind
    work: object
    inputs: tuple[Port, ...] = ()
    ports: tuple[str, ...] = ("out",)
    options: NodeOptions = field(default_factory=NodeOptions)
    where: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise GraphError(
                f"{self.name!r} is no name for a node: use letters, digits, '_', '-' and '.', "
                "beginning with a letter",
                where=self.where,
            )


def declared_at() -> str | None:
    """`file:line` of the nearest caller outside this package."""
    frame = inspect.currentframe()
    while frame is not None:
        if not str(frame.f_globals.get("__name__", "")).startswith(_OURS):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def is_a(value: object, kind: type) -> bool:
    """`isinstance` where the declared type leaves no doubt: many graphs are never type-checked."""
    return isinstance(value, kind)


def is_count(value: object) -> bool:
    """Whether it is a whole number from 1 on: options are given unchecked, as functions are."""
    return isinstance(value, int) and value >= 1


def is_seconds(value: object) -> bool:
    """Whether it is a number of seconds, from 0 on."""
    return isinstance(value, int | float) and value >= 0


def overrides(work: object, base: type, *names: str) -> list[str]:
    """Which of these methods of a contract's class `base` the user's class has written anew."""
    kind = type(work)
    return [name for name in names if getattr(kind, name) is not getattr(base, name)]


def nearest(word: str, words: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the most similar of `words`, or an empty text."""
    near = most_similar(word, words)
    return f" Did you mean {near!r}?" if near else ""


def describe_callable(function: Callable[..., object]) -> str:
    """A callable's name with its file and line, for plans and messages."""
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", None) or type(function).__name__
    name = name.replace("<locals>.", "").replace("<lambda>", "lambda")
    if code is None:
        return str(name)
    return f"{name} ({code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno})"
