"""`ssh_probe`: what machines answer, sweep after sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...runtime.contracts import Duration

if TYPE_CHECKING:
    # Only the types: a fleet is for few, and is as large as all other operators together.
    from ..fleet.probes.probe import Probe
    from ..fleet.ssh.access import SshAccess
    from ..fleet.ssh.limits import ProbeLimits
    from ..fleet.sweeps.sweeps import Sweeps
    from ..fleet.sweeps.timetable import Mode
    from ..fleet.targets.targets import AnyTargets

__all__ = ["ssh_probe"]


def ssh_probe(
    targets: AnyTargets,
    probes: str | Probe | Sequence[str | Probe],
    *,
    every: Duration,
    minimum_gap: Duration = 0.0,
    mode: Mode = "periodic",
    sweeps: int | None = None,
    lasting: Duration | None = None,
    keep: bool = False,
    access: SshAccess | None = None,
    limits: ProbeLimits | None = None,
    max_waiting: int = 10_000,
) -> Sweeps:
    """What machines answer over SSH, sweep after sweep; nothing is installed there.

    >>> from thalweg.operators.fleet import inventory
    >>> lab = inventory("hosts.yml").only("@lab")
    >>> source = ssh_probe(lab, ["uptime", "df -Pk {disk}"], every="15min", minimum_gap="30s")

    A sweep is one attempt of every probe on every target: each is a record (see `ProbeResult`),
    whatever came of it. A target that is switched off, refuses, is busy, is not what known_hosts
    says or hangs is such a record too, each with an outcome of its own, and holds up no other.
    Several probes of a target run one after another on one connection. They run with low priority
    unless told otherwise, and end there, with all that they have started, when their time is over
    or this process is, whatever ended it; where the network is cut without a word, when their time
    is over, which the target keeps by itself. Targets are POSIX systems; others are told
    `unsupported`.

    Parameters (lengths of time are seconds, or text such as "15min"):

    - `targets`: whom, as `fleet.targets`, `target_file`, `inventory` and `ssh_config` make it, or a
      list of names and `Target`s, or a function that returns one. They are looked up for each
      sweep; what cannot be read is an error at the start, later the list of before is used.
    - `probes`: command lines, or what `fleet.probe` and `fleet.script` make.
    - `every`: a sweep begins so long after the last one began …
    - `minimum_gap`: … but never sooner than this after the last one ended (0).
    - `mode`: "periodic" asks everything each time; "single_shot" only what was not `ok` before, and
      ends when everything was.
    - `sweeps`, `lasting`: the most sweeps, and how long after the first the last one may begin
      (None: no limit).
    - `keep`: whether connections stay open from one sweep to the next (False), each with a process
      at its target, where there is Perl, that waits for what to run.
    - `access`: who logs in, with what, and whom it trusts (None: as `SshAccess()` says).
    - `limits`: how long each part may take, and how much is under way at once (None: as
      `ProbeLimits()` says).
    - `max_waiting`: so many results may still be on their way through the graph, not delivered to
      every sink, when the next sweep begins; with more, it waits (10,000). What runs downstream
      never delays the sweep that is under way: its results are kept here until they are read, some
      megabytes in memory and what is more in a temporary file. With 0 a sweep has ended only when
      all its results have arrived.

    Raises ValueError or TypeError for an option that makes no sense. At the start,
    MisconfiguredError for keys or a list of targets that cannot be read, MissingExtra without
    `thalweg[ssh]`.

    Emits when: a probe has ended, each result at once.
    Waits when: the next sweep is not due, or too many results are on their way.
    Ends when: `sweeps`, `lasting` or the mode says so.
    Order: as results come; those of a sweep before those of the next.
    State: the sweep, and what was handed over of it. After a restart it asks for the rest alone,
    under the same id; a sweep that is older than `every` by then is closed with the outcome
    `interrupted` for what is missing.
    On error: whatever is wrong with a target is a record.
    """
    from ..fleet.probes.probe import Probe, probe
    from ..fleet.ssh.access import SshAccess
    from ..fleet.ssh.limits import ProbeLimits
    from ..fleet.ssh.ssh_prober import SshProber
    from ..fleet.sweeps.sweeps import Sweeps
    from ..fleet.sweeps.timetable import Timetable

    listed = [probes] if isinstance(probes, str | Probe) else probes
    return Sweeps(
        targets,
        [one if isinstance(one, Probe) else probe(one) for one in listed],
        timetable=Timetable.of(
            every=every, minimum_gap=minimum_gap, mode=mode, sweeps=sweeps, lasting=lasting
        ),
        prober=SshProber(access or SshAccess(), limits or ProbeLimits(), keep=keep),
        max_waiting=max_waiting,
    )
