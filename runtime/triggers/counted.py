"""What the actors of a job had done at one moment, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ..actors import Actor, SourceActor
from ..contracts import ColumnOperator
from ..dataclass import dataclass
from ..memory import Kept
from ..seen_times import SeenTimes

__all__ = ["Counted", "counted", "watch_times"]


@dataclass(frozen=True, slots=True)
class Counted:
    """What one actor had done so far: of a source, a sink, or an operator with keyed memory.

    `times` is what its event times have been since they were last asked for.
    """

    read: int = 0
    settled: int = 0
    reached: Mapping[str, int] = field(default_factory=dict[str, int])
    written: int = 0
    late: int = 0
    kept: Kept | None = None
    watermark: float | None = None
    times: SeenTimes | None = None


def counted(actor: Actor) -> Counted:
    """What an actor has done by now. Safe from any thread."""
    last = actor.each[-1]
    written = last.records_out if last.kind == "sink" else 0
    if isinstance(actor, SourceActor):
        # What has arrived is read first: it must not seem more than what was read.
        settled = actor.settled_records
        return Counted(
            actor.read_records, settled, reached=actor.reached, written=written, late=last.late
        )
    lanes = actor.lanes
    if lanes is not None:
        told, seen = lanes.told(), lanes.seen
        if seen is not None:
            lanes.seen = SeenTimes()
        return Counted(
            late=last.late,
            watermark=None if told is None else told.at,
            times=seen,
        )
    work = actor.nodes[-1].work
    watermark = work.watermark if isinstance(work, ColumnOperator) else None
    return Counted(written=written, late=last.late, kept=actor.kept, watermark=watermark)


def watch_times(actor: Actor) -> None:
    """From now on, note what the event times are: somebody looks."""
    lanes = actor.lanes
    if lanes is not None and lanes.seen is None:
        lanes.seen = SeenTimes()
