"""How long each part of a probe may take, and how many are under way at once."""

from __future__ import annotations

from typing import cast

from ....runtime.contracts import Duration, dataclass, in_seconds

__all__ = ["ProbeLimits"]

_TIMES = ("ping_timeout", "connect_timeout", "handshake_timeout", "deadline")
_COUNTS = ("attempts", "max_testing", "max_connecting", "max_running")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLimits:
    """The limits of probes; lengths of time are seconds, or text such as "15s".

    >>> ProbeLimits(deadline="2min", max_running=64).deadline
    120.0

    For each target: `connect_timeout` (3), until its port answers, by which a machine is told to be
    there; with `ping_timeout` (None: no ping) it is asked by ICMP before that, and one that says
    nothing within it is `unreachable`, which asks for a system that lets this process send pings;
    `handshake_timeout` (15), until it has let us in; `deadline`, for all that is done with it in a
    sweep, retries included (None: as long as its parts may take together; the probes themselves
    have limits of their own); `attempts` (5), how often one is tried that is busy.

    At once: `max_testing` (256), targets that are waited for to answer; `max_connecting` (32),
    handshakes, which are work for this machine; `max_running` (256), targets with a command under
    way. Time in which a target waits for one of these does not count against any limit of its own,
    so that none looks down because this machine is busy. Each is an open file: when the job opens,
    this process is let have as many as it may (up to 65,536); connections for which that leaves no
    room are not kept, and where none can be opened at all, targets wait for one, and the job fails
    after half a minute.

    Raises ValueError or TypeError for a wrong one.
    """

    ping_timeout: Duration | None = None
    connect_timeout: Duration = 3.0
    handshake_timeout: Duration = 15.0
    deadline: Duration | None = None
    attempts: int = 5
    max_testing: int = 256
    max_connecting: int = 32
    max_running: int = 256

    def __post_init__(self) -> None:
        for name in _TIMES:
            given: Duration | None = getattr(self, name)
            if given is None and name in ("deadline", "ping_timeout"):
                continue
            seconds = in_seconds(cast("Duration", given), name)
            if seconds == 0:
                raise ValueError(f"{name} is more than 0 seconds")
            object.__setattr__(self, name, seconds)
        for name in _COUNTS:
            value: object = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is 1 or more, not {value!r}")

    @property
    def ping_seconds(self) -> float | None:
        """`ping_timeout`, as a number."""
        return None if self.ping_timeout is None else in_seconds(self.ping_timeout)

    @property
    def connect_seconds(self) -> float:
        """`connect_timeout`, as a number."""
        return in_seconds(self.connect_timeout)

    @property
    def handshake_seconds(self) -> float:
        """`handshake_timeout`, as a number."""
        return in_seconds(self.handshake_timeout)

    def deadline_for(self, commands: float) -> float:
        """The seconds that a target may take whose probes may take so many together."""
        if self.deadline is not None:
            return in_seconds(self.deadline)
        reaching = (self.ping_seconds or 0.0) + self.connect_seconds
        return 2 * (reaching + self.handshake_seconds) + commands
