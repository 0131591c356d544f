"""`thalweg serve` as a process of its own, which can be stopped, killed and started again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

__all__ = ["ModelProcess", "versioned"]

_MODEL = Path(__file__).parents[1] / "operators" / "endpoints" / "stacked.onnx"
"""A model that takes three numbers and answers them as `same`, and their `sum`."""

_ENDPOINT = re.compile(r"endpoint=(\w+)\+(http://127\.0\.0\.1:(\d+)/[^']+)'")


def versioned(version: int, folder: Path) -> Path:
    """The model under this version: where a field stands twice in a file, the last counts."""
    path = folder / str(version) / "stacked.onnx"
    path.parent.mkdir()
    path.write_bytes(_MODEL.read_bytes() + bytes((5 << 3, version)))
    return path


class ModelProcess:
    """A server process on a port of its own; leaving the block kills it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._port = "0"
        self.endpoints: dict[str, str] = {}

    def __enter__(self) -> ModelProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, model: Path = _MODEL) -> None:
        """Start and return when it listens, on the same port as before if it was killed."""
        command = str(Path(sys.executable).with_name("thalweg"))
        self._process = subprocess.Popen(
            (command, "serve", str(model), "--port", self._port), stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        for name, url, port in _ENDPOINT.findall(self._process.stdout.readline()):
            self.endpoints[name] = f"{name}+{url}"
            self._port = port
        assert sorted(self.endpoints) == ["oip", "wml"]

    def pause(self) -> None:
        """Let it do nothing at all; connections to it are still accepted, by the system."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
