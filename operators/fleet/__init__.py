"""Fleets of machines: who is asked, what is asked, and what each of them answered."""

from __future__ import annotations

from .alerts import TROUBLES as TROUBLES
from .alerts import Alerts as Alerts
from .alerts import alerts as alerts
from .live_table import live_table as live_table
from .live_table import wants_colour as wants_colour
from .probes import parsers as parsers
from .probes.parse import ParseContext as ParseContext
from .probes.parse import ParsedResult as ParsedResult
from .probes.parse import ResultParser as ResultParser
from .probes.parse import parse as parse
from .probes.probe import Probe as Probe
from .probes.probe import probe as probe
from .probes.probe import script as script
from .probes.probe_result import OUTCOMES as OUTCOMES
from .probes.probe_result import ProbeOutcome as ProbeOutcome
from .probes.probe_result import ProbeResult as ProbeResult
from .probes.prober import Prober as Prober
from .probes.result_of import result_of as result_of
from .probes.simulated_prober import Simulated as Simulated
from .probes.simulated_prober import SimulatedProber as SimulatedProber
from .probes.visit import Visit as Visit
from .reports import Reports as Reports
from .reports import reports as reports
from .ssh.access import SshAccess as SshAccess
from .ssh.limits import ProbeLimits as ProbeLimits
from .sweeps.sweep_summaries import SweepSummaries as SweepSummaries
from .sweeps.sweep_summaries import sweep_summaries as sweep_summaries
from .sweeps.sweep_summary import SweepSummary as SweepSummary
from .sweeps.timetable import Timetable as Timetable
from .sweeps.trace import read_trace as read_trace
from .sweeps.trace import trace_line as trace_line
from .targets._gathering import LoadedTargets as LoadedTargets
from .targets.inventory import inventory as inventory
from .targets.node_set import expanded as expanded
from .targets.node_set import folded as folded
from .targets.ssh_config import ssh_config as ssh_config
from .targets.target import Target as Target
from .targets.targets import AnyTargets as AnyTargets
from .targets.targets import Targets as Targets
from .targets.targets import target_file as target_file
from .targets.targets import targets as targets
from .usage.database import usage_database as usage_database
from .usage.page import usage_page as usage_page
from .usage.samples import UsageSample as UsageSample
from .usage.samples import UsageSamples as UsageSamples
from .usage.samples import usage_samples as usage_samples
from .usage.table import UsageTable as UsageTable
from .usage.table import usage_query as usage_query
from .usage.table import usage_table as usage_table
from .usage.usage import USAGE_SCRIPT as USAGE_SCRIPT
from .usage.usage import Facts as Facts
from .usage.usage import Usage as Usage
from .usage.usage import parse_usage as parse_usage

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
