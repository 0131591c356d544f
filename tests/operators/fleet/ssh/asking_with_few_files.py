"""Asks one machine under many names, with few files that may be open; prints what came.

Arguments: host, port, private key, known_hosts, the files that may be open and those that may be
allowed, how many names, and "keep" to keep connections.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections import Counter

from thalweg.operators.fleet import ProbeLimits, ProbeResult, SshAccess, Target, probe
from thalweg.operators.fleet.probes.visit import Visit
from thalweg.operators.fleet.ssh.ssh_prober import SshProber
from thalweg.runtime.contracts import MisconfiguredError
from thalweg.testing import context


async def main() -> None:
    host, port, identity, known_hosts, soft, hard, names, keep = sys.argv[1:]
    limits = ProbeLimits(handshake_timeout=60.0)
    access = SshAccess(identities=[identity], known_hosts=known_hosts, agent=False)
    prober = SshProber(access, limits, keep=keep == "keep")
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(soft), int(hard)))
    found: list[ProbeResult] = []
    targets = [Target(f"t{one}", host=host, port=int(port)) for one in range(int(names))]
    try:
        await prober.open(context())
        async with asyncio.TaskGroup() as group:
            for target in targets:
                visit = Visit(1, len(targets), target, (probe("true"),), {})
                group.create_task(prober.visit(visit, found.append))
    except* MisconfiguredError as group_of_errors:
        print(f"MisconfiguredError: {group_of_errors.exceptions[0]}")
    await prober.close()
    print(dict(Counter(result["outcome"] for result in found)))


asyncio.run(main())
