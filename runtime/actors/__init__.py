"""The actors: one file for each shape."""

from __future__ import annotations

from ..plan import PlannedActor
from .actor import Actor
from .call_actor import CallActor
from .chain_actor import ChainActor
from .column_actor import ColumnActor
from .column_time_actor import ColumnTimeActor
from .event_time_actor import EventTimeActor
from .operator_actor import OperatorActor
from .regroup_actor import RegroupActor
from .sink_actor import SinkActor
from .source_actor import SourceActor
from .split_actor import SplitActor
from .surroundings import Surroundings

__all__ = [
    "Actor",
    "CallActor",
    "EventTimeActor",
    "OperatorActor",
    "RegroupActor",
    "SinkActor",
    "SourceActor",
    "Surroundings",
    "make_actor",
]


def make_actor(planned: PlannedActor, around: Surroundings) -> Actor:
    """The actor that a plan asks for."""
    name, nodes = planned.name, planned.nodes
    match planned.shape:
        case "source":
            return SourceActor(name, nodes, around)
        case "chain":
            return ChainActor(name, nodes, around, exact=planned.exact)
        case "event_time":
            return EventTimeActor(name, nodes, around)
        case "column_time":
            return ColumnTimeActor(name, nodes, around)
        case "split":
            return SplitActor(name, nodes, around)
        case "batch":
            return RegroupActor(name, nodes, around, columns=planned.columns and not planned.makes)
        case "columns":
            return ColumnActor(name, nodes, around, remembers=planned.remembers)
        case "operator":
            return OperatorActor(name, nodes, around, remembers=planned.remembers)
        case "sink":
            return SinkActor(name, nodes, around)
        case _:
            return CallActor(name, nodes, around)
