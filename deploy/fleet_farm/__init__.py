"""A farm of real SSH servers on this machine, for tests, benches and trials of fleets."""

from __future__ import annotations

from .farm import Farm as Farm
from .farm import FarmError as FarmError
from .machine import Machine as Machine

__all__ = ["Farm", "FarmError", "Machine"]
