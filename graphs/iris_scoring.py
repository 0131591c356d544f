"""Score iris flowers with a model; keep what was scored, and apart from it what could not be.

thalweg run iris_scoring
thalweg run iris_scoring --set bad_every=20
thalweg run iris_scoring --set 'endpoint=oip+http://127.0.0.1:8501/v2/models/iris'
"""

from __future__ import annotations

import os
from typing import Any

from thalweg import Graph, setting
from thalweg.operators import Prediction, score, sinks, sources

HERE = os.path.relpath(os.path.dirname(os.path.realpath(__file__)))

endpoint = setting(
    "endpoint",
    f"onnx:{HERE}/models/iris.onnx",
    "where the model answers: onnx:FILE, wml+URL or oip+URL",
)
repeat = setting("repeat", 1000, "how often the 150 flowers are read; 0 is endless", minimum=0)
rate = setting("rate", 0.0, "flowers read per second at most; 0 is no limit", minimum=0)
max_batch_size = setting("max_batch_size", 256, "flowers in a request at most", minimum=1)
linger = setting("linger", 0.05, "seconds that a flower waits for others at most", minimum=0)
max_in_flight = setting("max_in_flight", 8, "requests under way at once", minimum=1)
bad_every = setting(
    "bad_every", 0, "spoil every flower of this number, to see it fail; 0 is none", minimum=0
)
out = setting("out", "out", "the folder that the results go to")

FLOWER = {
    "sepal_length": float,
    "sepal_width": float,
    "petal_length": float,
    "petal_width": float,
    "species": str,
}
FIELDS = {
    "sepal_length": "Sepal.Length",
    "sepal_width": "Sepal.Width",
    "petal_length": "Petal.Length",
    "petal_width": "Petal.Width",
}

Flower = dict[str, Any]


def spoil(flower: Flower) -> Flower:
    """Take a mandatory field from every flower whose turn it is."""
    if flower["n"] % bad_every == bad_every - 1:
        return {name: value for name, value in flower.items() if name != "petal_width"}
    return flower


def judge(flower: Flower, prediction: Prediction) -> Flower:
    """The flower with the species predicted, how probable that is, and whether it is right."""
    species: Any = prediction["prediction"]
    probable: Any = prediction["probability"]  # of the species predicted, or a list of them all
    return {
        **flower,
        "prediction": species,
        "probability": probable if isinstance(probable, float) else max(probable),
        "correct": species == flower["species"],
    }


graph = Graph("iris_scoring")

flowers = graph.read(
    "flowers",
    sources.csv_records(
        f"{HERE}/data/iris.csv", columns=FLOWER, number="n", repeat=repeat, rate=rate or None
    ),
)
if bad_every:
    flowers = flowers.map(spoil, name="spoil")
scored = flowers.batch(max_batch_size, linger=linger, name="batch").via(
    "score", score(endpoint, fields=FIELDS, join=judge, max_in_flight=max_in_flight)
)
scored.to("scored", sinks.ndjson(f"{out}/scored.ndjson"))
graph.failed.to("failed", sinks.ndjson(f"{out}/failed.ndjson"))
