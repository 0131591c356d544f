"""Operators: what reads, changes and writes records. None of them loads a library at import.

What is named here is loaded when it is first asked for: a graph that scores nothing does without
endpoints, and one without windows without windows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..runtime.contracts import offer_lazily

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
    "aggregate": ".transforms.aggregate",
    "aggregates": ".",
    "as_of_join": ".transforms.as_of_join",
    "cube": ".transforms.group_by",
    "derive": ".transforms.derive",
    "endpoints": ".",
    "fold": ".transforms.fold",
    "group_by": ".transforms.group_by",
    "grouping_sets": ".transforms.group_by",
    "join": ".transforms.join",
    "join_columns": ".transforms.join_columns",
    "join_table": ".transforms.join_table",
    "rollup": ".transforms.group_by",
    "score": ".transforms.score",
    "sinks": ".",
    "sources": ".",
    "where": ".transforms.where",
    "window": ".windows.window",
    "windows": ".",
    "wml_online_scoring": ".transforms.wml_online_scoring",
}
"""Where each name is; "." for a folder."""

offer_lazily(__name__, __all__, _PLACES)
