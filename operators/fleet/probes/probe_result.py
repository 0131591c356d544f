"""What a probe of one machine came to."""

from __future__ import annotations

from typing import Literal, TypedDict, get_args

__all__ = ["OUTCOMES", "ProbeOutcome", "ProbeResult"]

ProbeOutcome = Literal[
    "ok",
    "exit",
    "timeout",
    "unreachable",
    "refused",
    "busy",
    "authentication",
    "host_key_unknown",
    "host_key_changed",
    "exclusive",
    "lost",
    "unsupported",
    "parse_error",
    "interrupted",
]
"""How an attempt ended.

`ok`: the probe ran and its exit status was 0; `exit`: it ran and ended with another status or by
a signal; `timeout`: a limit passed, `detail` tells of which part; `unreachable`: nothing answers,
or the name does not resolve; `refused`: the port is closed; `busy`: the machine takes no more
sessions for now; `authentication`: it lets nobody in with what was offered; `host_key_unknown` and
`host_key_changed`: it is not known to be the machine it should be; `exclusive`: somebody is logged
in there, and the probe wants the machine for itself; `lost`: the connection broke while the probe
ran; `unsupported`: it is no POSIX system, or lets its user run no commands; `parse_error`: what it
printed could not be read; `interrupted`: the sweep was cut off, and nobody knows.
"""

OUTCOMES: tuple[ProbeOutcome, ...] = get_args(ProbeOutcome)
"""Every outcome, best first."""


class ProbeResult(TypedDict):
    """One attempt of one probe on one target: a record, whatever came of it.

    `sweep` is the Unix time in seconds at which the sweep began, and its id; `of` is the number of
    results that this sweep has in all. `exit_status` is there for `ok` and `exit`, `signal` (its
    name, such as `KILL`) where the command was ended by one. `stdout` and `stderr` are decoded, cut
    at the limit (`truncated`), and kept as far as they came; `bytes` counts what came before the
    cut. `started` is in Unix seconds; `elapsed_there` is in seconds by the clock of the target,
    where that is known, and `elapsed_here` by ours, from the first try to connect. `attempt`
    counts from 1. `detail` says in words what was wrong, and is empty for `ok`.

    >>> def is_up(result: ProbeResult) -> bool:
    ...     return result["outcome"] == "ok" or result["exit_status"] is not None
    """

    sweep: int
    of: int
    target: str
    probe: str
    outcome: ProbeOutcome
    exit_status: int | None
    signal: str | None
    stdout: str
    stderr: str
    started: float
    elapsed_there: float | None
    elapsed_here: float
    attempt: int
    bytes: int
    truncated: bool
    detail: str
