"""One machine in one sweep: whom to ask, and what."""

from __future__ import annotations

from collections.abc import Mapping

from ....runtime.contracts import dataclass
from ..targets.target import Target
from .probe import Probe

__all__ = ["Visit"]


@dataclass(frozen=True, slots=True)
class Visit:
    """A target, and the probes that it is asked in this sweep, one after another.

    `of` is the number of results that the sweep has in all; `payloads` holds the scripts that are
    sent, by the name of their probe.

    >>> visit = Visit(1_081_948_390, 2, Target("lab01"), (Probe("uptime"), Probe("who")), {})
    >>> [probe.name for probe in visit.probes]
    ['uptime', 'who']
    """

    sweep: int
    of: int
    target: Target
    probes: tuple[Probe, ...]
    payloads: Mapping[str, bytes]
