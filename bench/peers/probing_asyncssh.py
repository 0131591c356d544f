"""Sweeps with asyncssh alone, as many machines at once as told, on uvloop; over connections that
are kept, where that is asked for.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import asyncssh
import uvloop

asked = json.loads(Path(sys.argv[1]).read_text())


async def sweep() -> list[str]:
    """The machines that answered."""
    at_once = asyncio.Semaphore(asked["at_once"])
    known_hosts = asyncssh.read_known_hosts(asked["known_hosts"])
    key = asyncssh.read_private_key(asked["identity"])

    async def ask(host: str) -> str | None:
        async with at_once:
            try:
                async with asyncssh.connect(
                    host,
                    asked["port"],
                    username=asked["user"],
                    client_keys=[key],
                    known_hosts=known_hosts,
                    config=None,
                    agent_path=None,
                    connect_timeout=asked["connect_timeout"],
                    login_timeout=15,
                ) as connection:
                    done = await connection.run(asked["command"], timeout=15)
                    return host if str(done.stdout).strip() == asked["answer"] else None
            except (OSError, asyncssh.Error, TimeoutError):
                return None

    answers = await asyncio.gather(*[ask(host) for host in asked["hosts"]])
    return [host for host in answers if host is not None]


async def kept_sweeps() -> list[float]:
    """The seconds of sweeps over connections that are opened before."""
    known_hosts = asyncssh.read_known_hosts(asked["known_hosts"])
    key = asyncssh.read_private_key(asked["identity"])
    at_once = asyncio.Semaphore(asked["at_once"])

    async def connect(host: str) -> asyncssh.SSHClientConnection:
        async with at_once:
            return await asyncssh.connect(
                host, asked["port"], username=asked["user"], client_keys=[key],
                known_hosts=known_hosts, config=None, agent_path=None,
            )  # fmt: skip

    connections = await asyncio.gather(*[connect(host) for host in asked["hosts"]])
    seconds: list[float] = []
    for _ in range(asked["sweeps"] - 1):
        began = time.perf_counter()
        answers = await asyncio.gather(*[one.run(asked["command"]) for one in connections])
        seconds.append(time.perf_counter() - began)
        assert all(str(answer.stdout).strip() == asked["answer"] for answer in answers)
    for one in connections:
        one.close()
    return seconds


if asked["keep"]:
    print(json.dumps({"seconds": uvloop.run(kept_sweeps())}))
    sys.exit()
began = time.perf_counter()
found = uvloop.run(sweep())
print(json.dumps({"seconds": time.perf_counter() - began, "found": found}))
