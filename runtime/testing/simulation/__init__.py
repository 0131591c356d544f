"""Simulations: a graph with faults, compared with its run without."""

from __future__ import annotations

from .broker import BrokerSource as BrokerSource
from .broker import broker as broker
from .faults import FAULTS as FAULTS
from .faults import Happened as Happened
from .loop import OutOfReach as OutOfReach
from .report import Report as Report
from .simulate import simulate as simulate

__all__ = [
    "FAULTS",
    "BrokerSource",
    "Happened",
    "OutOfReach",
    "Report",
    "broker",
    "simulate",
]
