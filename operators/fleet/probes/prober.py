"""Asks machines: what a source of sweeps needs, whether they are real or simulated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ....runtime.contracts import Context
from ..targets.target import Target
from .probe_result import ProbeResult
from .visit import Visit

__all__ = ["Prober", "Tell"]

Tell = Callable[[ProbeResult], None]
"""Is told each result as soon as there is one."""


class Prober(ABC):
    """Asks targets. Its limits on what is under way at once are its own.

    An object in a graph is a prototype: each job opens a copy of it. `visit` is what has to be
    written; how a whole sweep is asked stays with the source.

    >>> from thalweg.operators.fleet import result_of
    >>> class Silent(Prober):
    ...     async def visit(self, visit, tell):
    ...         for probe in visit.probes:
    ...             told = {"target": visit.target.name, "probe": probe.name, "sweep": visit.sweep}
    ...             tell(result_of("", **told, outcome="unreachable", exit_status=None))
    """

    async def open(self, context: Context) -> None:
        """Get ready to ask."""

    @abstractmethod
    async def visit(self, visit: Visit, tell: Tell) -> None:
        """Ask one target what this visit asks, and tell one result for each of its probes.

        Whatever is wrong with the target is such a result; what this raises fails the job. When it
        is cancelled, what runs on the target ends, and nothing is told of it.
        """

    async def rest(self, targets: Sequence[Target]) -> None:
        """A sweep over these targets is over: let go of what the next one does not need."""

    async def close(self) -> None:
        """Let go of everything."""
