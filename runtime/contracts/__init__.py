"""The contracts between the engine and everything that runs in it.

Read this, and the file of the contract that you need, before you write an operator: it imports
nothing else of the runtime. Operators are passive: records in, records out. They hold no queue, no
task, no clock and no sequence number, so they cannot break order, lose a record or forget a metric.
There are five:

- `Source` reads records, `Sink` writes them;
- a function of a record is any callable and needs no contract; a function of a batch that has
  something to open (a connection, a model) is a `BatchFunction`;
- `Operator` works one record at a time, and may remember; `ColumnOperator` works on many rows at
  once, which stand in columns.

An object in a graph is a prototype: each job gets a shallow copy of it, so create what changes in
`open`, not in `__init__`. `open` is awaited once before the first record, `close` once after the
last, also after an error, and never without `open` having begun.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..bookmarks import Bookmark
from ..columns import Columns, Late, Row, Unread, arrow
from ..context import Context, Fence
from ..counters import Counter
from ..dataclass import dataclass
from ..dead_letters import Cause, DeadLetter
from ..did_you_mean import did_you_mean, nearest
from ..durations import Duration, in_seconds
from ..endpoint_statistics import EndpointStatistics
from ..errors import (
    BusyError,
    DataError,
    LateError,
    MisconfiguredError,
    MissingExtra,
    QueryError,
    StateLost,
    StateMismatch,
    TableMissing,
    ThalwegError,
    UnavailableError,
)
from ..lazily import offer_lazily
from ..origins import Origin
from ..outcome import Outcome
from ..reads import Read, Rejected
from ..retry import Retry, WhenDown, WhenMisconfigured
from ..signals import Barrier, End, Trigger, Watermark
from ..state import KeyedState
from ..tables.change import Change, TableMode
from ..tables.results import Results
from ..trail import Attempt
from ..tuning.objective import Throughput
from .batch_function import BatchFunction
from .column_operator import ColumnOperator
from .operator import Operator
from .sink import Sink
from .source import Source

if TYPE_CHECKING:
    # Only the types: a stream stands on the contracts itself, and tables are for few.
    from ..stream import Stream as Stream
    from ..tables.tables import Table as Table
    from ..tables.tables import Tables as Tables

__all__ = [
    "Attempt", "Barrier", "BatchFunction", "Bookmark", "BusyError", "Cause", "Change",
    "ColumnOperator", "Columns", "Context", "Counter", "DataError", "DeadLetter", "Duration", "End",
    "EndpointStatistics", "Fence", "KeyedState", "Late", "LateError", "MisconfiguredError",
    "MissingExtra", "Operator", "Origin", "Outcome", "QueryError", "Read", "Rejected", "Results",
    "Retry", "Row", "Sink", "Source", "StateLost", "StateMismatch", "TableMissing", "TableMode",
    "ThalwegError", "Throughput", "Trigger", "UnavailableError", "Unread", "Watermark", "WhenDown",
    "WhenMisconfigured", "arrow", "dataclass", "did_you_mean", "in_seconds", "nearest",
    "offer_lazily",
]  # fmt: skip
