"""Fleets of machines: who is asked, what is asked, and what each of them answered."""

from __future__ import annotations

from . import parsers as parsers
from ._gathering import LoadedTargets as LoadedTargets
from .inventory import inventory as inventory
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
from .result_of import result_of as result_of
from .ssh_config import ssh_config as ssh_config
from .target import Target as Target
from .targets import AnyTargets as AnyTargets
from .targets import Targets as Targets
from .targets import target_file as target_file
from .targets import targets as targets

__all__ = [
    "OUTCOMES",
    "AnyTargets",
    "LoadedTargets",
    "ParseContext",
    "ParsedResult",
    "Probe",
    "ProbeOutcome",
    "ProbeResult",
    "ResultParser",
    "Target",
    "Targets",
    "expanded",
    "folded",
    "inventory",
    "parse",
    "parsers",
    "probe",
    "result_of",
    "script",
    "ssh_config",
    "target_file",
    "targets",
]
