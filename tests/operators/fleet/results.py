"""Results of probes, for the tests of what is done with them."""

from __future__ import annotations

from thalweg.operators.fleet import ProbeOutcome, ProbeResult

__all__ = ["result"]

SWEEP = 1_081_948_390


def result(
    target: str = "m1",
    outcome: ProbeOutcome = "ok",
    *,
    sweep: int = SWEEP,
    of: int = 1,
    probe: str = "usage",
    stdout: str = "",
    stderr: str = "",
    started: float | None = None,
    elapsed: float = 0.25,
    detail: str = "",
) -> ProbeResult:
    """One attempt, as the prober would tell of it."""
    return ProbeResult(
        sweep=sweep,
        of=of,
        target=target,
        probe=probe,
        outcome=outcome,
        exit_status={"ok": 0, "exit": 3}.get(outcome),
        signal=None,
        stdout=stdout,
        stderr=stderr,
        started=sweep if started is None else started,
        elapsed_there=None,
        elapsed_here=elapsed,
        attempt=1,
        bytes=len(stdout) + len(stderr),
        truncated=False,
        detail=detail,
    )
