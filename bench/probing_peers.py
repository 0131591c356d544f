"""Who else probes fleets, each asked to do one sweep of the same machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from environments import PeerMissing, prepare

from thalweg.deploy.fleet_farm import Farm

__all__ = ["PEERS", "Asked", "asked_of", "run_script"]

_HERE = Path(__file__).resolve().parent
_PATIENCE = 300.0


@dataclass(frozen=True)
class Asked:
    """What a sweep asks, of whom; all are given the same."""

    hosts: Sequence[str]
    port: int
    user: str
    identity: str
    known_hosts: str
    command: str
    answer: str
    connect_timeout: int
    at_once: int
    every: float
    sweeps: int
    keep: bool


def asked_of(farm: Farm, *, at_once: int = 32, sweeps: int = 1, keep: bool = False) -> Asked:
    """A sweep of this farm, in which each machine tells its system."""
    return Asked(
        hosts=[target.host for target in farm.targets],
        port=farm.targets[0].port,
        user=farm.user,
        identity=farm.identity,
        known_hosts=farm.known_hosts,
        command="uname -s",
        answer="Linux",
        connect_timeout=1,
        at_once=at_once,
        every=0.5,
        sweeps=sweeps,
        keep=keep,
    )


def run_script(python: Path | str, module: str, asked: Asked) -> Any:
    """What a script among the peers prints, as data. Raises PeerMissing where it fails."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asdict(asked), file)
        file.flush()
        done = subprocess.run(
            [str(python), str(_HERE / "peers" / f"{module}.py"), file.name],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            if str(python) == sys.executable
            else None,
        )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise PeerMissing(f"{module} failed: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def _ssh_options(asked: Asked) -> list[str]:
    return [
        "-F", "none", "-i", asked.identity, "-p", str(asked.port), "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={asked.known_hosts}",
        "-o", f"ConnectTimeout={asked.connect_timeout}",
    ]  # fmt: skip


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise PeerMissing(f"there is no {name}: apt install {package}")
    return found


def _timed(command: Sequence[str], asked: Asked, **variables: str) -> tuple[float, int]:
    """The seconds that a program takes, and the machines of which it tells the answer."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **variables},
    )
    seconds = time.perf_counter() - began
    hosts = set(asked.hosts)
    found = set[str]()
    last = ""
    for line in done.stdout.splitlines():
        name, _, rest = line.partition(":")
        if name in hosts and rest.strip() == asked.answer:
            found.add(name)
        if line.strip() == asked.answer and last in hosts:
            found.add(last)
        last = line.split(" ", 1)[0]
    if not found:
        raise PeerMissing(f"{command[0]} found nobody: {done.stderr.strip()[:200]}")
    return seconds, len(found)


def _asyncssh(asked: Asked) -> tuple[float, int]:
    told = run_script(sys.executable, "probing_asyncssh", asked)
    return told["seconds"], len(told["found"])


def _parallel_ssh(asked: Asked) -> tuple[float, int]:
    told = run_script(prepare("parallel_ssh"), "probing_parallel_ssh", asked)
    return told["seconds"], len(told["found"])


def _pdsh(asked: Asked) -> tuple[float, int]:
    command = [
        _program("pdsh", "pdsh"), "-R", "ssh", "-f", str(asked.at_once), "-u", "15",
        "-t", str(asked.connect_timeout),
        "-l", asked.user, "-w", ",".join(asked.hosts), asked.command,
    ]  # fmt: skip
    return _timed(command, asked, PDSH_SSH_ARGS_APPEND=" ".join(_ssh_options(asked)))


def _clush(asked: Asked) -> tuple[float, int]:
    command = [
        _program("clush", "clustershell"), "-f", str(asked.at_once), "-l", asked.user,
        "-t", str(asked.connect_timeout), "-u", "15", "-o", " ".join(_ssh_options(asked)),
        "-w", ",".join(asked.hosts), asked.command,
    ]  # fmt: skip
    return _timed(command, asked)


def _ansible(asked: Asked) -> tuple[float, int]:
    program = prepare("ansible").with_name("ansible")
    command = [
        str(program), "all", "-i", ",".join(asked.hosts) + ",", "-f", str(asked.at_once),
        "-u", asked.user, "-T", str(asked.connect_timeout), "-m", "raw", "-a", asked.command,
        "--ssh-common-args", " ".join(_ssh_options(asked)),
    ]  # fmt: skip
    return _timed(command, asked, ANSIBLE_NOCOLOR="1", ANSIBLE_PYTHON_INTERPRETER="none")


PEERS: dict[str, Callable[[Asked], tuple[float, int]]] = {
    "asyncssh": _asyncssh,
    "pdsh": _pdsh,
    "clush": _clush,
    "parallel-ssh": _parallel_ssh,
    "Ansible": _ansible,
}
