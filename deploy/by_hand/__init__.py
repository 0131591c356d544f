"""A model asked by hand: what `thalweg score` and `thalweg check` do."""

from __future__ import annotations
