"""Fleets of machines: who is asked, what is asked, and what each of them answered."""

from __future__ import annotations

from .probe import Probe as Probe
from .probe import probe as probe
from .probe import script as script
from .probe_result import OUTCOMES as OUTCOMES
from .probe_result import ProbeOutcome as ProbeOutcome
from .probe_result import ProbeResult as ProbeResult
from .target import Target as Target

__all__ = ["OUTCOMES", "Probe", "ProbeOutcome", "ProbeResult", "Target", "probe", "script"]
