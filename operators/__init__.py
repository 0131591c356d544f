"""Operators: what reads, changes and writes records. None of them loads a library at import.

What is named here is loaded when it is first asked for: a graph that scores nothing does without
endpoints, and one without windows without windows.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runtime.contracts import Throughput as Throughput
    from . import aggregates as aggregates
    from . import endpoints as endpoints
    from . import sinks as sinks
    from . import sources as sources
    from . import windows as windows
    from .transforms._joined import Joined as Joined
    from .transforms.aggregate import aggregate as aggregate
    from .transforms.as_of_join import as_of_join as as_of_join
    from .transforms.derive import derive as derive
    from .transforms.fold import fold as fold
    from .transforms.group_by import cube as cube
    from .transforms.group_by import group_by as group_by
    from .transforms.group_by import grouping_sets as grouping_sets
    from .transforms.group_by import rollup as rollup
    from .transforms.join import join as join
    from .transforms.join_columns import join_columns as join_columns
    from .transforms.join_table import join_table as join_table
    from .transforms.score import Field as Field
    from .transforms.score import Prediction as Prediction
    from .transforms.score import score as score
    from .transforms.where import where as where
    from .transforms.wml_online_scoring import wml_online_scoring as wml_online_scoring
    from .windows.window import window as window

__all__ = [
    "Field",
    "Joined",
    "Prediction",
    "Throughput",
    "aggregate",
    "aggregates",
    "as_of_join",
    "cube",
    "derive",
    "endpoints",
    "fold",
    "group_by",
    "grouping_sets",
    "join",
    "join_columns",
    "join_table",
    "rollup",
    "score",
    "sinks",
    "sources",
    "where",
    "window",
    "windows",
    "wml_online_scoring",
]

_PLACES = {
    "Field": ".transforms.score",
    "Joined": ".transforms._joined",
    "Prediction": ".transforms.score",
    "Throughput": "..runtime.contracts",
    "cube": ".transforms.group_by",
    "grouping_sets": ".transforms.group_by",
    "rollup": ".transforms.group_by",
    "window": ".windows.window",
}
"""Where a name is that is neither a folder here nor that of its file in `transforms`."""

_FOLDERS = ("aggregates", "endpoints", "sinks", "sources", "windows")

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load what is asked for, once."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in _FOLDERS:
            return importlib.import_module(f".{name}", __name__)
        place = _PLACES.get(name, f".transforms.{name}")
        found = globals()[name] = getattr(importlib.import_module(place, __name__), name)
        return found
