"""Operators: what reads, changes and writes records. None of them loads a library at import."""

from __future__ import annotations

from . import aggregates as aggregates
from . import endpoints as endpoints
from . import sinks as sinks
from . import sources as sources
from . import windows as windows
from .transforms.aggregate import aggregate as aggregate
from .transforms.fold import fold as fold
from .transforms.score import Field as Field
from .transforms.score import Prediction as Prediction
from .transforms.score import score as score
from .transforms.wml_online_scoring import wml_online_scoring as wml_online_scoring
from .windows.window import window as window

__all__ = [
    "Field",
    "Prediction",
    "aggregate",
    "aggregates",
    "endpoints",
    "fold",
    "score",
    "sinks",
    "sources",
    "window",
    "windows",
    "wml_online_scoring",
]
