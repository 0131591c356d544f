"""Transforms: what stands between sources and sinks."""

from __future__ import annotations

from .score import Field as Field
from .score import Prediction as Prediction
from .score import score as score

__all__ = ["Field", "Prediction", "score"]
