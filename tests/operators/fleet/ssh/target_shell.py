"""A target without SSH: its shell in a session of its own, as sshd starts it."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from dataclasses import dataclass
from pathlib import Path

from thalweg.operators.fleet.ssh.remote_run import Ending, RemoteRun

from ....missing import found

SHELLS = ("dash", "bash", "busybox", "perl")
"""What may run a probe there; where there is Perl, its shell only starts that."""


def shell_named(name: str, folder: Path) -> str:
    """The path of a program that takes `-c` as that shell does, or `perl`."""
    path = found(name)
    if name == "perl":
        return name
    if name != "busybox":
        return path
    applet = folder / "busybox-sh"
    applet.write_text(f'#!/bin/sh\nexec {path} sh "$@"\n')
    applet.chmod(0o755)
    return str(applet)


@dataclass(slots=True)
class Session:
    """A run that has begun; its standard input stays open until `close_input`."""

    run: RemoteRun
    process: subprocess.Popen[bytes]

    def close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def send(self, run: RemoteRun) -> None:
        """Send one more run to what stays from the one before."""
        assert self.process.stdin is not None
        self.run = run
        self.process.stdin.write(run.again)
        self.process.stdin.flush()

    def told(self) -> Ending:
        """Wait until all of the run has come, or both outputs have ended."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        printed = {self.process.stdout: bytearray(), self.process.stderr: bytearray()}
        open_ones = set(printed)
        out, error = printed.values()
        while open_ones and not (self.run.is_complete(out) and self.run.is_error_complete(error)):
            for pipe in select.select(open_ones, [], [])[0]:
                text = os.read(pipe.fileno(), 65_536)
                printed[pipe] += text
                if not text:
                    open_ones.remove(pipe)
        ending = self.run.ending(bytes(out), bytes(error))
        if ending.kind not in ("cut_off", "unsupported"):
            assert self.run.is_complete(out)
            assert self.run.is_error_complete(error)
        return ending

    def ending(self) -> Ending:
        """Wait for the end of the run, then of all that it took."""
        ending = self.told()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            # Closing writes what is left for one that has ended without reading.
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self.process.wait()
        return ending


def start(
    run: RemoteRun,
    shell: str = "/bin/sh",
    *,
    login: str = "/bin/sh",
    leads: bool = True,
    late: bool = False,
    environment: dict[str, str] | None = None,
) -> Session:
    """Start a run; `shell` stands where the target has /bin/sh, `login` is its user's shell.

    Only where `shell` is `perl` the target has it. With `late` the run is sent when that has ended
    already.
    """
    command = run.command
    if shell == "perl":
        shell = "/bin/sh"
    else:
        command = command.replace("/usr/bin/perl", "/usr/bin/none").replace("/bin/sh", shell)
    process = subprocess.Popen(
        [login, "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=leads,
        env=environment,
    )
    assert process.stdin is not None
    if late:
        process.wait()
    head, found, payload = run.sent.rpartition(f"#{run.marker}\n".encode())
    with contextlib.suppress(BrokenPipeError):  # It may have ended without reading.
        process.stdin.write(head.replace(b"/bin/sh", shell.encode()) + found + payload)
        process.stdin.flush()
    return Session(run, process)


def ended(pid: int, seconds: float = 5.0) -> bool:
    """Whether a process ends within that time; this waits for it, and for nothing else."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)
