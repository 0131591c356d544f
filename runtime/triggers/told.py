"""From what actors had done before and after a trigger to the report of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ..actors import Actor, SourceActor
from ..dataclass import dataclass, replace
from .counted import Counted
from .report import Offset, SinkReport, SourceReport, StateReport, TriggerReport

__all__ = ["Span", "told"]

_NOTHING = Counted()


@dataclass(frozen=True, slots=True)
class Span:
    """One trigger in time: its number, when it began by the monotonic clock, and seconds.

    `reading` are those in which its records were read, `working` those since the trigger before it
    was done, `steps` those of each step.
    """

    number: int
    began: float
    reading: float
    working: float
    steps: Mapping[str, float]


def told(
    actors: Sequence[Actor],
    before: Mapping[str, Counted],
    after: Mapping[str, Counted],
    span: Span,
    *,
    at: float,
    names: tuple[str, str, str],
    store: bool,
) -> TriggerReport:
    """The report of a trigger that began `at` this wall time; `names` are id, run id and name."""
    sources: list[SourceReport] = []
    states: list[StateReport] = []
    sinks: list[SinkReport] = []
    times: list[Counted] = []
    arrived = 0
    for actor in actors:
        was, now = before.get(actor.name, _NOTHING), after.get(actor.name, _NOTHING)
        if isinstance(actor, SourceActor):
            rows = now.read - was.read
            # An epoch holds what has arrived everywhere, and nothing else.
            settled = rows if store else now.settled - was.settled
            arrived += settled
            sources.append(_source(actor, was, now, span, settled))
        if actor.each[-1].kind == "sink":
            rows = now.written - was.written
            sinks.append({"description": _described(actor), "numOutputRows": rows})
        if now.kept is not None:
            states.append(_state(actor.name, was, now, store=store))
        if now.watermark is not None or now.times is not None:
            # One that has ended before tells again what it told then: its times are not new.
            times.append(now if now is not was else replace(now, times=None))
    read = sum(source["numInputRows"] for source in sources)
    identity, run, name = names
    report: TriggerReport = {
        "id": identity,
        "runId": run,
        "name": name,
        "timestamp": _wall(at),
        "batchId": span.number,
        "batchDuration": _milliseconds(span.steps["triggerExecution"]),
        "numInputRows": read,
        "inputRowsPerSecond": _rate(read, span.reading),
        "processedRowsPerSecond": _rate(arrived, span.working),
        "durationMs": {step: _milliseconds(seconds) for step, seconds in span.steps.items()},
        "stateOperators": states,
        "sources": sources,
        "sink": {
            "description": ", ".join(one["description"] for one in sinks),
            "numOutputRows": sum(one["numOutputRows"] for one in sinks),
        },
        "sinks": sinks,
    }
    if event_time := _event_time(times):
        report["eventTime"] = event_time
    return report


def _source(
    actor: SourceActor, was: Counted, now: Counted, span: Span, settled: int
) -> SourceReport:
    rows = now.read - was.read
    start, end = _offsets(was.reached, now.reached)
    return {
        "description": _described(actor),
        "startOffset": start,
        "endOffset": end,
        "numInputRows": rows,
        "inputRowsPerSecond": _rate(rows, span.reading),
        "processedRowsPerSecond": _rate(settled, span.working),
    }


def _offsets(was: Mapping[str, int], now: Mapping[str, int]) -> tuple[Offset, Offset]:
    """Where each lane stood before and after; of several only those that went on."""
    if not now:
        return None, None
    if set(now) == {""}:
        return was.get(""), now[""]
    moved = {lane: last for lane, last in now.items() if was.get(lane) != last}
    return {lane: was[lane] for lane in moved if lane in was}, moved


def _state(name: str, was: Counted, now: Counted, *, store: bool) -> StateReport:
    assert now.kept is not None
    report: StateReport = {
        "operatorName": name,
        "numRowsTotal": now.kept.keys,
        "numRowsDroppedByWatermark": now.late - was.late,
    }
    if store:
        report["numRowsUpdated"] = now.kept.changed if now is not was else 0
        report["numRowsRemoved"] = now.kept.removed if now is not was else 0
    return report


def _event_time(counts: Sequence[Counted]) -> dict[str, str]:
    """The times of all that has one; the least watermark, since that is what holds up the rest."""
    seen = [one.times for one in counts if one.times is not None and one.times.count]
    report: dict[str, str] = {}
    if seen:
        total = sum(times.count for times in seen)
        report["avg"] = _wall(sum(times.mean * times.count for times in seen) / total)
        report["max"] = _wall(max(times.greatest for times in seen))
        report["min"] = _wall(min(times.least for times in seen))
    marks = [one.watermark for one in counts if one.watermark is not None]
    if marks:
        report["watermark"] = _wall(min(marks))
    return report


def _described(actor: Actor) -> str:
    """The kind of a source or a sink, with the name of its node."""
    node = actor.nodes[-1]
    kind = type(node.work).__name__.lstrip("_")
    return f"{kind}[{node.name}]"


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _rate(count: int, seconds: float) -> float:
    """Records a second; 0 where no time has passed, since JSON has no infinity."""
    return round(count / seconds, 3) if seconds > 0 else 0.0


def _wall(seconds: float) -> str:
    """A time as Spark writes it; the end of the calendar where it lies beyond."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return "9999-12-31T23:59:59.999Z" if seconds > 0 else "0001-01-01T00:00:00.000Z"
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
