"""`usage_samples`: what each machine does, from one sample to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from ....runtime.contracts import KeyedState, Operator, dataclass
from ..probes.probe_result import ProbeResult
from .usage import DiskWear, Facts, Session, Usage, parse_usage

__all__ = ["InterfaceUse", "UsageSample", "UsageSamples", "usage_samples"]

_LARGEST = 2**63 - 1
"""What a database holds."""
_WRAPS = 2**32
"""Where the counters of some drivers begin anew."""


class InterfaceUse(TypedDict):
    """Bytes through an interface since the machine started, and a second since the last sample."""

    name: str
    received: int
    sent: int
    received_rate: float | None
    sent_rate: float | None


class UsageSample(TypedDict):
    """What one machine does, as one sweep found it. See `usage_samples`.

    `at` is in Unix seconds. `cpu_idle` is the percentage of time without work since the machine
    started, `cpu_idle_between` that since the sample before. Loads are percentages of what is
    there, None where there is no swap. `disk_free` is in bytes. Rates are bytes a second since the
    sample before, over all interfaces; where the machine was started meanwhile, since then; None
    where there is nothing to compare with. `users` counts those who are logged in, None where the
    machine does not tell. `changed` says that the facts are new, or others than before.
    """

    sweep: int
    target: str
    at: float
    booted: int
    uptime: float
    restarted: bool
    cpu_idle: float
    cpu_idle_between: float | None
    memory_load: float
    swap_load: float | None
    disk_free: int
    received: int
    sent: int
    received_rate: float | None
    sent_rate: float | None
    users: int | None
    sessions: list[Session] | None
    interfaces: list[InterfaceUse]
    wear: list[DiskWear]
    facts: Facts
    changed: bool


@dataclass(frozen=True, slots=True)
class _Before:
    """What is remembered of a machine: its last sample, as far as the next one needs it."""

    sweep: int
    boot_id: str
    booted: int
    uptime: float
    idle: float
    traffic: Mapping[str, tuple[int, int]]
    facts: Facts


class UsageSamples(Operator[ProbeResult, UsageSample]):
    """The operator that `usage_samples` makes; see there."""

    def __init__(self, probe: str) -> None:
        if not isinstance(probe, str) or not probe:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"probe is the name of the probe, not {probe!r}")
        self._probe = probe
        self._before: KeyedState[str, _Before] = KeyedState()

    def process(self, record: ProbeResult) -> Iterable[UsageSample]:
        """The sample of an answer; nothing for another probe, or without an answer."""
        if record["probe"] != self._probe or record["outcome"] != "ok":
            return ()
        usage = parse_usage(record["stdout"])
        target, sweep = record["target"], record["sweep"]
        last = self._before.get(target)
        late = last is not None and sweep <= last.sweep
        sample = _sample(record, usage, None if late else last)
        if late:
            # It was overtaken by a later sweep: what is remembered is newer.
            sample["changed"] = False
            return (sample,)
        self._before[target] = _Before(
            sweep,
            usage["boot_id"],
            usage["booted"],
            usage["uptime"],
            usage["idle"],
            {each["name"]: (each["received"], each["sent"]) for each in usage["traffic"]},
            usage["facts"],
        )
        return (sample,)


def usage_samples(probe: str = "usage") -> UsageSamples:
    """What each machine does, from one sample to the next.

    >>> operator = usage_samples()

    Parameters: `probe`, the name under which `USAGE_SCRIPT` is run ("usage"); results of other
    probes are passed over, and so are those that are not ok.

    It takes results of probes and makes a `UsageSample` of each. What is counted since the start
    of a machine becomes what happened since the sample before: the time between is taken by the
    machine's own clock. Where a machine was started meanwhile, it is what happened since then. A
    counter that began anew at 2^32 is followed; one that was put back, as with a new interface,
    has no rate this time.

    Raises ValueError for an empty name.

    - Emits when: a result of the probe has come that is ok.
    - Waits when: the next channel is full.
    - Ends when: its input does.
    - Order: that of the results. One that was overtaken by a later sweep has no rates.
    - State: the last sample of each target, saved with each epoch as far as it changed.
    - On error: an answer that cannot be read becomes a dead letter, and leaves no trace.
    """
    return UsageSamples(probe)


def _sample(record: ProbeResult, usage: Usage, last: _Before | None) -> UsageSample:
    facts, cpus = usage["facts"], usage["facts"]["cpus"]
    restarted = last is not None and _is_another_start(last, usage)
    since = None if last is None or restarted else last
    elapsed = usage["uptime"] - (since.uptime if since is not None else 0.0)
    known = last is not None and elapsed > 0
    interfaces: list[InterfaceUse] = []
    for each in usage["traffic"]:
        before = (0, 0) if since is None else since.traffic.get(each["name"])
        now = (each["received"], each["sent"])
        received, sent = (
            _rate(new, None if before is None else before[place], elapsed) if known else None
            for place, new in enumerate(now)
        )
        interfaces.append(
            InterfaceUse(
                name=each["name"],
                received=now[0],
                sent=now[1],
                received_rate=received,
                sent_rate=sent,
            )
        )
    idle = usage["idle"] - (since.idle if since is not None else 0.0)
    sessions = usage["sessions"]
    return UsageSample(
        sweep=record["sweep"],
        target=record["target"],
        at=record["started"],
        booted=usage["booted"],
        uptime=usage["uptime"],
        restarted=restarted,
        cpu_idle=_percent(usage["idle"], cpus * usage["uptime"]) or 0.0,
        cpu_idle_between=_percent(idle, cpus * elapsed) if known else None,
        memory_load=_percent(facts["memory"] - usage["memory_free"], facts["memory"]) or 0.0,
        swap_load=_percent(facts["swap"] - usage["swap_free"], facts["swap"]),
        disk_free=usage["disk_free"],
        received=min(_LARGEST, sum(each["received"] for each in usage["traffic"])),
        sent=min(_LARGEST, sum(each["sent"] for each in usage["traffic"])),
        received_rate=_total([each["received_rate"] for each in interfaces]),
        sent_rate=_total([each["sent_rate"] for each in interfaces]),
        users=None if sessions is None else len({each["user"] for each in sessions}),
        sessions=sessions,
        interfaces=interfaces,
        wear=usage["wear"],
        facts=facts,
        changed=last is None or last.facts != facts,
    )


def _is_another_start(last: _Before, usage: Usage) -> bool:
    if last.boot_id and usage["boot_id"]:
        return last.boot_id != usage["boot_id"]
    return usage["uptime"] < last.uptime


def _rate(new: int, old: int | None, elapsed: float) -> float | None:
    if old is None:
        return None
    if new < old:
        # Only a counter that was on its way to the end of its range can have passed it.
        if not _WRAPS // 2 <= old < _WRAPS:
            return None
        new += _WRAPS
    return (new - old) / elapsed


def _percent(part: float, whole: float) -> float | None:
    return min(100.0, max(0.0, 100.0 * part / whole)) if whole > 0 else None


def _total(rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None
