"""One machine of a farm: an SSH server of its own, at an address of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import field
from pathlib import Path

from ...runtime.dataclass import dataclass

__all__ = ["Machine", "listening"]


@dataclass(slots=True)
class Machine:
    """An `sshd` that runs, with its own host key; `public_key` is the line of known_hosts for it.

    `process` is its first one; each connection gets one more of its own.
    """

    name: str
    address: str
    port: int
    config: Path
    public_key: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, program: str) -> None:
        """Start it; it answers a little later."""
        self.process = subprocess.Popen(
            [program, "-D", "-f", str(self.config), "-E", str(self.config.with_suffix(".log"))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def pause(self) -> None:
        """Let it stand still: it accepts connections, and says nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on where it stood."""
        self._signal(signal.SIGCONT)

    def sessions(self) -> list[int]:
        """The processes that serve its connections."""
        if self.process is None or self.process.poll() is not None:
            return []
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def drop(self) -> None:
        """Break off all its connections; new ones are taken on."""
        for child in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def stop(self) -> None:
        """End it: its port is closed from then on. Connections that are open stay."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()

    def log(self) -> str:
        """What it has written down."""
        path = self.config.with_suffix(".log")
        return path.read_text(errors="replace") if path.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)


def listening(machines: list[Machine], *, seconds: float) -> list[Machine]:
    """Wait until all of them answer; return those that do not by then, or have ended."""
    until = time.monotonic() + seconds
    while True:
        open_ports = _open_ports()
        missing = [one for one in machines if (one.address, one.port) not in open_ports]
        ended = any(one.process is None or one.process.poll() is not None for one in missing)
        if not missing or ended or time.monotonic() > until:
            return missing
        time.sleep(0.02)


def _open_ports() -> set[tuple[str, int]]:
    """The addresses and ports that somebody listens at: asking them would cost each a session."""
    found: set[tuple[str, int]] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == "0A":
            address, _, port = local.partition(":")
            octets = [str(int(address[i : i + 2], 16)) for i in (6, 4, 2, 0)]
            found.add((".".join(octets), int(port, 16)))
    return found
