"""The prober against real SSH servers: what each fault of a machine is told as."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from thalweg.deploy.fleet_farm import Farm
from thalweg.operators.fleet import ProbeResult, Target
from thalweg.operators.fleet.probes.probe import probe, script
from thalweg.operators.fleet.probes.visit import Visit
from thalweg.operators.fleet.ssh.limits import ProbeLimits
from thalweg.operators.fleet.ssh.ssh_prober import SshProber
from thalweg.runtime.contracts import MisconfiguredError
from thalweg.testing import context

from .asked_farm import SHORT, access, ask, asked, bad, gone, good, processes_with, until

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("sshd")]

_SSH: Any = asyncssh
"""What it declares of keys is of no type that can be named."""


@pytest.fixture(scope="module")
def farm(sshd: None) -> Iterator[Farm]:
    with Farm(4, refusing=1, silent=1) as farm:
        yield farm


class Server:
    """Something that listens, and does with each connection what it is told."""

    def __init__(self, serve: Callable[[socket.socket], object]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._kept: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._kept.append(connection)
            self._serve(connection)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        for one in self._kept:
            one.close()


def test_a_good_machine_answers(farm: Farm) -> None:
    [result] = asked(access(farm), [good(farm)], "echo out; echo err >&2; exit 0")
    assert (result["outcome"], result["exit_status"], result["signal"]) == ("ok", 0, None)
    assert (result["stdout"], result["stderr"]) == ("out\n", "err\n")
    assert (result["bytes"], result["truncated"], result["attempt"]) == (8, False, 1)
    assert result["detail"] == ""
    assert result["elapsed_there"] is not None
    assert 0 <= result["elapsed_there"] <= result["elapsed_here"] + 0.02


def test_an_exit_status_and_a_signal_are_told(farm: Farm) -> None:
    status, signal = asked(
        access(farm), [good(farm)], probe("exit 7", name="a"), probe("kill -9 $$", name="b")
    )
    assert (status["outcome"], status["exit_status"]) == ("exit", 7)
    assert (signal["outcome"], signal["signal"]) == ("exit", "KILL")
    assert "KILL" in signal["detail"]


def test_bad_machines_are_told_apart_and_hold_up_no_good_one(farm: Farm) -> None:
    found = {one["target"]: one for one in asked(access(farm), farm.targets, "true")}
    assert len(found) == 6
    assert found[bad(farm, 2).name]["outcome"] == "refused"
    assert found[bad(farm, 3).name]["outcome"] == "unreachable"
    assert "nothing answers within 0.5 s" in found[bad(farm, 3).name]["detail"]
    assert [one["outcome"] for one in found.values()].count("ok") == 4


def test_a_name_that_does_not_resolve_is_unreachable(farm: Farm) -> None:
    [result] = asked(access(farm), [Target("nobody", host="nobody.invalid")], "true")
    assert (result["outcome"], result["detail"]) == ("unreachable", "its name does not resolve")


def test_each_probe_of_a_target_has_a_result_although_it_is_down(farm: Farm) -> None:
    probes = [probe("true", name=name) for name in "abc"]
    found = asked(access(farm), [bad(farm, 2)], *probes)
    assert [(one["probe"], one["outcome"]) for one in found] == [
        (name, "refused") for name in "abc"
    ]


def test_a_machine_that_is_busy_is_tried_again_and_told_so(farm: Farm) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.sendall(b"Exceeded MaxStartups\r\n")
        connection.close()

    with Server(hang_up) as server:
        limits = ProbeLimits(attempts=3)
        [result] = asked(
            access(farm), [Target("busy", host="127.0.0.1", port=server.port)], "true",
            limits=limits,
        )  # fmt: skip
        assert server.connections == 3
    assert (result["outcome"], result["attempt"]) == ("busy", 3)


def test_max_startups_loses_no_machine() -> None:
    with Farm(1, max_startups="3:70:6") as farm:
        one = good(farm)
        many = [Target(f"t{n:02}", host=one.host, port=one.port) for n in range(20)]
        limits = ProbeLimits(attempts=20)
        found = asked(access(farm), many, "true", limits=limits)
        assert {result["outcome"] for result in found} == {"ok"}
        assert "drop connection" in farm.machines[0].log()
    assert max(result["attempt"] for result in found) > 1


def test_a_machine_that_accepts_and_says_nothing_is_a_timeout_of_the_handshake(farm: Farm) -> None:
    with Server(lambda connection: None) as server:
        [result] = asked(
            access(farm), [Target("mute", host="127.0.0.1", port=server.port)], "true",
            limits=ProbeLimits(handshake_timeout=0.5),
        )  # fmt: skip
    assert result["outcome"] == "timeout"
    assert result["detail"] == "the handshake took longer than 0.5 s, and said nothing"


def test_what_speaks_no_ssh_is_told_as_such(farm: Farm) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"SSH-1.0-antique\r\n")

    with Server(serve) as server:
        [result] = asked(access(farm), [Target("old", host="127.0.0.1", port=server.port)], "true")
    assert result["outcome"] == "unsupported"


def test_a_key_that_nobody_knows_here_is_refused_and_nothing_is_written(
    farm: Farm, tmp_path: Path
) -> None:
    empty = tmp_path / "known_hosts"
    [result] = asked(access(farm, known_hosts=str(empty)), [good(farm)], "true")
    assert result["outcome"] == "host_key_unknown"
    assert not empty.exists()


def test_trust_on_first_use_writes_the_key_down_and_checks_it_from_then_on(
    farm: Farm, tmp_path: Path
) -> None:
    path = tmp_path / "ssh" / "known_hosts"
    trusting = access(farm, known_hosts=str(path), trust_new=True)
    targets = [good(farm, number) for number in range(4)]
    found = asked(trusting, targets, "true")
    assert {one["outcome"] for one in found} == {"ok"}
    written = sorted(path.read_text().splitlines())
    assert written == sorted(one.public_key for one in farm.machines)
    assert path.stat().st_mode & 0o777 == 0o600
    asked(trusting, targets, "true")
    assert sorted(path.read_text().splitlines()) == written


def test_one_new_machine_under_several_names_is_trusted_under_each(
    farm: Farm, tmp_path: Path
) -> None:
    """They meet it at once: what the first one writes down is no change for the others."""
    trusting = access(farm, known_hosts=str(tmp_path / "known_hosts"), trust_new=True)
    one = good(farm)
    names = [Target(f"t{number}", host=one.host, port=one.port) for number in range(8)]
    found = asked(trusting, names, "true")
    assert [result["outcome"] for result in found] == ["ok"] * 8
    assert (tmp_path / "known_hosts").read_text() == f"{farm.machines[0].public_key}\n"


@pytest.mark.parametrize("trust_new", [False, True])
def test_a_key_that_has_changed_is_refused_and_the_others_go_on(
    farm: Farm, tmp_path: Path, trust_new: bool
) -> None:
    path = tmp_path / "known_hosts"
    first, second, *_ = farm.machines
    other = second.public_key.split()[1:]
    place = first.public_key.split()[0]
    path.write_text(f"{place} {' '.join(other)}\n{second.public_key}")
    before = path.read_text()
    checked = access(farm, known_hosts=str(path), trust_new=trust_new)
    found = {one["target"]: one for one in asked(checked, [good(farm), good(farm, 1)], "true")}
    assert found[first.name]["outcome"] == "host_key_changed"
    assert found[second.name]["outcome"] == "ok"
    assert path.read_text() == before
    assert other[1] not in str(found)


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_key_of_another_kind_than_the_one_we_know_is_a_change(
    farm: Farm, tmp_path: Path, kind: str
) -> None:
    """As of a machine that was set up anew: it has no key of the kind that it had."""
    path = tmp_path / "known_hosts"
    first = farm.machines[0]
    key: Any = _SSH.generate_private_key(kind)
    place = first.public_key.split()[0]
    path.write_text(f"{place} {key.export_public_key().decode()}")
    [result] = asked(access(farm, known_hosts=str(path)), [good(farm)], "true")
    assert (result["outcome"], result["attempt"]) == ("host_key_changed", 1)


def test_a_machine_with_keys_of_several_kinds_is_asked_for_the_one_we_know(tmp_path: Path) -> None:
    key: Any = _SSH.generate_private_key("ecdsa-sha2-nistp256")
    key.write_private_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o600)
    with Farm(1, options=f"HostKey {tmp_path / 'key'}") as farm:
        place = farm.machines[0].public_key.split()[0]
        (tmp_path / "known").write_text(f"{place} {key.export_public_key().decode()}")
        known = access(farm, known_hosts=str(tmp_path / "known"))
        [result] = asked(known, [good(farm)], "true")
    assert result["outcome"] == "ok"


def test_who_is_not_let_in_is_told_so_without_a_word_of_the_key(farm: Farm, tmp_path: Path) -> None:
    stranger: Any = _SSH.generate_private_key("ssh-ed25519")
    stranger.write_private_key(tmp_path / "key")
    [result] = asked(access(farm, identities=[str(tmp_path / "key")]), [good(farm)], "true")
    assert result["outcome"] == "authentication"
    assert stranger.export_public_key().split()[1].decode() not in str(result)


def test_an_identity_of_a_target_that_is_not_there_is_a_fault_of_that_target(farm: Farm) -> None:
    one = good(farm)
    lost = Target("lost", host=one.host, port=one.port, identities=("/nowhere/key",))
    found = {result["target"]: result for result in asked(access(farm), [lost, one], "true")}
    assert found["lost"]["outcome"] == "authentication"
    assert "/nowhere/key" in found["lost"]["detail"]
    assert found[one.name]["outcome"] == "ok"


def test_a_key_that_is_encrypted_needs_its_passphrase(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    key = _SSH.read_private_key(farm.identity)
    key.write_private_key(locked, passphrase="open sesame", rounds=1, ignore_few_rounds=True)
    with pytest.raises(MisconfiguredError, match="is encrypted"):
        asked(access(farm, identities=[str(locked)]), [good(farm)], "true")
    monkeypatch.setenv("KEY_WORD", "open sesame")
    opening = access(farm, identities=[str(locked)], passphrase="env:KEY_WORD")
    assert "sesame" not in repr(opening)
    [result] = asked(opening, [good(farm)], "true")
    assert result["outcome"] == "ok"


def test_the_agent_is_asked_for_its_keys(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    agent = tmp_path / "agent"
    monkeypatch.setenv("HOME", str(tmp_path))
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
            subprocess.run(["ssh-add", "-q", farm.identity], check=True)
            with_agent = access(farm, identities=[], agent=True)
            [result] = asked(with_agent, [good(farm)], "true")
            assert result["outcome"] == "ok"
            [result] = asked(access(farm, identities=[]), [good(farm)], "true")
            assert result["outcome"] == "authentication"
        finally:
            process.terminate()


def test_a_machine_behind_another_one_is_reached_through_it(farm: Farm) -> None:
    first, second = good(farm), good(farm, 1)
    behind = Target(
        "behind", host=second.host, port=second.port, jump=(f"{first.host}:{first.port}",)
    )
    closed = Target(
        "closed", host=bad(farm, 2).host, port=second.port, jump=(f"{first.host}:{first.port}",)
    )
    lost = Target("lost", host=second.host, port=second.port, jump=(f"{bad(farm, 2).host}:22",))
    found = {
        one["target"]: one
        for one in asked(access(farm), [behind, closed, lost], "echo $SSH_CONNECTION")
    }
    assert found["behind"]["outcome"] == "ok"
    assert found["behind"]["stdout"].split()[2] == second.host
    assert found["closed"]["outcome"] == "refused"
    assert found["lost"]["outcome"] == "unreachable"
    assert "on the way" in found["lost"]["detail"]


def test_kept_connections_are_used_again_and_a_machine_that_was_restarted_is_found() -> None:
    async def main(farm: Farm) -> None:
        prober = SshProber(access(farm), SHORT, keep=True)
        await prober.open(context())
        where = [probe("echo $SSH_CONNECTION")]
        first = await ask(prober, [good(farm)], where)
        again = await ask(prober, [good(farm)], where)
        assert first[0]["stdout"] == again[0]["stdout"]
        farm.machines[0].drop()
        after = await ask(prober, [good(farm)], where)
        assert (after[0]["outcome"], after[0]["attempt"]) == ("ok", 1)
        assert after[0]["stdout"] != first[0]["stdout"]
        await prober.close()

    with Farm(1) as farm:
        asyncio.run(main(farm))


def test_one_process_there_runs_all_probes_of_a_kept_connection(farm: Farm) -> None:
    async def main() -> None:
        prober = SshProber(access(farm), SHORT, keep=True)
        await prober.open(context())
        where = [probe("echo $PPID", name=name) for name in "ab"]
        found = [
            int(result["stdout"])
            for sweep in (1, 2)
            for result in await ask(prober, [good(farm)], where, sweep)
        ]
        assert len(set(found)) == 1
        os.kill(found[0], signal.SIGKILL)
        after = await ask(prober, [good(farm)], where, 3)
        assert [(one["outcome"], one["attempt"]) for one in after] == [("ok", 1)] * 2
        assert {one["stdout"] for one in after}.isdisjoint({f"{found[0]}\n"})
        [late] = await ask(prober, [good(farm)], [probe("sleep 86399.5", timeout=1.0)], 4)
        assert late["outcome"] == "timeout"
        await prober.close()
        supervisor = int(after[0]["stdout"])
        await until(lambda: not Path(f"/proc/{supervisor}").exists(), 5.0)

    asyncio.run(main())


def test_a_probe_that_hangs_is_ended_with_all_that_it_started(farm: Farm) -> None:
    mark = "86399.125"
    hanging = probe(f"echo partly; sleep {mark} & sleep {mark}", timeout=1.0)
    [result] = asked(access(farm), [good(farm)], hanging)
    assert result["outcome"] == "timeout"
    assert result["stdout"] == "partly\n"
    asyncio.run(gone(mark))


def test_what_is_broken_off_here_ends_there(farm: Farm) -> None:
    mark = "86399.25"

    async def main() -> None:
        prober = SshProber(access(farm), SHORT)
        await prober.open(context())
        task = asyncio.create_task(
            ask(prober, [good(farm), good(farm, 1)], [probe(f"sleep {mark} & sleep {mark}")])
        )
        await until(lambda: sum(one.startswith("sleep") for one in processes_with(mark)) == 4, 20)
        task.cancel()
        await asyncio.wait([task])
        await prober.close()
        await gone(mark)

    asyncio.run(main())


def test_output_is_cut_at_its_limit_and_the_machine_is_not_held_up(farm: Farm) -> None:
    big = probe("head -c 50000000 /dev/zero | tr '\\0' x", max_output=1000, timeout=30.0)
    [result] = asked(access(farm), [good(farm)], big)
    assert (result["outcome"], result["truncated"]) == ("ok", True)
    assert result["stdout"] == "x" * 1000
    assert result["bytes"] == 50_000_000


def test_half_a_character_is_replaced(farm: Farm) -> None:
    [result] = asked(access(farm), [good(farm)], "printf 'gr\\303'")
    assert (result["outcome"], result["stdout"]) == ("ok", "gr\ufffd")


def test_neither_limit_makes_a_good_machine_look_down() -> None:
    """All at once, beside something that holds the loop: what is late is we, not the machines."""

    async def main(farm: Farm) -> list[ProbeResult]:
        prober = SshProber(access(farm), limits)
        await prober.open(context())
        loop = asyncio.get_running_loop()
        handles: list[asyncio.TimerHandle] = []

        def hog() -> None:
            until = loop.time() + 0.35
            while loop.time() < until:
                pass
            handles[:] = [loop.call_later(0.01, hog)]

        handles.append(loop.call_later(0.0, hog))
        try:
            return await ask(prober, farm.targets, [probe("true")])
        finally:
            handles[0].cancel()
            await prober.close()

    limits = ProbeLimits(connect_timeout=0.3, max_testing=40, max_connecting=2, max_running=2)
    with Farm(6) as farm:
        found = asyncio.run(main(farm))
    assert [one["outcome"] for one in found] == ["ok"] * 6


def test_a_script_is_sent_run_and_removed(farm: Farm, tmp_path: Path) -> None:
    path = tmp_path / "disk.sh"
    path.write_text('#!/bin/sh\necho "$0 says $1"\n')
    asking = script(path, args=["{target}"])

    async def main() -> list[ProbeResult]:
        prober = SshProber(access(farm), SHORT)
        await prober.open(context())
        found: list[ProbeResult] = []
        visit = Visit(1, 1, good(farm), (asking,), {asking.name: asking.payload()})
        await prober.visit(visit, found.append)
        await prober.close()
        return found

    [result] = asyncio.run(main())
    assert result["outcome"] == "ok"
    where, _, said = result["stdout"].strip().partition(" says ")
    assert said == good(farm).name
    assert where.endswith("/disk.sh")
    assert not Path(where).parent.exists()


def test_a_variable_that_a_target_lacks_is_a_fault_of_that_target(farm: Farm) -> None:
    with_disk = Target("with", host=good(farm).host, port=good(farm).port, variables={"disk": "/"})
    found = {
        one["target"]: one
        for one in asked(access(farm), [with_disk, good(farm, 1)], "df -P {disk}")
    }
    assert found["with"]["outcome"] == "ok"
    assert found[good(farm, 1).name]["outcome"] == "unsupported"
    assert "{disk}" in found[good(farm, 1).name]["detail"]


def test_a_target_that_runs_no_commands_is_told_as_unsupported() -> None:
    with Farm(1, options='ForceCommand echo "This is a router"') as router:
        # It has always ended before it reads what it is sent, and often before that is written.
        found = asked(access(router), [good(router)] * 10, "uptime")
    assert [result["outcome"] for result in found] == ["unsupported"] * 10
    assert all("This is a router" in result["detail"] for result in found)


def test_a_target_whose_shell_ends_without_a_word_is_told_as_unsupported() -> None:
    with Farm(1, options="ForceCommand exit 1") as closed:
        [result] = asked(access(closed), [good(closed)], "uptime")
    assert (result["outcome"], result["bytes"]) == ("unsupported", 0)
    assert "lets its user run no commands" in result["detail"]


def test_a_connection_that_breaks_while_a_probe_runs_is_told_as_lost(farm: Farm) -> None:
    async def main() -> list[ProbeResult]:
        prober = SshProber(access(farm), SHORT)
        await prober.open(context())
        asking = asyncio.create_task(
            ask(prober, [good(farm)], [probe("sleep 86398.75 & sleep 86398.75", name="long")])
        )
        await until(lambda: any(one.startswith("sleep") for one in processes_with("86398.75")), 20)
        farm.machines[0].drop()
        found = await asking
        await prober.close()
        await gone("86398.75")
        return found

    [result] = asyncio.run(main())
    assert result["outcome"] == "lost"
    assert result["detail"] == "the session ended before the probe did"


def test_the_deadline_covers_everything_together(farm: Farm) -> None:
    probes = [probe("sleep 1.5", name=name, timeout=30.0) for name in "abc"]
    limits = ProbeLimits(deadline=2.5)
    found = asked(access(farm), [good(farm)], *probes, limits=limits)
    assert [one["outcome"] for one in found] == ["ok", "timeout", "timeout"]
    assert "2.5 s" in found[1]["detail"]


@pytest.mark.parametrize("keep", [False, True])
def test_when_it_is_closed_no_descriptor_and_no_session_is_left(keep: bool) -> None:
    async def main(farm: Farm) -> None:
        before = set(os.listdir("/proc/self/fd"))
        prober = SshProber(access(farm), SHORT, keep=keep)
        await prober.open(context())
        targets = [*farm.targets, Target("twice", host=good(farm).host, port=good(farm).port)]
        for sweep in (1, 2):
            found = await ask(prober, targets, [probe("true")], sweep)
            assert len(found) == len(targets)
        await prober.close()
        await until(lambda: set(os.listdir("/proc/self/fd")) <= before, 5.0)
        await until(lambda: not any(machine.sessions() for machine in farm.machines), 5.0)

    with Farm(3, refusing=1, silent=1) as farm:
        asyncio.run(main(farm))
