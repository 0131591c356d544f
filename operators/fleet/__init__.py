"""Fleets of machines: who is asked, what is asked, and what each of them answered."""

from __future__ import annotations

from .access import SshAccess as SshAccess
from .limits import ProbeLimits as ProbeLimits
from .probe import Probe as Probe
from .probe import probe as probe
from .probe import script as script
from .probe_result import OUTCOMES as OUTCOMES
from .probe_result import ProbeOutcome as ProbeOutcome
from .probe_result import ProbeResult as ProbeResult
from .prober import Prober as Prober
from .simulated_prober import Simulated as Simulated
from .simulated_prober import SimulatedProber as SimulatedProber
from .target import Target as Target
from .timetable import Timetable as Timetable
from .visit import Visit as Visit

__all__ = [
    "OUTCOMES",
    "Probe",
    "ProbeLimits",
    "ProbeOutcome",
    "ProbeResult",
    "Prober",
    "Simulated",
    "SimulatedProber",
    "SshAccess",
    "Target",
    "Timetable",
    "Visit",
    "probe",
    "script",
]
