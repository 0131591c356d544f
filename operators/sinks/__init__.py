"""Sinks: where records go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...runtime.contracts import offer_lazily

if TYPE_CHECKING:
    from ._mails import Attachment as Attachment
    from ._mails import Mail as Mail
    from .collect import Collect as Collect
    from .collect import collect as collect
    from .csv import Csv as Csv
    from .csv import csv as csv
    from .each import Each as Each
    from .each import KeyedEach as KeyedEach
    from .each import each as each
    from .mail import MailSink as MailSink
    from .mail import mail as mail
    from .ndjson import Ndjson as Ndjson
    from .ndjson import WriteFailed as WriteFailed
    from .ndjson import ndjson as ndjson
    from .parquet import Parquet as Parquet
    from .parquet import parquet as parquet
    from .postgresql import Postgresql as Postgresql
    from .postgresql import postgresql as postgresql
    from .probe_logs import ProbeLogs as ProbeLogs
    from .probe_logs import probe_logs as probe_logs
    from .sqlite import Sqlite as Sqlite
    from .sqlite import sqlite as sqlite
    from .sweep_trace import SweepTrace as SweepTrace
    from .sweep_trace import sweep_trace as sweep_trace
    from .table import TableSink as TableSink
    from .table import table as table

__all__ = [
    "Attachment",
    "Collect",
    "Csv",
    "Each",
    "KeyedEach",
    "Mail",
    "MailSink",
    "Ndjson",
    "Parquet",
    "Postgresql",
    "ProbeLogs",
    "Sqlite",
    "SweepTrace",
    "TableSink",
    "WriteFailed",
    "collect",
    "csv",
    "each",
    "mail",
    "ndjson",
    "parquet",
    "postgresql",
    "probe_logs",
    "sqlite",
    "sweep_trace",
    "table",
]

_PLACES = {
    "Attachment": "._mails",
    "Collect": ".collect",
    "Csv": ".csv",
    "Each": ".each",
    "KeyedEach": ".each",
    "Mail": "._mails",
    "MailSink": ".mail",
    "Ndjson": ".ndjson",
    "Parquet": ".parquet",
    "Postgresql": ".postgresql",
    "ProbeLogs": ".probe_logs",
    "Sqlite": ".sqlite",
    "SweepTrace": ".sweep_trace",
    "TableSink": ".table",
    "WriteFailed": ".ndjson",
}
"""Where a name is that is not in the file of its own name."""

offer_lazily(__name__, __all__, _PLACES)
