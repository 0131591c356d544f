"""`alerts`: mails about machines that need a person, and no others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import orjson

from ...runtime.contracts import (
    Context,
    DataError,
    Duration,
    KeyedState,
    Operator,
    dataclass,
    in_seconds,
)
from .probes.probe_result import OUTCOMES, ProbeOutcome, ProbeResult

if TYPE_CHECKING:
    from ..sinks._mails import Mail

__all__ = ["TROUBLES", "Alerts", "alerts"]

TROUBLES: tuple[ProbeOutcome, ...] = (
    "exit",
    "timeout",
    "refused",
    "busy",
    "authentication",
    "host_key_unknown",
    "host_key_changed",
    "lost",
    "unsupported",
    "parse_error",
)
"""What a person is told of unless said otherwise: not that a machine is switched off."""

_WELL = "ok"
_NAMES = 50
"""Machines that are named in one paragraph."""
_DETAIL = 300


@dataclass(frozen=True, slots=True)
class _State:
    """How a target stands with a probe: what holds, what was told, what is seen and how often."""

    holds: str = _WELL
    told: str = _WELL
    seen: str = _WELL
    times: int = 0
    detail: str = ""


class Alerts(Operator[ProbeResult, "Mail"]):
    """The operator that `alerts` makes; see there."""

    clock = "processing"

    def __init__(
        self,
        experiment: str,
        after: int,
        gather: Duration,
        every: Duration,
        troubles: Collection[ProbeOutcome],
    ) -> None:
        if not isinstance(after, int) or after < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"after is a number of results, 1 or more, not {after!r}")
        for outcome in troubles:
            if outcome not in OUTCOMES or outcome in (_WELL, "interrupted"):
                raise ValueError(f"troubles are outcomes that are not ok, and {outcome!r} is none")
        self._experiment = experiment
        self._after = after
        self._gather = in_seconds(gather, "gather")
        self._every = in_seconds(every, "every")
        self._troubles = frozenset(troubles)
        self._states: KeyedState[tuple[str, str], _State] = KeyedState()
        self._pending: KeyedState[tuple[str, str], str] = KeyedState()
        """Those of which something else holds than was told, and what that was."""

    async def open(self, context: Context) -> None:
        """Nothing was told yet."""
        self._due: float | None = None
        self._free = 0.0
        """From when on a mail may go again."""

    def process(self, record: ProbeResult) -> Iterable[Mail]:
        """Never called: `process_at` is."""
        raise TypeError("alerts go by the clock")

    def process_at(self, record: ProbeResult, at: float) -> Iterable[Mail]:
        """Note how the target stands now."""
        place, outcome = (record["probe"], record["target"]), record["outcome"]
        detail = record["detail"]
        if outcome not in OUTCOMES:
            raise DataError(f"there is no outcome {outcome!r}")
        if outcome != _WELL and outcome not in self._troubles:
            return ()
        before = self._states.get(place) or _State()
        if outcome == before.seen:
            if before.holds == outcome:
                return ()  # As it was: the most there is.
            times = before.times + 1
        else:
            times = 1
        holds = outcome if times >= self._after else before.holds
        self._states[place] = _State(holds, before.told, outcome, times, detail[:_DETAIL])
        if holds != before.told:
            self._pending[place] = holds
            if self._due is None:
                self._due = max(at + self._gather, self._free)
        elif place in self._pending:
            # It came and went before anybody was told.
            del self._pending[place]
            if not self._pending:
                self._due = None
        return ()

    def wake_at(self) -> float | None:
        """When the next mail is due."""
        return self._due

    def on_wake(self, now: float) -> Iterable[Mail]:
        """Tell what is to be told, in one mail."""
        if self._due is None or now < self._due:
            return ()
        return self._digest(now)

    def on_end(self) -> Iterable[Mail]:
        """What is to be told is told."""
        return self._digest(self._free)

    def _digest(self, now: float) -> list[Mail]:
        from ..sinks._mails import Mail

        self._due, self._free = None, now + self._every
        groups: dict[tuple[str, str], dict[str, _State]] = {}
        for (probe, target), holds in sorted(self._pending.items()):
            state = self._states[probe, target]
            groups.setdefault((holds, probe), {})[target] = state
            self._states[probe, target] = _State(
                state.holds, holds, state.seen, state.times, state.detail
            )
        for place in list(self._pending):
            del self._pending[place]
        if not groups:
            return []
        bad = {name for (holds, _), found in groups.items() if holds != _WELL for name in found}
        well = {name for (holds, _), found in groups.items() if holds == _WELL for name in found}
        told: list[str] = []
        if bad:
            told.append(f"{len(bad)} {'machines need' if len(bad) > 1 else 'machine needs'} a look")
        if well:
            told.append(f"{len(well)} well again")
        # What is well again stands last.
        order = sorted(groups, key=lambda group: (group[0] == _WELL, group))
        text = "\n\n".join(_paragraph(*group, groups[group]) for group in order)
        return [Mail(f"{self._experiment}: {', '.join(told)}", text)]

    def snapshot(self) -> bytes:
        """When the next mail is due, and from when on one may go."""
        return orjson.dumps([self._due, self._free])

    def restore(self, data: bytes) -> None:
        """Go on from there."""
        self._due, self._free = orjson.loads(data)


def alerts(
    experiment: str = "fleet",
    *,
    after: int = 3,
    gather: Duration = "1min",
    every: Duration = "1h",
    troubles: Collection[ProbeOutcome] = TROUBLES,
) -> Alerts:
    """Mails about machines that need a person: a state that has changed, and stays so.

    >>> operator = alerts("lab", after=3, every="1h")

    Parameters:

    - `experiment`: how the subject begins ("fleet").
    - `after`: results of one kind in a row before a target counts as in trouble with a probe, or as
      well again (3); so one that comes and goes is not told of.
    - `gather`: how long the first change waits for others, to be told of in one mail (1min).
    - `every`: the shortest time from one mail to the next (1h); what changes meanwhile waits, and
      what is as it was before by then is not told of.
    - `troubles`: the outcomes that need a person (all that are not ok, except `unreachable`,
      `exclusive` and `interrupted`). Other outcomes say nothing, neither that a target is in
      trouble nor that it is well. For machines that are never to be switched off, add
      `"unreachable"`.

    It takes results of probes and makes `Mail`s for `sinks.mail`. Each names what changed, by kind
    and probe, with the machines and what the first of them said.

    Raises ValueError for options that make no sense.

    - Emits when: something has changed, `gather` has passed since, and `every` since the last mail;
      and, of what is still to be told, when the input ends.
    - Waits when: the next channel is full.
    - Ends when: its input does.
    - Order: that in time.
    - State: how each target stands, what was told of it, and when a mail may go next, saved with
      each epoch.
    - On error: what is no result becomes a dead letter.
    """
    return Alerts(experiment, after, gather, every, troubles)


def _paragraph(holds: str, probe: str, found: Mapping[str, _State]) -> str:
    names = list(found)
    shown = ", ".join(names[:_NAMES])
    if len(names) > _NAMES:
        shown += f" and {len(names) - _NAMES} more"
    if holds == _WELL:
        return _printable(f"{probe}: well again ({len(names)}): {shown}")
    detail = found[names[0]].detail
    what = f"{probe}: {holds} ({len(names)}): {shown}"
    return _printable(what) + (
        f"\n    {_printable(names[0])}: {_printable(detail)}" if detail else ""
    )


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
