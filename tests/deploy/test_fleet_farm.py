from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thalweg.deploy.fleet_farm import Farm

pytestmark = pytest.mark.service

_PROGRAM = """
import sys
from thalweg.deploy.fleet_farm import Farm
with Farm(2, silent=1) as farm:
    print(farm.folder, *[machine.process.pid for machine in farm.machines], flush=True)
    sys.stdin.read()
"""


def _greeting(host: str, port: int) -> bytes:
    with socket.create_connection((host, port), timeout=5) as connection:
        return connection.recv(64)


@pytest.mark.usefixtures("sshd")
def test_good_machines_answer_refusing_ones_refuse_and_silent_ones_say_nothing() -> None:
    with Farm(3, refusing=1, silent=2) as farm:
        kinds = {"127.1": 0, "127.2": 0, "127.3": 0}
        for target in farm.targets:
            kind = target.host[:5]
            kinds[kind] += 1
            if kind == "127.1":
                assert _greeting(target.host, target.port).startswith(b"SSH-2.0-")
            elif kind == "127.2":
                with pytest.raises(ConnectionRefusedError):
                    _greeting(target.host, target.port)
            else:
                with pytest.raises(TimeoutError):
                    socket.create_connection((target.host, target.port), timeout=0.3)
        assert kinds == {"127.1": 3, "127.2": 1, "127.3": 2}


@pytest.mark.usefixtures("sshd")
def test_the_key_lets_its_user_in_and_known_hosts_names_each_machine() -> None:
    with Farm(1) as farm:
        target = farm.targets[0]
        done = subprocess.run(
            ["ssh", "-F", "none", "-i", farm.identity, "-p", str(target.port),
             "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={farm.known_hosts}",
             f"{farm.user}@{target.host}", "id -un"],
            capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (done.returncode, done.stdout.strip()) == (0, farm.user), done.stderr


@pytest.mark.usefixtures("sshd")
def test_a_farm_whose_process_is_killed_leaves_no_server_and_no_folder() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        folder, *pids = process.stdout.readline().split()
        assert len(pids) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        until = time.monotonic() + 10
        while time.monotonic() < until and (
            Path(folder).exists() or any(_lives(pid) for pid in pids)
        ):
            time.sleep(0.02)  # Another process cleans up: it tells nobody.
        assert not Path(folder).exists()
        assert not any(_lives(pid) for pid in pids)


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    # A process that nobody has waited for is no more than its number.
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
