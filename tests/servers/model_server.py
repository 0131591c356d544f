"""A real model server as a process of its own, which can be stopped, killed and started again."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

__all__ = ["ModelServer", "free_ports"]

_PATIENCE = 120.0
"""Seconds for a start: it takes ten on a machine that has nothing else to do."""


class ModelServer:
    """A server and the processes that it starts, on a port of its own; leaving the block kills it.

    `ready` is the path that answers 200 as soon as the models are loaded.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        port: int,
        ready: str,
        environment: Mapping[str, str],
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._ready = ready
        self._command = command
        self._folder = folder
        self._log = folder / "server.log"
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ModelServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it is ready. It begins to answer some time before that."""
        with self._log.open("ab") as log:
            # A group of its own, so that a signal reaches the workers as well.
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + _PATIENCE
        while not self._is_ready():
            status = self._process.poll()
            if status is not None or time.monotonic() > end:
                happened = "is not ready" if status is None else f"ended with {status}"
                self.kill()
                raise RuntimeError(f"{self._command[0]} {happened}: {self._last_words()}")
            time.sleep(0.05)  # Nothing tells when it is ready but its answer.

    def pause(self) -> None:
        """Let it do nothing at all; connections to it are still accepted, by the system."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _is_ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", self._ready)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has, none of which the system gives to who asks for any.

    A server that is started again wants its port back, and nobody may have got it meanwhile.
    """
    free: list[int] = []
    for port in random.sample(range(20_000, 32_000), 1_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            free.append(port)
        if len(free) == count:
            return free
    raise RuntimeError(f"of 1,000 ports of 127.0.0.1 from 20000 to 31999 no {count} are free")
