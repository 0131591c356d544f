"""What the actors of a job have done, and what they still hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from .actors import Actor, SourceActor
from .channel import Channel
from .errors import JobCancelled
from .progress import EpochProgress, JobState, NodeProgress, Progress

__all__ = ["left_behind", "progress_of"]


def left_behind(graph: str, actors: Sequence[Actor]) -> JobCancelled:
    """The error of a cancelled job: what each actor held, and how far each source got."""
    held = {
        actor.name: actor.holding + (actor.inbox.held() if actor.inbox is not None else 0)
        for actor in actors
    }
    settled: dict[str, int | None] = {}
    left = 0
    for actor in actors:
        if isinstance(actor, SourceActor):
            left += actor.read_records - actor.settled_records
            if not actor.settled_positions:
                settled[actor.name] = None
            for lane, position in actor.settled_positions.items():
                settled[f"{actor.name}[{lane}]" if lane else actor.name] = position
    return JobCancelled(
        f"graph {graph!r} was cancelled with {left:,} records read and not confirmed",
        unprocessed={name: count for name, count in held.items() if count},
        settled=settled,
    )


def _nodes_of(actor: Actor, now: float) -> list[NodeProgress]:
    """The progress of each node of an actor, at this moment of the monotonic clock."""
    counts = actor.counts
    until = counts.ended if counts.ended is not None else now
    lived = until - counts.began if counts.began is not None else 0.0
    # What a sink wrote in the turns of its sender was the sink's work, and no wait.
    own = actor.inbox.lent if isinstance(actor.inbox, Channel) else 0.0
    others = sum(outlet.lent for outlet in (*actor.outlets.values(), *actor.failed.values()))
    for_input = max(0.0, counts.input.seconds(until) - own)
    for_output = counts.output.seconds(until)
    busy = max(0.0, lived - for_input - for_output - counts.rested - others)
    settled: int | None = None
    if isinstance(actor, SourceActor) and actor.settled_positions:
        settled = list(actor.settled_positions.values())[-1]
    return [
        NodeProgress(
            node=one.node,
            kind=one.kind,
            actor=actor.name,
            state=counts.state,
            records_in=one.records_in,
            records_out=one.records_out,
            dead_letters=one.dead_letters,
            late=one.late,
            in_flight=one.in_flight or actor.holding,
            retries=one.retries,
            converted=one.converted,
            seconds_converting=round(one.converting, 6),
            seconds_busy=round(busy, 6),
            seconds_waiting_for_input=round(for_input, 6),
            seconds_waiting_for_output=round(for_output, 6),
            waiting=one.waiting,
            inbox=actor.inbox.statistics() if actor.inbox is not None else None,
            settled=settled,
            cuts=dict(one.cuts),
            calls=actor.calls(),
            endpoints=actor.endpoints(),
        )
        for one in actor.each
    ]


def progress_of(
    actors: Sequence[Actor],
    now: float,
    *,
    job_id: str,
    name: str,
    state: JobState,
    seconds: float,
    epochs: EpochProgress | None,
) -> Progress:
    """The progress of a job with these actors, at this moment of the monotonic clock."""
    sources = [actor for actor in actors if isinstance(actor, SourceActor)]
    nodes = tuple(one for actor in actors for one in _nodes_of(actor, now))
    return Progress(
        id=job_id,
        name=name,
        state=state,
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
        seconds=seconds,
        read=sum(actor.read_records for actor in sources),
        settled=sum(actor.settled_records for actor in sources),
        dead_letters=sum(node.dead_letters for node in nodes),
        nodes=nodes,
        epochs=epochs,
    )
