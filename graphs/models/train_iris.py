# pyright: basic
# (scikit-learn, skl2onnx and onnx carry no complete types)
"""Train the iris model and write what the graphs use: iris.onnx here and ../data/iris.csv.

    pip install 'thalweg[train]'
    python graphs/models/train_iris.py

The same versions of the packages write the same bytes again. The model takes four inputs of shape
[N, 1], one for each measurement in centimetres, and answers the species by name and the
probability of each class; the names of the classes stand in its metadata under `classes`.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIELDS = ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width", "species")
# What onnxruntime 1.18, the oldest supported one, reads without a warning.
OPERATOR_SETS = {"": 17, "ai.onnx.ml": 3}


def main() -> None:
    """Write both files and print how well the model knows the flowers it was trained on."""
    from sklearn.datasets import load_iris

    bunch: Any = load_iris()
    species = [str(bunch.target_names[index]) for index in bunch.target]
    accuracy = write_model(bunch.data, species, HERE / "iris.onnx")
    write_rows(bunch.data, species, HERE.parent / "data" / "iris.csv")
    print(f"iris.onnx and iris.csv written; {accuracy:.3f} of the flowers are told right")  # noqa: T201


def write_model(measurements: Any, species: list[str], path: Path) -> float:
    """Train on the measurements, convert, write; return the share of right answers."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    scaled = [(name, StandardScaler(), [index]) for index, name in enumerate(FIELDS)]
    classifier: Any = LogisticRegression(C=10.0, tol=1e-8, max_iter=10_000)
    pipeline = Pipeline([("scaled", ColumnTransformer(scaled)), ("classifier", classifier)])
    pipeline.fit(measurements, species)
    # The last digits differ from run to run and from machine to machine, and mean nothing.
    classifier.coef_ = classifier.coef_.round(4)
    classifier.intercept_ = classifier.intercept_.round(4)
    initial_types: Any = [(name, FloatTensorType([None, 1])) for name in FIELDS]
    model: Any = to_onnx(
        pipeline,
        initial_types=initial_types,
        options={"zipmap": False},
        target_opset=OPERATOR_SETS,
    )
    rename(model.graph, {name.replace(".", "_"): name for name in FIELDS})
    rename(model.graph, {"label": "prediction", "probabilities": "probability"})
    operator_sets = sorted(model.opset_import, key=lambda used: str(used.domain))
    del model.opset_import[:]
    model.opset_import.extend(operator_sets)
    model.graph.name = "iris"
    model.graph.doc_string = "Species of an iris from four measurements in centimetres."
    model.model_version = 1
    classes = model.metadata_props.add()
    classes.key, classes.value = "classes", json.dumps(list(map(str, pipeline.classes_)))
    path.write_bytes(model.SerializeToString(deterministic=True))
    return float(pipeline.score(measurements, species))


def rename(graph: Any, names: dict[str, str]) -> None:
    """Give tensors other names: the converter makes identifiers of them, and `.` is not in one."""
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def write_rows(measurements: Any, species: list[str], path: Path) -> None:
    """Write the rows as they stand in scikit-learn, in its order."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row, name in zip(measurements.tolist(), species, strict=True):
            writer.writerow([*row, name])


if __name__ == "__main__":
    main()
