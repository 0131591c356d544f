"""Sinks: where records go."""

from __future__ import annotations

from .collect import Collect as Collect
from .collect import collect as collect
from .each import Each as Each
from .each import KeyedEach as KeyedEach
from .each import each as each
from .ndjson import Ndjson as Ndjson
from .ndjson import WriteFailed as WriteFailed
from .ndjson import ndjson as ndjson
from .parquet import Parquet as Parquet
from .parquet import parquet as parquet
from .postgresql import Postgresql as Postgresql
from .postgresql import postgresql as postgresql
from .sqlite import Sqlite as Sqlite
from .sqlite import sqlite as sqlite
from .table import TableSink as TableSink
from .table import table as table

__all__ = [
    "Collect",
    "Each",
    "KeyedEach",
    "Ndjson",
    "Parquet",
    "Postgresql",
    "Sqlite",
    "TableSink",
    "WriteFailed",
    "collect",
    "each",
    "ndjson",
    "parquet",
    "postgresql",
    "sqlite",
    "table",
]
