"""Fleets of machines: who is asked, what is asked, and what each of them answered."""

from __future__ import annotations

from . import parsers as parsers
from ._gathering import LoadedTargets as LoadedTargets
from .access import SshAccess as SshAccess
from .alerts import TROUBLES as TROUBLES
from .alerts import Alerts as Alerts
from .alerts import alerts as alerts
from .inventory import inventory as inventory
from .limits import ProbeLimits as ProbeLimits
from .live_table import live_table as live_table
from .live_table import wants_colour as wants_colour
from .node_set import expanded as expanded
from .node_set import folded as folded
from .parse import ParseContext as ParseContext
from .parse import ParsedResult as ParsedResult
from .parse import ResultParser as ResultParser
from .parse import parse as parse
from .probe import Probe as Probe
from .probe import probe as probe
from .probe import script as script
from .probe_result import OUTCOMES as OUTCOMES
from .probe_result import ProbeOutcome as ProbeOutcome
from .probe_result import ProbeResult as ProbeResult
from .prober import Prober as Prober
from .reports import Reports as Reports
from .reports import reports as reports
from .result_of import result_of as result_of
from .simulated_prober import Simulated as Simulated
from .simulated_prober import SimulatedProber as SimulatedProber
from .ssh_config import ssh_config as ssh_config
from .sweep_summaries import SweepSummaries as SweepSummaries
from .sweep_summaries import sweep_summaries as sweep_summaries
from .sweep_summary import SweepSummary as SweepSummary
from .target import Target as Target
from .targets import AnyTargets as AnyTargets
from .targets import Targets as Targets
from .targets import target_file as target_file
from .targets import targets as targets
from .timetable import Timetable as Timetable
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
from .visit import Visit as Visit

__all__ = [
    "OUTCOMES",
    "TROUBLES",
    "USAGE_SCRIPT",
    "Alerts",
    "AnyTargets",
    "Facts",
    "LoadedTargets",
    "ParseContext",
    "ParsedResult",
    "Probe",
    "ProbeLimits",
    "ProbeOutcome",
    "ProbeResult",
    "Prober",
    "Reports",
    "ResultParser",
    "Simulated",
    "SimulatedProber",
    "SshAccess",
    "SweepSummaries",
    "SweepSummary",
    "Target",
    "Targets",
    "Timetable",
    "Usage",
    "UsageSample",
    "UsageSamples",
    "UsageTable",
    "Visit",
    "alerts",
    "expanded",
    "folded",
    "inventory",
    "live_table",
    "parse",
    "parse_usage",
    "parsers",
    "probe",
    "read_trace",
    "reports",
    "result_of",
    "script",
    "ssh_config",
    "sweep_summaries",
    "target_file",
    "targets",
    "trace_line",
    "usage_database",
    "usage_page",
    "usage_query",
    "usage_samples",
    "usage_table",
    "wants_colour",
]
