"""Settings searched for against a live endpoint: what `thalweg tune` does."""

from __future__ import annotations
