"""Operators: what reads, changes and writes records. None of them loads a library at import."""

from __future__ import annotations

from . import endpoints as endpoints
from . import sinks as sinks
from . import sources as sources
from .transforms.score import Field as Field
from .transforms.score import Prediction as Prediction
from .transforms.score import score as score

__all__ = ["Field", "Prediction", "endpoints", "score", "sinks", "sources"]
