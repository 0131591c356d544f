"""One probe of one target, while it is asked: what its result will be."""

from __future__ import annotations

import asyncio

from ....runtime.contracts import DataError
from ..probes.probe import Probe
from ..probes.probe_result import ProbeOutcome, ProbeResult
from ..probes.prober import Tell
from ..probes.visit import Visit
from ..wall_clock import wall_clock
from .allowance import OutOfTime
from .command_session import Printed
from .not_reached import NotReached
from .remote_run import Ending, EndingKind, RemoteRun, remote_run

__all__ = ["Asking"]

_OUTCOMES: dict[EndingKind, ProbeOutcome] = {
    "late": "timeout",
    "exclusive": "exclusive",
    "failed": "unsupported",
    "unsupported": "unsupported",
    "cut_off": "lost",
}


class Asking:
    """Knows when it began and how often it was tried; tells one result, by one of its methods."""

    def __init__(self, visit: Visit, probe: Probe, tell: Tell) -> None:
        self.visit = visit
        self.probe = probe
        self.attempt = 1
        self._told = tell
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._started = wall_clock()()

    def run(self) -> RemoteRun | None:
        """How to run it there; None where this cannot be told, which is then the result."""
        payload = self.visit.payloads.get(self.probe.name, b"")
        try:
            return remote_run(self.probe, self.visit.target, payload)
        except DataError as error:
            self._tell("unsupported", str(error), None)
            return None

    def not_reached(self, problem: NotReached) -> None:
        """The target could not be asked."""
        self._tell(problem.outcome, problem.detail, None)

    def answered(self, run: RemoteRun, printed: Printed, late: OutOfTime | None) -> None:
        """It ran, or was ended while it did."""
        ending = run.ending(printed.stdout, printed.stderr)
        begun = run.marker.encode() in printed.stdout
        if ending.kind == "ran":
            self._ran(ending)
        elif printed.glut:
            self._tell("unsupported", "it sends more than what it was asked for", ending)
        elif late is not None and ending.kind == "cut_off":
            self._tell("timeout", str(late), ending)
        elif ending.kind == "cut_off" and printed.exited and not begun:
            why = "it lets its user run no commands: the session ended at once, without a word"
            self._tell("unsupported", why, ending)
        else:
            self._tell(_OUTCOMES[ending.kind], ending.detail, ending)

    def _ran(self, ending: Ending) -> None:
        held = "; something that it left running was not waited for" if ending.held else ""
        if ending.signal is not None:
            self._tell("exit", f"it was ended by the signal {ending.signal}{held}", ending)
        elif ending.exit_status:
            self._tell("exit", f"its exit status is {ending.exit_status}{held}", ending)
        else:
            self._tell("ok", "", ending)

    def _tell(self, outcome: ProbeOutcome, detail: str, ending: Ending | None) -> None:
        ran = ending is not None and ending.kind == "ran"
        self._told(
            ProbeResult(
                sweep=self.visit.sweep,
                of=self.visit.of,
                target=self.visit.target.name,
                probe=self.probe.name,
                outcome=outcome,
                exit_status=ending.exit_status if ending is not None and ran else None,
                signal=ending.signal if ending is not None and ran else None,
                stdout="" if ending is None else ending.stdout.decode("utf-8", "replace"),
                stderr="" if ending is None else ending.stderr.decode("utf-8", "replace"),
                started=self._started,
                elapsed_there=None if ending is None else ending.elapsed,
                elapsed_here=self._clock() - self._began,
                attempt=self.attempt,
                bytes=0 if ending is None else ending.size,
                truncated=ending is not None and ending.truncated,
                detail=detail,
            )
        )
