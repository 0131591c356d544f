"""Stores: where the epochs of a job are kept. The kinds of them are imported where one is used."""

from __future__ import annotations

from .store import Checkpoint as Checkpoint
from .store import Held as Held
from .store import Saved as Saved
from .store import SavedEpoch as SavedEpoch
from .store import Segment as Segment
from .store import Store as Store

__all__ = ["Checkpoint", "Held", "Saved", "SavedEpoch", "Segment", "Store"]
