"""The flowers that the models of a server were trained with, and what they said of them then."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.operators.transforms.score import Prediction

__all__ = ["COLUMNS", "MEASURES", "Flowers", "Joined", "Record", "joined", "train"]

Record = dict[str, object]

MEASURES = {name: name for name in ("sepal_length", "sepal_width", "petal_length")}
"""The fields of a flower that every model takes."""

COLUMNS = {**MEASURES, "species": "species"}
"""The fields that the model `columns` takes."""

_SCRIPT = Path(__file__).with_name("train.py")

Joined = tuple[object, Prediction, str | None]


def joined(record: Record, prediction: Prediction) -> Joined:
    """The number of a record, what the model said, and the version that it told."""
    return record["n"], prediction, prediction.model_version


@dataclass(frozen=True)
class Flowers:
    """A thousand different flowers, and the width of a petal that each model tells for each."""

    flowers: list[Record]
    said: Mapping[str, list[float]]

    @property
    def records(self) -> list[Record]:
        """The flowers as records, numbered."""
        return [{"n": n, **flower} for n, flower in enumerate(self.flowers)]

    def scored(
        self,
        model: str,
        name: str,
        numbers: Iterable[int] | None = None,
        *,
        version: str | None = None,
    ) -> list[Record]:
        """These records, or all, with what the model said as `name`, and with its version."""
        chosen = range(len(self.flowers)) if numbers is None else numbers
        said = self.said[model]
        told: Record = {} if version is None else {"model_version": version}
        return [{"n": n, **self.flowers[n], name: said[n], **told} for n in chosen]


def train(python: Path, server: str, folder: Path) -> Flowers:
    """Train what this server serves into `folder`, with the Python of its environment."""
    command = (python, "-W", "ignore", _SCRIPT, server, folder)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: Any = json.loads((folder / "flowers.json").read_text())
    return Flowers(told["flowers"], told["said"])
