"""What holds a node back that calls, in one word and the reason for it."""

from __future__ import annotations

from collections.abc import Mapping

from .dials import Dials
from .meter import CallStatistics

__all__ = ["LIMITS", "limited_by"]

LIMITS = ("server", "network", "client", "linger", "input")
"""The words that what is returned here begins with."""

_BUSY = 0.85
"""The share of the time from which on this process is what limits."""

_FULL = 0.7
"""The share of the calls that may run at once from which on they count as all."""


def limited_by(
    calls: CallStatistics,
    dials: Dials,
    *,
    allowed: int,
    down: str | None,
    cuts: Mapping[str, int],
    told: float | None = None,
) -> str | None:
    """Whether the server, the network, this client, the linger or the input limits, and why.

    `allowed` is how many calls the other side lets run at once, `down` why nothing is asked for,
    `cuts` why the batches before the node went, and `told` the seconds of a call that the server
    itself says it took, on average. None while nothing has been asked for.
    """
    if down is not None:
        return f"server: {down}"
    if not calls.answered:
        return None
    if allowed < dials.max_in_flight and calls.at_once >= _FULL * allowed:
        return f"server: it refuses more than {allowed} of {dials.max_in_flight} calls at once"
    if calls.client >= _BUSY:
        return f"client: this process is busy for {calls.client:.0%} of the time"
    if calls.at_once >= _FULL * min(allowed, dials.max_in_flight):
        took = f"{dials.max_in_flight} calls are under way, of {calls.p50:.3g} s each"
        if told is not None and calls.p50 and told < 0.5 * calls.p50:
            return f"network: {took}, of which the server takes {told:.3g} s"
        return f"server: {took}"
    total = sum(cuts.values())
    waited = cuts.get("linger", 0) + cuts.get("starved", 0)
    if total and waited > total / 2:
        return (
            f"linger: {waited} of {total} batches went before they were full, with "
            f"{calls.batch:.0f} records: too few come for {dials.max_batch_size}"
        )
    return f"input: {calls.at_once:.1f} of {dials.max_in_flight} calls are under way, no more come"
