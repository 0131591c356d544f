"""What one sweep found, for one probe."""

from __future__ import annotations

from typing import Literal, TypedDict

from ..probes.probe_result import ProbeOutcome

__all__ = ["Standing", "SweepSummary", "percent_ok", "standing_of"]

Standing = Literal["ok", "failed", "unavailable"]
"""What an outcome counts as in a sweep.

`ok`: the probe ran and returned, whatever its exit status; `unavailable`: the machine is out of
reach, or refuses; `failed`: anything else after there was contact, and what was cut off, of which
nobody may say that the machine was not there.
"""

_OK = ("ok", "exit")
_UNAVAILABLE = ("unreachable", "refused")


class SweepSummary(TypedDict):
    """One sweep, for one probe: which targets are `ok`, `failed` and `unavailable`, by name.

    >>> summary = SweepSummary(sweep=1081948390, probe="usage", seconds=381.9,
    ...                        ok=["m1", "m2"], failed=[], unavailable=["m12", "m13"])
    >>> percent_ok(summary)
    50.0

    `seconds` is how long it took, from the first attempt of the sweep to the last answer of this
    probe.
    """

    sweep: int
    probe: str
    seconds: float
    ok: list[str]
    failed: list[str]
    unavailable: list[str]


def standing_of(outcome: ProbeOutcome) -> Standing:
    """What an outcome counts as.

    >>> standing_of("exit"), standing_of("timeout"), standing_of("refused")
    ('ok', 'failed', 'unavailable')
    """
    if outcome in _OK:
        return "ok"
    return "unavailable" if outcome in _UNAVAILABLE else "failed"


def percent_ok(summary: SweepSummary) -> float:
    """How many of a hundred targets were ok; 0 of none."""
    ok = len(summary["ok"])
    attempts = ok + len(summary["failed"]) + len(summary["unavailable"])
    return 100.0 * ok / attempts if attempts else 0.0
