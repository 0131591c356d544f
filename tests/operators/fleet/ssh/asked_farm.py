"""A farm that is asked without a graph, and what runs on this machine meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thalweg.deploy.fleet_farm import Farm
from thalweg.operators.fleet import ProbeResult, Target
from thalweg.operators.fleet.probes.probe import Probe, probe
from thalweg.operators.fleet.probes.visit import Visit
from thalweg.operators.fleet.ssh.access import SshAccess
from thalweg.operators.fleet.ssh.limits import ProbeLimits
from thalweg.operators.fleet.ssh.ssh_prober import SshProber
from thalweg.testing import context

SHORT = ProbeLimits(connect_timeout=0.5, handshake_timeout=5.0)


def access(farm: Farm, **options: Any) -> SshAccess:
    given: dict[str, Any] = {
        "user": farm.user,
        "identities": [farm.identity],
        "agent": False,
        "known_hosts": farm.known_hosts,
    }
    return SshAccess(**{**given, **options})


def good(farm: Farm, number: int = 0) -> Target:
    return [one for one in farm.targets if one.host.startswith("127.1.")][number]


def bad(farm: Farm, block: int) -> Target:
    return next(one for one in farm.targets if one.host.startswith(f"127.{block}."))


async def ask(
    prober: SshProber, targets: Sequence[Target], probes: Sequence[Probe], sweep: int = 1
) -> list[ProbeResult]:
    found: list[ProbeResult] = []
    of = len(targets) * len(probes)
    async with asyncio.TaskGroup() as group:
        for target in targets:
            group.create_task(
                prober.visit(Visit(sweep, of, target, tuple(probes), {}), found.append)
            )
    await prober.rest(targets)
    return found


def asked(
    with_access: SshAccess,
    targets: Sequence[Target],
    *probes: str | Probe,
    limits: ProbeLimits = SHORT,
    keep: bool = False,
) -> list[ProbeResult]:
    async def main() -> list[ProbeResult]:
        prober = SshProber(with_access, limits, keep=keep)
        await prober.open(context())
        try:
            wanted = [one if isinstance(one, Probe) else probe(one) for one in probes]
            return await ask(prober, targets, wanted)
        finally:
            await prober.close()

    return asyncio.run(main())


def processes_with(mark: str) -> list[str]:
    """The command lines of all processes that hold this text."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line and int(path.parent.name) != os.getpid():
            found.append(line)
    return found


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for what happens on another machine: nobody tells."""
    loop = asyncio.get_running_loop()
    late = loop.time() + seconds
    while not condition():
        assert loop.time() < late, "it has not happened"
        await asyncio.sleep(0.02)


async def gone(mark: str, seconds: float = 5.0) -> None:
    await until(lambda: not processes_with(mark), seconds)
