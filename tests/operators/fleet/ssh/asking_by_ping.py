"""Asks one target of this machine, by ping and then for a port that is closed; prints what came."""

from __future__ import annotations

import asyncio

from thalweg.operators.fleet import ProbeLimits, ProbeResult, SshAccess, Target, probe
from thalweg.operators.fleet.probes.visit import Visit
from thalweg.operators.fleet.ssh.ssh_prober import SshProber
from thalweg.runtime.contracts import MisconfiguredError
from thalweg.testing import context


async def main() -> None:
    prober = SshProber(SshAccess(agent=False), ProbeLimits(ping_timeout=0.5, connect_timeout=0.5))
    found: list[ProbeResult] = []
    try:
        await prober.open(context())
        target = Target("here", host="127.0.0.1", port=1)
        await prober.visit(Visit(1, 1, target, (probe("true"),), {}), found.append)
    except MisconfiguredError as error:
        print(f"MisconfiguredError: {error}")
    for result in found:
        print(f"{result['outcome']}: {result['detail']}")
    await prober.close()


asyncio.run(main())
