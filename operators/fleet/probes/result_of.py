"""A result made by hand, for trying out what comes after a probe."""

from __future__ import annotations

from .probe_result import ProbeOutcome, ProbeResult

__all__ = ["result_of"]


def result_of(
    stdout: str,
    *,
    stderr: str = "",
    target: str = "lab01",
    probe: str = "probe",
    sweep: int = 0,
    outcome: ProbeOutcome = "ok",
    exit_status: int | None = 0,
    truncated: bool = False,
) -> ProbeResult:
    """The result that a probe which printed this would have had: for tests of parsers.

    >>> result_of("load=3")["stdout"], result_of("")["outcome"]
    ('load=3', 'ok')

    The others are fields of `ProbeResult`; those that are not given stand for a probe that took no
    time, on the first attempt.
    """
    return {
        "sweep": sweep,
        "of": 1,
        "target": target,
        "probe": probe,
        "outcome": outcome,
        "exit_status": exit_status,
        "signal": None,
        "stdout": stdout,
        "stderr": stderr,
        "started": float(sweep),
        "elapsed_there": 0.0,
        "elapsed_here": 0.0,
        "attempt": 1,
        "bytes": len(stdout.encode()) + len(stderr.encode()),
        "truncated": truncated,
        "detail": "",
    }
