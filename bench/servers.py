"""Model servers as processes of their own: the light one of the benches, and `thalweg serve`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

__all__ = ["LightServer", "ServedModel", "change_faults"]

BENCH = Path(__file__).resolve().parent
MODEL = BENCH.parent / "graphs" / "models" / "iris.onnx"
DEPLOYMENT = "/ml/v4/deployments/iris/predictions?version=2020-09-01"


class _Process:
    """A server that says where it is in its first line, and its CPU time."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=BENCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._said = self._process.stdout.readline()
        if not self._said:
            raise RuntimeError(f"the server did not start: {' '.join(command)}")

    def cpu_seconds(self) -> float:
        """The CPU time that it has used so far; 0 where the system does not tell."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return 0.0
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate(timeout=30)


class LightServer(_Process):
    """`scoring_server.py`: a port for each delay in milliseconds, or for each text of faults.

    `urls` are its deployments by what was asked for, `roots` what their paths stand under.
    """

    def __init__(self, ports: Sequence[float | str]) -> None:
        super().__init__(
            [sys.executable, "-c", "import scoring_server; scoring_server.main()",
             *map(str, ports)]
        )  # fmt: skip
        numbers = json.loads(self._said)
        self.roots = {
            port: f"http://127.0.0.1:{number}" for port, number in zip(ports, numbers, strict=True)
        }
        self.urls = {port: root + DEPLOYMENT for port, root in self.roots.items()}


class ServedModel(_Process):
    """`thalweg serve` with the model of the iris, and faults that `/faults` changes."""

    def __init__(self, faults: str) -> None:
        super().__init__(
            [sys.executable, "-m", "thalweg.deploy.cli", "serve", str(MODEL), "--port", "0",
             "--fault", faults]
        )  # fmt: skip
        _, _, told = self._said.partition("endpoint=wml+")
        self.wml = told.partition("'")[0]
        self.root = self.wml.partition("/ml/")[0]
        self.infer = f"{self.root}/v2/models/iris"


def change_faults(root: str, **faults: object) -> None:
    """Change some of the faults of a server that runs."""
    request = urllib.request.Request(
        f"{root}/faults",
        data=json.dumps(faults).encode(),
        headers={"Content-Type": "application/json"},
        method="PATCH",
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
