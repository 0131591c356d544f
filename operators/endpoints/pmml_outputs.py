"""How the outputs of a PMML model become the fields of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.contracts import dataclass
from .tensors import Tensor

__all__ = ["PmmlOutput", "PmmlOutputs"]


@dataclass(frozen=True, slots=True)
class PmmlOutput:
    """One output as the model declares it: what it tells (`feature`), and of which class."""

    tensor: Tensor
    feature: str
    value: str | None


class PmmlOutputs:
    """Puts `prediction` and `probability` before the model's own outputs, where it tells them.

    An output of the model that has one of these names itself keeps it.
    """

    def __init__(self, outputs: Sequence[PmmlOutput]) -> None:
        own = [output.tensor.name for output in outputs]
        self.predicted = _first(outputs, "predictedValue")
        """At which place the model tells its prediction, or None where it tells none."""
        self._probable = _first(outputs, "probability")
        self._classes = {
            output.value: place
            for place, output in enumerate(outputs)
            if output.feature == "probability" and output.value is not None
        }
        added: list[Tensor] = []
        self._adds_prediction = self.predicted is not None and "prediction" not in own
        if self.predicted is not None and self._adds_prediction:
            said = outputs[self.predicted].tensor
            added.append(Tensor("prediction", said.datatype, said.shape))
        known = self._probable is not None or (bool(self._classes) and self.predicted is not None)
        self._adds_probability = known and "probability" not in own
        if self._adds_probability:
            added.append(Tensor("probability", "FP64", (-1, 1)))
        self.tensors: tuple[Tensor, ...] = (*added, *(output.tensor for output in outputs))
        self.names = tuple(tensor.name for tensor in self.tensors)

    def rows(self, told: Sequence[Sequence[object]]) -> list[Sequence[object]]:
        """The rows of an answer, of the rows that the model told."""
        columns = list(zip(*told, strict=True))
        added: list[Sequence[object]] = []
        if self.predicted is not None and self._adds_prediction:
            added.append(columns[self.predicted])
        if self._adds_probability:
            added.append(self._probabilities(told, columns))
        return list(zip(*added, *columns, strict=True))

    def _probabilities(
        self, told: Sequence[Sequence[object]], columns: Sequence[Sequence[object]]
    ) -> Sequence[object]:
        if self._probable is not None:
            return columns[self._probable]
        assert self.predicted is not None
        places = (self._classes.get(str(value)) for value in columns[self.predicted])
        return [
            None if place is None else row[place] for row, place in zip(told, places, strict=True)
        ]


def _first(outputs: Sequence[PmmlOutput], feature: str) -> int | None:
    for place, output in enumerate(outputs):
        if output.feature == feature and output.value is None:
            return place
    return None
