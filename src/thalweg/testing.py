"""The testing kit: virtual time, scripted sources, `feed` for one operator, conformance suites."""

from __future__ import annotations

from .runtime.testing.collecting import CollectingSink as CollectingSink
from .runtime.testing.conformance.functions import FUNCTION_CHECKS as FUNCTION_CHECKS
from .runtime.testing.conformance.functions import FunctionCase as FunctionCase
from .runtime.testing.conformance.operators import OPERATOR_CHECKS as OPERATOR_CHECKS
from .runtime.testing.conformance.operators import OperatorCase as OperatorCase
from .runtime.testing.conformance.sinks import SINK_CHECKS as SINK_CHECKS
from .runtime.testing.conformance.sinks import SinkCase as SinkCase
from .runtime.testing.conformance.sources import SOURCE_CHECKS as SOURCE_CHECKS
from .runtime.testing.conformance.sources import SourceCase as SourceCase
from .runtime.testing.contexts import context as context
from .runtime.testing.feed import Fed as Fed
from .runtime.testing.feed import feed as feed
from .runtime.testing.scripted import CRASH as CRASH
from .runtime.testing.scripted import END as END
from .runtime.testing.scripted import PAUSE as PAUSE
from .runtime.testing.scripted import ScriptedCrash as ScriptedCrash
from .runtime.testing.scripted import ScriptedSource as ScriptedSource
from .runtime.testing.scripted import scripted as scripted
from .runtime.testing.stepping import Wake as Wake
from .runtime.testing.still_selector import DeadlockError as DeadlockError
from .runtime.testing.still_selector import StalledError as StalledError
from .runtime.testing.virtual_time import VirtualTimeLoop as VirtualTimeLoop
from .runtime.testing.virtual_time import run_virtual as run_virtual

__all__ = [
    "CRASH",
    "END",
    "FUNCTION_CHECKS",
    "OPERATOR_CHECKS",
    "PAUSE",
    "SINK_CHECKS",
    "SOURCE_CHECKS",
    "CollectingSink",
    "DeadlockError",
    "Fed",
    "FunctionCase",
    "OperatorCase",
    "ScriptedCrash",
    "ScriptedSource",
    "SinkCase",
    "SourceCase",
    "StalledError",
    "VirtualTimeLoop",
    "Wake",
    "context",
    "feed",
    "run_virtual",
    "scripted",
]
