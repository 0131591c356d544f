"""Fleets of machines: who is asked, what is asked, and what each of them answered."""

from __future__ import annotations

from .alerts import TROUBLES as TROUBLES
from .alerts import Alerts as Alerts
from .alerts import alerts as alerts
from .live_table import live_table as live_table
from .live_table import wants_colour as wants_colour
from .probe_result import OUTCOMES as OUTCOMES
from .probe_result import ProbeOutcome as ProbeOutcome
from .probe_result import ProbeResult as ProbeResult
from .reports import Reports as Reports
from .reports import reports as reports
from .sweep_summaries import SweepSummaries as SweepSummaries
from .sweep_summaries import sweep_summaries as sweep_summaries
from .sweep_summary import SweepSummary as SweepSummary
from .target import Target as Target
from .trace import read_trace as read_trace
from .trace import trace_line as trace_line
from .usage import USAGE_SCRIPT as USAGE_SCRIPT
from .usage import Facts as Facts
from .usage import Usage as Usage
from .usage import parse_usage as parse_usage
from .usage_database import usage_database as usage_database
from .usage_page import usage_page as usage_page
from .usage_samples import UsageSample as UsageSample
from .usage_samples import UsageSamples as UsageSamples
from .usage_samples import usage_samples as usage_samples
from .usage_table import UsageTable as UsageTable
from .usage_table import usage_query as usage_query
from .usage_table import usage_table as usage_table

__all__ = [
    "OUTCOMES",
    "TROUBLES",
    "USAGE_SCRIPT",
    "Alerts",
    "Facts",
    "ProbeOutcome",
    "ProbeResult",
    "Reports",
    "SweepSummaries",
    "SweepSummary",
    "Target",
    "Usage",
    "UsageSample",
    "UsageSamples",
    "UsageTable",
    "alerts",
    "live_table",
    "parse_usage",
    "read_trace",
    "reports",
    "sweep_summaries",
    "trace_line",
    "usage_database",
    "usage_page",
    "usage_query",
    "usage_samples",
    "usage_table",
    "wants_colour",
]
