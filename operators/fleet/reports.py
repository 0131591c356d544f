"""`reports`: a mail from time to time about what the sweeps have found."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from ...runtime.contracts import Context, Duration, KeyedState, Operator, dataclass, in_seconds
from .sweeps.sweep_summary import SweepSummary

if TYPE_CHECKING:
    from ..sinks._mails import Attachment, Mail

__all__ = ["Reports", "reports"]

_WORST = 20
"""Machines that are named."""


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the sweeps of one probe have come to since the last report."""

    sweeps: int = 0
    first: int = 0
    last: int = 0
    ok: int = 0
    failed: int = 0
    unavailable: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class Reports(Operator[SweepSummary, "Mail"]):
    """The operator that `reports` makes; see there."""

    clock = "processing"

    def __init__(
        self, experiment: str, every: Duration, traces: str | os.PathLike[str] | None
    ) -> None:
        self._every = in_seconds(every, "every")
        if self._every <= 0:
            raise ValueError(f"every is a length of time above 0, not {every!r}")
        self._experiment = experiment
        self._traces = None if traces is None else os.path.abspath(traces)
        self._sums: KeyedState[str, _Sums] = KeyedState()
        self._targets: KeyedState[tuple[str, str], tuple[int, int, int]] = KeyedState()
        """By probe and target: how often it was ok, failed and unavailable."""

    async def open(self, context: Context) -> None:
        """The first report is due so long after the first sweep."""
        self._due: float | None = None

    def process(self, record: SweepSummary) -> Iterable[Mail]:
        """Never called: `process_at` is."""
        raise TypeError("reports go by the clock")

    def process_at(self, record: SweepSummary, at: float) -> Iterable[Mail]:
        """Add a sweep."""
        probe, sweep, seconds = record["probe"], record["sweep"], record["seconds"]
        kinds = (record["ok"], record["failed"], record["unavailable"])
        ok, failed, unavailable = map(len, kinds)
        before = self._sums.get(probe) or _Sums(first=sweep)
        self._sums[probe] = replace(
            before,
            sweeps=before.sweeps + 1,
            first=min(before.first, sweep),
            last=max(before.last, sweep),
            ok=before.ok + ok,
            failed=before.failed + failed,
            unavailable=before.unavailable + unavailable,
            seconds=before.seconds + seconds,
            longest=max(before.longest, seconds),
        )
        for place, names in enumerate(kinds):
            for name in names:
                counts = list(self._targets.get((probe, name), (0, 0, 0)))
                counts[place] += 1
                self._targets[probe, name] = (counts[0], counts[1], counts[2])
        if self._due is None:
            self._due = at + self._every
        return ()

    def wake_at(self) -> float | None:
        """When the next report is due."""
        return self._due

    def on_wake(self, now: float) -> Iterable[Mail]:
        """Tell of the sweeps since the last time; also that there were none."""
        if self._due is None or now < self._due:
            return ()
        # Not from now on: a report that comes late does not move those after it.
        missed = int((now - self._due) / self._every)
        self._due += (1 + missed) * self._every
        return (self._report(),)

    def on_end(self) -> Iterable[Mail]:
        """The last report, of what was not told yet."""
        return (self._report(),) if self._sums else ()

    def _report(self) -> Mail:
        from ..sinks._mails import Mail

        probes = sorted(self._sums)
        if not probes:
            return Mail(
                f"{self._experiment}: no sweep has ended",
                "No sweep has ended since the last report: see whether the prober runs.",
            )
        text = "\n\n".join(self._paragraph(probe) for probe in probes)
        sweeps = max(self._sums[probe].sweeps for probe in probes)
        sums = [self._sums[probe] for probe in probes]
        attempts = sum(each.ok + each.failed + each.unavailable for each in sums)
        percent = 100.0 * sum(each.ok for each in sums) / max(1, attempts)
        subject = f"{self._experiment}: {_sweeps(sweeps)}, {percent:.1f} % ok"
        mail = Mail(subject, text, tuple(self._trace(probe) for probe in probes if self._traces))
        for probe in probes:
            del self._sums[probe]
        for place in list(self._targets):
            del self._targets[place]
        return mail

    def _paragraph(self, probe: str) -> str:
        sums = self._sums[probe]
        attempts = sums.ok + sums.failed + sums.unavailable
        lines = [
            f"{probe}: {_sweeps(sums.sweeps)}, from {_when(sums.first)} to {_when(sums.last)}",
            f"  {attempts} attempts: {sums.ok} ok, {sums.failed} failed, "
            f"{sums.unavailable} unavailable",
            f"  a sweep took {sums.seconds / sums.sweeps:.1f} s, {sums.longest:.1f} s at most",
        ]
        found = {name: counts for (each, name), counts in self._targets.items() if each == probe}
        failing = sorted(found, key=lambda name: (-found[name][1], name))
        lines += _named(
            "failed most often",
            [f"{name} ({found[name][1]})" for name in failing if found[name][1]],
        )
        lines += _named(
            "never there",
            sorted(name for name, counts in found.items() if not counts[0] and not counts[1]),
        )
        return "\n".join(lines)

    def _trace(self, probe: str) -> Attachment:
        from ..sinks._mails import Attachment
        from ..sinks._safe_name import safe_name

        assert self._traces is not None
        name = f"{safe_name(probe)}.trace"
        return Attachment(name, Path(self._traces, name))

    def snapshot(self) -> bytes:
        """When the next report is due."""
        return orjson.dumps(self._due)

    def restore(self, data: bytes) -> None:
        """Go on from there."""
        self._due = orjson.loads(data)


def reports(
    experiment: str = "fleet",
    *,
    every: Duration = "1d",
    traces: str | os.PathLike[str] | None = None,
) -> Reports:
    """A mail from time to time about what the sweeps have found, with the trace attached.

    >>> operator = reports("lab", every="1d", traces="out/experiment")

    Parameters:

    - `experiment`: how the subject begins ("fleet").
    - `every`: the time from one report to the next, counted from the first sweep (1d).
    - `traces`: the folder into which `sinks.sweep_trace` writes; the trace of each probe is then
      attached, compressed, as it is when the mail goes out (none).

    It takes what `sweep_summaries` makes, and makes `Mail`s for `sinks.mail`: for each probe how
    many sweeps there were, what the attempts came to, how long they took, which machines failed
    most often, and which were never there. Where no sweep has ended, the report says that.

    Raises ValueError for an `every` that makes no sense.

    - Emits when: `every` has passed; and when the input ends, for what was not told.
    - Waits when: the next channel is full.
    - Ends when: its input does.
    - Order: that in time.
    - State: the sums since the last report, saved with each epoch. Of several reports that were
      due while the job stood still there is one.
    - On error: what is no summary of a sweep becomes a dead letter.
    """
    return Reports(experiment, every, traces)


def _named(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _WORST} more" if len(names) > _WORST else ""
    shown = ", ".join(names[:_WORST])
    return ["".join(c if c.isprintable() else " " for c in f"  {what}: {shown}{more}")]


def _sweeps(count: int) -> str:
    return f"{count} sweep{'' if count == 1 else 's'}"


def _when(sweep: int) -> str:
    return datetime.fromtimestamp(sweep, UTC).strftime("%Y-%m-%d %H:%M")
