"""A target without SSH: its shell in a session of its own, as sshd starts it."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from thalweg.operators.fleet.ssh.remote_run import Ending, RemoteRun

from ....missing import found

SHELLS = ("dash", "bash", "busybox")


def shell_named(name: str, folder: Path) -> str:
    """The path of a program that takes `-c` as that shell does."""
    path = found(name)
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

    def ending(self) -> Ending:
        """Wait for the end of both outputs, then tell."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        errors: list[bytes] = []
        stderr = self.process.stderr
        reader = threading.Thread(target=lambda: errors.append(stderr.read()))
        reader.start()
        out = self.process.stdout.read()
        reader.join()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            # Closing writes what is left for one that has ended without reading.
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        ending = self.run.ending(out, errors[0])
        if ending.kind not in ("cut_off", "unsupported"):
            assert self.run.is_complete(out)
            assert self.run.is_error_complete(errors[0])
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

    With `late` the run is sent when that has ended already.
    """
    process = subprocess.Popen(
        [login, "-c", run.command.replace("/bin/sh", shell)],
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
