"""A network that is cut without a word, in the middle of a probe: what becomes of both sides."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from thalweg.deploy.fleet_farm import Farm
from thalweg.operators.fleet import ProbeResult, Target, probe
from thalweg.operators.fleet.ssh.ssh_prober import SshProber
from thalweg.testing import context

from .asked_farm import SHORT, access, ask, gone, good, processes_with, until

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("sshd")]


@pytest.fixture(scope="module")
def farm(sshd: None) -> Iterator[Farm]:
    with Farm(1) as farm:
        yield farm


class Network:
    """The way to one machine: it takes what it is given, and hands it over until it is cut."""

    def __init__(self, to: Target) -> None:
        self._to = to
        self._whole = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        """Return the port at which it begins."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _connected(self, near: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        far, to = await asyncio.open_connection(self._to.host, self._to.port)
        self._writers += [out, to]
        for reader, writer in ((near, to), (far, out)):
            self._tasks.add(asyncio.create_task(self._carry(reader, writer)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not even the end of a connection gets through when it is cut.
        while data := await reader.read(65_536):
            if self._whole:
                writer.write(data)
        if self._whole:
            writer.close()

    def cut(self) -> None:
        self._whole = False

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # Their sockets are closed in the next round.


def test_a_probe_ends_by_its_own_limit_where_the_network_is_cut(farm: Farm) -> None:
    mark = "86397.75"
    probes = [
        probe(f"sleep {mark} & sleep {mark}", name="long", timeout=3.0),
        probe("true", name="next"),
    ]

    async def main() -> list[ProbeResult]:
        network = Network(good(farm))
        target = Target("cut", host="127.0.0.1", port=await network.start())
        known = farm.folder / "known_by_way"
        known.write_text(
            f"[127.0.0.1]:{target.port} {farm.machines[0].public_key.split(None, 1)[1]}\n"
        )
        prober = SshProber(access(farm, known_hosts=str(known)), SHORT)
        await prober.open(context())
        asking = asyncio.create_task(ask(prober, [target], probes))
        await until(lambda: sum(one.startswith("sleep") for one in processes_with(mark)) == 2, 20)
        network.cut()
        # The machine knows nothing of it, and ends the probe when its time has come.
        await gone(mark, seconds=3.0 + 5.0)
        assert not asking.done()
        found = await asking
        await prober.close()
        await network.close()
        return found

    long, after = asyncio.run(main())
    assert long["outcome"] == "timeout"
    assert long["detail"] == "the probe took longer than 13 s"
    assert after["outcome"] in ("timeout", "busy")
