"""Pushing records into a job: which source takes them, and what whoever pushes gets back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any, Protocol, cast

from .actors import Actor, SourceActor
from .errors import ThalwegError
from .nodes import nearest

__all__ = ["Delivery", "Pushes"]


class Delivery(Protocol):
    """What a push returns: awaiting it waits until the records have arrived."""

    def __await__(self) -> Generator[Any, Any, None]: ...


Push = Callable[[Sequence[object]], Awaitable[Delivery]]


class Pushes:
    """The sources of a graph that are fed by the embedding program, by name."""

    def __init__(self, graph: str) -> None:
        self._graph = graph
        self._found: dict[str, Push] = {}

    def of(self, name: str, actors: Iterable[Actor]) -> Push:
        """What feeds the source of this name; ThalwegError where none is pushed to."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._look(name, actors)
        return found

    def _look(self, name: str, actors: Iterable[Actor]) -> Push:
        sources = {a.name: a.source for a in actors if isinstance(a, SourceActor)}
        if name not in sources:
            raise ThalwegError(
                f"graph {self._graph!r} has no source {name!r}; it has {list(sources)}."
                + nearest(name, sources)
            )
        push = getattr(sources[name], "push", None)
        if push is None:
            raise ThalwegError(f"the source {name!r} is read, not pushed to: use sources.push()")
        return cast(Push, push)
