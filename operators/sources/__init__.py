"""Sources: where records come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...runtime.contracts import offer_lazily

if TYPE_CHECKING:
    from ..fleet.sweeps.sweeps import Sweeps as Sweeps
    from .csv_records import CsvRecords as CsvRecords
    from .csv_records import csv_records as csv_records
    from .files import Files as Files
    from .files import files as files
    from .generate import Generate as Generate
    from .generate import generate as generate
    from .lines import TextLines as TextLines
    from .lines import lines as lines
    from .ndjson_records import NdjsonRecords as NdjsonRecords
    from .ndjson_records import ndjson_records as ndjson_records
    from .postgresql_table import PostgresqlTable as PostgresqlTable
    from .postgresql_table import postgresql_table as postgresql_table
    from .push import Delivery as Delivery
    from .push import DeliveryLost as DeliveryLost
    from .push import Push as Push
    from .push import PushClosed as PushClosed
    from .push import push as push
    from .records import Records as Records
    from .records import records as records
    from .sql_query import SqlQuery as SqlQuery
    from .sql_query import sql_query as sql_query
    from .sqlite_table import SqliteTable as SqliteTable
    from .sqlite_table import sqlite_table as sqlite_table
    from .ssh_probe import ssh_probe as ssh_probe

__all__ = [
    "CsvRecords",
    "Delivery",
    "DeliveryLost",
    "Files",
    "Generate",
    "NdjsonRecords",
    "PostgresqlTable",
    "Push",
    "PushClosed",
    "Records",
    "SqlQuery",
    "SqliteTable",
    "Sweeps",
    "TextLines",
    "csv_records",
    "files",
    "generate",
    "lines",
    "ndjson_records",
    "postgresql_table",
    "push",
    "records",
    "sql_query",
    "sqlite_table",
    "ssh_probe",
]

_PLACES = {
    "CsvRecords": ".csv_records",
    "Delivery": ".push",
    "DeliveryLost": ".push",
    "Files": ".files",
    "Generate": ".generate",
    "NdjsonRecords": ".ndjson_records",
    "PostgresqlTable": ".postgresql_table",
    "Push": ".push",
    "PushClosed": ".push",
    "Records": ".records",
    "SqlQuery": ".sql_query",
    "SqliteTable": ".sqlite_table",
    "Sweeps": "..fleet.sweeps.sweeps",
    "TextLines": ".lines",
}
"""Where a name is that is not in the file of its own name."""

offer_lazily(__name__, __all__, _PLACES)
