"""`sweep_summaries`: one record for each sweep and probe, of what came of all targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from ....runtime.contracts import Context, DataError, KeyedState, Operator, dataclass
from ..probes.probe_result import OUTCOMES, ProbeResult
from .sweep_summary import Standing, SweepSummary, standing_of

__all__ = ["SweepSummaries", "sweep_summaries"]


@dataclass(slots=True)
class _OpenSweep:
    """What is known of a sweep that is not complete."""

    of: int
    began: float | None = None
    standings: dict[tuple[str, str], Standing] = field(
        default_factory=dict[tuple[str, str], Standing]
    )
    """By probe and target."""
    ended: dict[str, float] = field(default_factory=dict[str, float])
    """By probe, when its last answer came."""


class SweepSummaries(Operator[ProbeResult, SweepSummary]):
    """The operator that `sweep_summaries` makes; see there."""

    def __init__(self, open_sweeps: int) -> None:
        if not isinstance(open_sweeps, int) or open_sweeps < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"open_sweeps is 1 or more, not {open_sweeps!r}")
        self._most = open_sweeps
        self._sweeps: KeyedState[int, _OpenSweep] = KeyedState()

    async def open(self, context: Context) -> None:
        """Begin with no sweep."""
        self._closed = -1

    def process(self, record: ProbeResult) -> Iterable[SweepSummary]:
        """Count a result; what is complete by it."""
        sweep, of = record["sweep"], record["of"]
        place, outcome = (record["probe"], record["target"]), record["outcome"]
        began = record["started"]
        ended = began + record["elapsed_here"]
        if outcome not in OUTCOMES:
            raise DataError(f"there is no outcome {outcome!r}")
        known = self._sweeps.get(sweep)
        if known is None:
            if sweep <= self._closed:
                raise DataError(
                    f"{place[1]!r} comes after sweep {sweep} was closed: {self._most} later ones "
                    "had begun meanwhile"
                )
            known = _OpenSweep(of)
        known.of = of
        known.standings[place] = standing_of(outcome)
        if outcome != "interrupted":
            # What was cut off has no time of its own.
            known.began = began if known.began is None else min(known.began, began)
            known.ended[place[0]] = max(ended, known.ended.get(place[0], ended))
        self._sweeps[sweep] = known
        if len(known.standings) >= of:
            del self._sweeps[sweep]
            return _summaries(sweep, known)
        if len(self._sweeps) > self._most:
            return self._close_oldest()
        return ()

    def _close_oldest(self) -> list[SweepSummary]:
        oldest = min(self._sweeps)
        known = self._sweeps.pop(oldest)
        self._closed = max(self._closed, oldest)
        return _summaries(oldest, known)

    def on_end(self) -> Iterable[SweepSummary]:
        """What is known of the sweeps that are not complete, the earliest first."""
        return [
            summary
            for sweep in sorted(self._sweeps)
            for summary in _summaries(sweep, self._sweeps[sweep])
        ]

    def snapshot(self) -> bytes:
        """The last sweep that was closed before it was complete."""
        return str(self._closed).encode()

    def restore(self, data: bytes) -> None:
        """Go on from there."""
        self._closed = int(data)


def sweep_summaries(*, open_sweeps: int = 16) -> SweepSummaries:
    """One record for each sweep and probe: which targets were ok, failed and unavailable.

    >>> operator = sweep_summaries()

    Parameters: `open_sweeps`, the sweeps that may be open at once (16): where a further one begins,
    the earliest is closed with what is known of it.

    It takes results of probes, in any order, and makes a `SweepSummary` of them, with the names
    of each kind sorted. What a result counts as: ok if the probe ran and returned, whatever its
    exit status; unavailable if the target is unreachable or refuses; failed otherwise. A target
    that is answered for twice counts once, by the later result.

    Raises ValueError for `open_sweeps` below 1.

    - Emits when: as many results of a sweep have come as it has in all, for each of its probes;
      and when a sweep is closed, or the input ends, for what is known.
    - Waits when: the next channel is full.
    - Ends when: its input does.
    - Order: that in which sweeps are complete; of one sweep, probes by name.
    - State: the sweeps that are open, saved with each epoch.
    - On error: what is no result becomes a dead letter, and so does one of a sweep that was closed.
    """
    return SweepSummaries(open_sweeps)


def _summaries(sweep: int, known: _OpenSweep) -> list[SweepSummary]:
    made: dict[str, SweepSummary] = {}
    for (probe, target), standing in sorted(known.standings.items()):
        summary = made.get(probe)
        if summary is None:
            ended = known.ended.get(probe)
            seconds = 0.0 if ended is None or known.began is None else ended - known.began
            summary = made[probe] = SweepSummary(
                sweep=sweep,
                probe=probe,
                seconds=round(max(0.0, seconds), 3),
                ok=[],
                failed=[],
                unavailable=[],
            )
        summary[standing].append(target)
    return list(made.values())
