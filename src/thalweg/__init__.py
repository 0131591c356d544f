"""Thalweg: a streaming runtime for Python.

A graph declared in a Python file becomes actors joined by bounded channels, which move batches of
records in input order, with back-pressure and metrics. This module is the public face; operators
are in `thalweg.operators`, the testing kit in `thalweg.testing`.
"""

from __future__ import annotations

from .runtime.checkpoints.options import State as State
from .runtime.contracts import BatchFunction as BatchFunction
from .runtime.contracts import Bookmark as Bookmark
from .runtime.contracts import ColumnOperator as ColumnOperator
from .runtime.contracts import Columns as Columns
from .runtime.contracts import Context as Context
from .runtime.contracts import DeadLetter as DeadLetter
from .runtime.contracts import KeyedState as KeyedState
from .runtime.contracts import Operator as Operator
from .runtime.contracts import Origin as Origin
from .runtime.contracts import Outcome as Outcome
from .runtime.contracts import Read as Read
from .runtime.contracts import Rejected as Rejected
from .runtime.contracts import Retry as Retry
from .runtime.contracts import Row as Row
from .runtime.contracts import Sink as Sink
from .runtime.contracts import Source as Source
from .runtime.contracts import Trigger as Trigger
from .runtime.errors import BusyError as BusyError
from .runtime.errors import DataError as DataError
from .runtime.errors import GraphError as GraphError
from .runtime.errors import JobCancelled as JobCancelled
from .runtime.errors import JobFailed as JobFailed
from .runtime.errors import LateError as LateError
from .runtime.errors import MisconfiguredError as MisconfiguredError
from .runtime.errors import MissingExtra as MissingExtra
from .runtime.errors import QueryError as QueryError
from .runtime.errors import QueryTimeout as QueryTimeout
from .runtime.errors import SettingError as SettingError
from .runtime.errors import StateDamaged as StateDamaged
from .runtime.errors import StateError as StateError
from .runtime.errors import StateLost as StateLost
from .runtime.errors import StateMismatch as StateMismatch
from .runtime.errors import StateUnavailable as StateUnavailable
from .runtime.errors import TableMissing as TableMissing
from .runtime.errors import ThalwegError as ThalwegError
from .runtime.errors import UnavailableError as UnavailableError
from .runtime.graph import Graph as Graph
from .runtime.jobs import jobs as jobs
from .runtime.settings import setting as setting
from .runtime.stream import Stream as Stream

__all__ = [
    "BatchFunction",
    "Bookmark",
    "BusyError",
    "ColumnOperator",
    "Columns",
    "Context",
    "DataError",
    "DeadLetter",
    "Graph",
    "GraphError",
    "JobCancelled",
    "JobFailed",
    "KeyedState",
    "LateError",
    "MisconfiguredError",
    "MissingExtra",
    "Operator",
    "Origin",
    "Outcome",
    "QueryError",
    "QueryTimeout",
    "Read",
    "Rejected",
    "Retry",
    "Row",
    "SettingError",
    "Sink",
    "Source",
    "State",
    "StateDamaged",
    "StateError",
    "StateLost",
    "StateMismatch",
    "StateUnavailable",
    "Stream",
    "TableMissing",
    "ThalwegError",
    "Trigger",
    "UnavailableError",
    "jobs",
    "setting",
]
