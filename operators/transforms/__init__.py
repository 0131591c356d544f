"""Transforms: what stands between sources and sinks."""

from __future__ import annotations

from .aggregate import aggregate as aggregate
from .fold import fold as fold
from .score import Field as Field
from .score import Prediction as Prediction
from .score import score as score
from .wml_online_scoring import wml_online_scoring as wml_online_scoring

__all__ = ["Field", "Prediction", "aggregate", "fold", "score", "wml_online_scoring"]
