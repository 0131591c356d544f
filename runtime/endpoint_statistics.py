"""How one of several endpoints stands."""

from __future__ import annotations

from .dataclass import dataclass

__all__ = ["EndpointStatistics"]


@dataclass(frozen=True, slots=True)
class EndpointStatistics:
    """How one of several endpoints stands, of which any may answer a call.

    `calls` counts what was asked of it and is over, `failures` those of them after which it was
    left out, `last_error` says why it was the last time. While it is not `healthy` it is left out,
    for `out_for` more seconds; with 0 left, the next call tries it.

    >>> EndpointStatistics("oip('http://127.0.0.1:8501/v2/models/iris')", 2, 40, 0, True).in_flight
    2
    """

    endpoint: str
    in_flight: int
    calls: int
    failures: int
    healthy: bool
    last_error: str | None = None
    out_for: float = 0.0
