"""Fleets of machines: who is asked, what is asked, and what each of them answered."""

from __future__ import annotations

from .probe_result import OUTCOMES as OUTCOMES
from .probe_result import ProbeOutcome as ProbeOutcome
from .probe_result import ProbeResult as ProbeResult
from .sweep_summaries import SweepSummaries as SweepSummaries
from .sweep_summaries import sweep_summaries as sweep_summaries
from .sweep_summary import SweepSummary as SweepSummary
from .target import Target as Target
from .trace import read_trace as read_trace
from .trace import trace_line as trace_line

__all__ = [
    "OUTCOMES",
    "ProbeOutcome",
    "ProbeResult",
    "SweepSummaries",
    "SweepSummary",
    "Target",
    "read_trace",
    "sweep_summaries",
    "trace_line",
]
