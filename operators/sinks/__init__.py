"""Sinks: where records go."""

from __future__ import annotations

from .collect import Collect as Collect
from .collect import collect as collect
from .each import Each as Each
from .each import each as each
from .ndjson import Ndjson as Ndjson
from .ndjson import WriteFailed as WriteFailed
from .ndjson import ndjson as ndjson

__all__ = ["Collect", "Each", "Ndjson", "WriteFailed", "collect", "each", "ndjson"]
