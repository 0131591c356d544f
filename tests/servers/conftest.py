from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .flowers import Flowers, train
from .model_server import ModelServer, free_ports

_ENVIRONMENTS = Path(__file__).parents[2] / ".venv-servers"


@dataclass(frozen=True)
class Served:
    """A server that runs, and what its models know."""

    server: ModelServer
    flowers: Flowers


def _programs(server: str) -> Path:
    """Where the server's environment has its programs.

    Where it is not made the test is skipped, but with CI set it fails.
    """
    home = _ENVIRONMENTS / server
    if not (home / ".made").exists():
        reason = f"no environment for {server} in .venv-servers: run `make test-servers`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return home / "bin"


@pytest.fixture(scope="session")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """MLServer with the models `iris`, `bare` and `columns`; see `train.py`."""
    programs = _programs("mlserver")
    folder = tmp_path_factory.mktemp("mlserver")
    flowers = train(programs / "python", "mlserver", folder)
    ports = free_ports(3)
    names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    environment = dict(zip(names, map(str, ports), strict=True))
    with ModelServer(
        [programs / "mlserver", "start", folder],
        folder=folder,
        port=ports[0],
        ready="/v2/health/ready",
        environment={"MLSERVER_HOST": "127.0.0.1", **environment},
    ) as server:
        yield Served(server, flowers)


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """MLflow's scoring server with the model `columns`; see `train.py`."""
    programs = _programs("mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    flowers = train(programs / "python", "mlflow", folder)
    (port,) = free_ports(1)
    options = ("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port))
    with ModelServer(
        [programs / "mlflow", "models", "serve", "--model-uri", "columns", *options],
        folder=folder,
        port=port,
        ready="/ping",
        # It starts its server by name.
        environment={"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
    ) as server:
        yield Served(server, flowers)
