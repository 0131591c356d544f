"""The actors: one file for each shape, imported when a plan has one of it."""

from __future__ import annotations

from ..plan import PlannedActor
from .actor import Actor
from .regroup_actor import RegroupActor
from .sink_actor import SinkActor
from .source_actor import SourceActor
from .surroundings import Surroundings

__all__ = [
    "Actor",
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
            from .chain_actor import ChainActor

            return ChainActor(name, nodes, around, exact=planned.exact)
        case "event_time":
            from .event_time_actor import EventTimeActor

            return EventTimeActor(name, nodes, around)
        case "column_time":
            from .column_time_actor import ColumnTimeActor

            return ColumnTimeActor(name, nodes, around)
        case "split":
            from .split_actor import SplitActor

            return SplitActor(name, nodes, around)
        case "batch":
            return RegroupActor(name, nodes, around, columns=planned.columns and not planned.makes)
        case "columns":
            from .column_actor import ColumnActor

            return ColumnActor(name, nodes, around, remembers=planned.remembers)
        case "operator":
            from .operator_actor import OperatorActor

            return OperatorActor(name, nodes, around, remembers=planned.remembers)
        case "sink":
            return SinkActor(name, nodes, around)
        case _:
            from .call_actor import CallActor

            return CallActor(name, nodes, around)
