"""A trial: a graph from the command line, and what a simulation of it is told."""

from __future__ import annotations

import logging
import os
import random
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, cast

import orjson

from ...runtime.contracts import Source
from ...runtime.dataclass import dataclass
from ...runtime.errors import GraphError, ThalwegError
from ...runtime.graph import Graph
from ...runtime.roles import source_role
from ...runtime.testing.simulation import FAULTS, BrokerSource, OutOfReach, simulate
from ..loading import Loaded, importable, load
from .forks import Result

__all__ = ["Trial", "Unfit"]


class Unfit(ThalwegError):
    """The graph cannot be simulated as it is; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What `thalweg test` was asked to try; plain data, since other processes are told of it."""

    target: str
    given: dict[str, str]
    records: int = 1000
    samples: dict[str, str] = field(default_factory=dict[str, str])
    faults: tuple[str, ...] = FAULTS

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Trial:
        """From what `as_dict` returned."""
        faults: list[str] = data["faults"]
        rest = {name: value for name, value in data.items() if name != "faults"}
        return cls(**rest, faults=tuple(faults))

    def as_dict(self) -> dict[str, object]:
        """As plain data, ready for JSON."""
        return asdict(self)

    def check(self) -> Loaded:
        """Load the graph, and raise Unfit for what no seed could ever run."""
        loaded = load(self.target, self.given)
        loaded.graph.plan()
        for name in self.samples:
            self._sample(name)
        _check_sources(loaded.graph, self.samples)
        _check_endpoints(loaded.graph)
        return loaded

    def run(self, seed: int) -> Result:
        """Simulate one seed; meant for a process of its own."""
        logging.disable(logging.CRITICAL)
        before = set(sys.modules)
        folder = load(self.target, self.given).folder
        random.seed(seed)
        samples = {name: self._sample(name) for name in self.samples}

        def make_graph() -> Graph:
            _forget(folder)
            return load(self.target, self.given, number=0).graph

        try:
            with importable(folder):
                report = simulate(
                    make_graph,
                    seed=seed,
                    faults=self.faults,
                    records=self.records,
                    samples=samples,
                )
        except (GraphError, OutOfReach, ValueError) as error:
            return {"seed": seed, "unfit": str(error)}
        except Exception as error:
            what = "".join(traceback.format_exception(error))
            if isinstance(error, ThalwegError):
                what = str(error)
            return {"seed": seed, "ok": False, "without_faults": what}
        loaded = sorted(set(sys.modules) - before)
        return {**report.as_dict(), "text": str(report), "loaded": loaded}

    def _sample(self, name: str) -> Sequence[object]:
        path = Path(self.samples[name])
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise Unfit(f"--source {name}={path}: {error.strerror}") from None
        found: list[object] = []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    found.append(orjson.loads(line))
                except ValueError as error:
                    raise Unfit(
                        f"--source {name}={path}: line {number} is no JSON: {error}"
                    ) from None
        if not found:
            raise Unfit(f"--source {name}={path}: there is no record in it")
        return found


def _check_sources(graph: Graph, samples: dict[str, str]) -> None:
    sources: dict[str, Source[object]] = {
        node.name: cast("Source[object]", node.work)
        for node in graph.nodes
        if isinstance(node.work, Source)
    }
    for name in samples:
        if name not in sources:
            raise Unfit(
                f"--source {name}=…: there is no source {name!r}; they are {', '.join(sources)}"
            )
    for name, work in sources.items():
        if name in samples or isinstance(work, BrokerSource):
            continue
        if source_role(work) != "seeks":
            raise Unfit(
                f"the source {name!r} ({type(work).__name__}) cannot be read again from where it "
                f"was: give some records of it, --source {name}=FILE.ndjson, one JSON value a line"
            )


def _check_endpoints(graph: Graph) -> None:
    from ...operators.endpoints.oip import Oip
    from ...operators.endpoints.wml import Wml

    for node in graph.nodes:
        endpoint = getattr(node.work, "endpoint", None)
        if isinstance(endpoint, Oip | Wml):
            raise Unfit(
                f"{node.name!r} asks {endpoint!r}, and a simulation has no network: let it ask "
                "a local model, such as --set endpoint=onnx:model.onnx where the graph has such a "
                "setting"
            )


def _forget(folder: Path) -> None:
    """Let the next load find the user's modules as a new process does: not imported yet."""
    beginning = f"{folder}{os.sep}"
    for name, module in list(sys.modules.items()):
        file = str(getattr(module, "__file__", None))
        if not file.startswith(beginning) or not file.endswith(".py"):
            continue
        installed = f"{os.sep}site-packages{os.sep}" in file or name.startswith("thalweg.")
        if not installed and name not in ("__main__", "thalweg"):
            del sys.modules[name]
