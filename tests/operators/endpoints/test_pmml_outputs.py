from __future__ import annotations

import pytest

from thalweg.operators.endpoints.pmml_outputs import PmmlOutput, PmmlOutputs
from thalweg.operators.endpoints.tensors import Tensor


def output(name: str, feature: str, value: str | None = None) -> PmmlOutput:
    return PmmlOutput(Tensor(name, "FP64", (-1, 1)), feature, value)


PREDICTED = output("$R-x", "predictedValue")
SURE = output("$RC-x", "probability")
CLASSES = [output("p_1", "probability", "1"), output("p_2", "probability", "2")]


@pytest.mark.parametrize(
    ("outputs", "told", "names", "row"),
    [
        ([PREDICTED], [7], ("prediction", "$R-x"), (7, 7)),
        ([SURE, PREDICTED], [0.5, 7], ("prediction", "probability"), (7, 0.5, 0.5, 7)),
        (
            [PREDICTED, *CLASSES],
            [2, 0.4, 0.6],
            ("prediction", "probability"),
            (2, 0.6, 2, 0.4, 0.6),
        ),
        (
            [PREDICTED, *CLASSES],
            [3, 0.4, 0.6],
            ("prediction", "probability"),
            (3, None, 3, 0.4, 0.6),
        ),
        ([output("node", "entityId")], ["1"], ("node",), ("1",)),
        (
            [output("prediction", "predictedValue"), output("probability", "probability", "1")],
            [7, 0.5],
            ("prediction", "probability"),
            (7, 0.5),
        ),
    ],
)
def test_prediction_and_probability_stand_before_the_model_s_own(
    outputs: list[PmmlOutput], told: list[object], names: tuple[str, ...], row: tuple[object, ...]
) -> None:
    arranged = PmmlOutputs(outputs)
    assert arranged.rows([told]) == [row]
    assert arranged.names[: len(names)] == names
    assert len(arranged.names) == len(arranged.tensors) == len(row)
    assert len(set(arranged.names)) == len(row)
