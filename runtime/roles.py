"""What sources and sinks can do about a restart, as their classes say."""

from __future__ import annotations

from typing import Literal, cast

from .contracts import Sink, Source
from .nodes import is_a, overrides

__all__ = [
    "STEPS",
    "SinkRole",
    "SourceRole",
    "as_sink",
    "as_source",
    "commits",
    "sink_role",
    "source_role",
    "steps_of",
]

SourceRole = Literal["seeks", "redelivers", "loses"]
"""Goes on where it was; is given again what it has not acked; loses what was under way."""

SinkRole = Literal["commits", "keyed", "repeats"]
"""Shows what it wrote with the epoch; can tell a repeat by its key; shows repeats."""

STEPS = ("prepare", "commit", "discard")
"""What a sink that commits overrides."""


def as_source(work: object) -> Source[object] | None:
    """The work of a node as a source, if it is one."""
    return cast("Source[object]", work) if is_a(work, Source) else None


def as_sink(work: object) -> Sink[object] | None:
    """The work of a node as a sink, if it is one."""
    return cast("Sink[object]", work) if is_a(work, Sink) else None


def source_role(source: Source[object]) -> SourceRole:
    """What becomes, after a restart, of what a source had read."""
    if overrides(source, Source, "seek"):
        return "seeks"
    return "redelivers" if source.redelivers else "loses"


def sink_role(sink: Sink[object]) -> SinkRole:
    """What becomes, after a restart, of what a sink had written."""
    if commits(sink):
        return "commits"
    return "keyed" if overrides(sink, Sink, "write_keyed") else "repeats"


def steps_of(sink: Sink[object]) -> list[str]:
    """Which of the three steps of a sink that commits it has."""
    return overrides(sink, Sink, *STEPS)


def commits(work: object) -> bool:
    """Whether this is a sink of which what is written under a store counts exactly once."""
    sink = as_sink(work)
    return sink is not None and len(steps_of(sink)) == len(STEPS) and sink.transactional
