"""The testing kit: virtual time, scripted sources, `feed` for one operator, conformance suites,
simulations of faults.
"""

from __future__ import annotations

from .runtime.stores.memory import MemoryStore as MemoryStore
from .runtime.testing.collecting import CollectingSink as CollectingSink
from .runtime.testing.conformance.columns import COLUMN_CHECKS as COLUMN_CHECKS
from .runtime.testing.conformance.columns import ColumnCase as ColumnCase
from .runtime.testing.conformance.functions import FUNCTION_CHECKS as FUNCTION_CHECKS
from .runtime.testing.conformance.functions import FunctionCase as FunctionCase
from .runtime.testing.conformance.operators import OPERATOR_CHECKS as OPERATOR_CHECKS
from .runtime.testing.conformance.operators import OperatorCase as OperatorCase
from .runtime.testing.conformance.sinks import SINK_CHECKS as SINK_CHECKS
from .runtime.testing.conformance.sinks import SinkCase as SinkCase
from .runtime.testing.conformance.sources import SOURCE_CHECKS as SOURCE_CHECKS
from .runtime.testing.conformance.sources import SourceCase as SourceCase
from .runtime.testing.contexts import HeldFence as HeldFence
from .runtime.testing.contexts import context as context
from .runtime.testing.feed import Fed as Fed
from .runtime.testing.feed import feed as feed
from .runtime.testing.scripted import CHECKPOINT as CHECKPOINT
from .runtime.testing.scripted import CRASH as CRASH
from .runtime.testing.scripted import END as END
from .runtime.testing.scripted import PAUSE as PAUSE
from .runtime.testing.scripted import ScriptedCrash as ScriptedCrash
from .runtime.testing.scripted import ScriptedSource as ScriptedSource
from .runtime.testing.scripted import scripted as scripted
from .runtime.testing.simulation import FAULTS as FAULTS
from .runtime.testing.simulation import BrokerSource as BrokerSource
from .runtime.testing.simulation import Happened as Happened
from .runtime.testing.simulation import OutOfReach as OutOfReach
from .runtime.testing.simulation import Report as Report
from .runtime.testing.simulation import broker as broker
from .runtime.testing.simulation import simulate as simulate
from .runtime.testing.stepping import At as At
from .runtime.testing.stepping import Wake as Wake
from .runtime.testing.still_selector import DeadlockError as DeadlockError
from .runtime.testing.still_selector import StalledError as StalledError
from .runtime.testing.virtual_time import VirtualTimeLoop as VirtualTimeLoop
from .runtime.testing.virtual_time import run_virtual as run_virtual

__all__ = [
    "CHECKPOINT",
    "COLUMN_CHECKS",
    "CRASH",
    "END",
    "FAULTS",
    "FUNCTION_CHECKS",
    "OPERATOR_CHECKS",
    "PAUSE",
    "SINK_CHECKS",
    "SOURCE_CHECKS",
    "At",
    "BrokerSource",
    "CollectingSink",
    "ColumnCase",
    "DeadlockError",
    "Fed",
    "FunctionCase",
    "Happened",
    "HeldFence",
    "MemoryStore",
    "OperatorCase",
    "OutOfReach",
    "Report",
    "ScriptedCrash",
    "ScriptedSource",
    "SinkCase",
    "SourceCase",
    "StalledError",
    "VirtualTimeLoop",
    "Wake",
    "broker",
    "context",
    "feed",
    "run_virtual",
    "scripted",
    "simulate",
]
