# pyright: basic
"""Train the models that a server serves, in the environment of that server.

    python train.py mlserver|mlflow FOLDER

The iris flowers of scikit-learn, each a little moved, so that a thousand of them are a thousand
different ones. The models tell the width of a petal from the other measures, so that most flowers
get an answer of their own, and are made of trees, so that it is the very same in every batch.
Beside the models, `flowers.json` holds the flowers and what each model says of them here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FLOWERS = 1000
MEASURES = ("sepal_length", "sepal_width", "petal_length")
# MLServer's names for what the fields of `columns` are.
COLUMNS = [
    *({"name": name, "datatype": "FP64", "shape": [-1, 1]} for name in MEASURES),
    {
        "name": "species",
        "datatype": "BYTES",
        "shape": [-1, 1],
        "parameters": {"content_type": "str"},
    },
]


def main(server: str, folder: Path) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.datasets import load_iris
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    iris = load_iris(as_frame=True)
    chosen = [(7 * n) % len(iris.data) for n in range(FLOWERS)]
    flowers = iris.data.iloc[chosen].reset_index(drop=True)
    flowers.columns = [*MEASURES, "petal_width"]
    for place, name in enumerate(MEASURES):
        flowers[name] = [
            round(value + (n * (place + 3) % 97) / 400, 4) for n, value in enumerate(flowers[name])
        ]
    flowers["species"] = [str(iris.target_names[iris.target[n]]) for n in chosen]

    def trees() -> Any:
        return GradientBoostingRegressor(random_state=0)

    measures, width = flowers[list(MEASURES)], flowers["petal_width"]
    both = ColumnTransformer([("species", OneHotEncoder(), ["species"])], remainder="passthrough")
    columns = flowers[[*MEASURES, "species"]]
    models = {"columns": make_pipeline(both, trees()).fit(columns, width)}
    said = {"columns": models["columns"].predict(columns).tolist()}
    if server == "mlserver":
        models["iris"] = trees().fit(measures.to_numpy(), width)
        said["iris"] = models["iris"].predict(measures.to_numpy()).tolist()
        _for_mlserver(models, folder)
    else:
        _for_mlflow(models["columns"], columns, width, folder)
    told = {"flowers": columns.to_dict("records"), "said": said}
    (folder / "flowers.json").write_text(json.dumps(told))


def _for_mlserver(models: dict[str, Any], folder: Path) -> None:
    from joblib import dump

    row = [{"name": "flower", "datatype": "FP32", "shape": [-1, len(MEASURES)]}]
    for name, model, inputs, parameters in (
        ("iris", models["iris"], row, {"version": "v7"}),
        ("bare", models["iris"], [], {}),
        ("columns", models["columns"], COLUMNS, {"content_type": "pd"}),
    ):
        home = folder / name
        home.mkdir(parents=True)
        dump(model, home / "model.joblib")
        settings = {
            "name": name,
            "implementation": "mlserver_sklearn.SKLearnModel",
            "inputs": inputs,
            "parameters": {"uri": "./model.joblib", **parameters},
        }
        (home / "model-settings.json").write_text(json.dumps(settings))


def _for_mlflow(model: Any, flowers: Any, width: Any, folder: Path) -> None:
    from mlflow.models import infer_signature
    from mlflow.sklearn import save_model

    signature = infer_signature(flowers, width)
    save_model(model, folder / "columns", signature=signature, serialization_format="cloudpickle")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
