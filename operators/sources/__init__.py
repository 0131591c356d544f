"""Sources: where records come from."""

from __future__ import annotations

from .csv_records import CsvRecords as CsvRecords
from .csv_records import csv_records as csv_records
from .generate import Generate as Generate
from .generate import generate as generate
from .push import Delivery as Delivery
from .push import DeliveryLost as DeliveryLost
from .push import Push as Push
from .push import PushClosed as PushClosed
from .push import push as push
from .records import Records as Records
from .records import records as records

__all__ = [
    "CsvRecords",
    "Delivery",
    "DeliveryLost",
    "Generate",
    "Push",
    "PushClosed",
    "Records",
    "csv_records",
    "generate",
    "push",
    "records",
]
