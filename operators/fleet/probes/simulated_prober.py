"""A prober without machines: what a fleet would answer, in no time at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ....runtime.contracts import dataclass
from ..wall_clock import wall_clock
from .probe import Probe
from .probe_result import ProbeOutcome, ProbeResult
from .prober import Prober, Tell
from .visit import Visit

__all__ = ["Simulated", "SimulatedProber"]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulated target answers, after so many `seconds`.

    >>> Simulated("refused", seconds=0.002).exit_status
    """

    outcome: ProbeOutcome = "ok"
    stdout: str = ""
    stderr: str = ""
    exit_status: int | None = None
    seconds: float = 0.0
    detail: str = ""


class SimulatedProber(Prober):
    """Asks a function instead of machines; with virtual time, a month of sweeps takes moments.

    The function is given the visit and one of its probes, and returns a `Simulated`.

    >>> prober = SimulatedProber(lambda visit, probe: Simulated(stdout="up", exit_status=0))
    """

    def __init__(self, answer: Callable[[Visit, Probe], Simulated]) -> None:
        self._answer = answer

    async def visit(self, visit: Visit, tell: Tell) -> None:
        """Let the function answer, and time pass."""
        clock = wall_clock()
        for probe in visit.probes:
            started = clock()
            answer = self._answer(visit, probe)
            if answer.seconds:
                await asyncio.sleep(answer.seconds)
            size = len(answer.stdout.encode()) + len(answer.stderr.encode())
            tell(
                ProbeResult(
                    sweep=visit.sweep,
                    of=visit.of,
                    target=visit.target.name,
                    probe=probe.name,
                    outcome=answer.outcome,
                    exit_status=answer.exit_status,
                    signal=None,
                    stdout=answer.stdout,
                    stderr=answer.stderr,
                    started=started,
                    elapsed_there=answer.seconds if answer.exit_status is not None else None,
                    elapsed_here=answer.seconds,
                    attempt=1,
                    bytes=size,
                    truncated=False,
                    detail=answer.detail,
                )
            )
