"""The records of `scoring.py`, their requests and their answers: the same for everyone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import orjson

from peers.serving import wall_and_cpu_seconds

__all__ = [
    "BATCH",
    "FIELDS",
    "HEADERS",
    "IN_FLIGHT",
    "Delivery",
    "Flower",
    "Work",
    "batches",
    "decode",
    "encode",
    "make",
    "timed",
]

Flower = dict[str, Any]

BATCH = 64
"""Records in a request."""

IN_FLIGHT = 16
"""Requests at once."""

FIELDS = {
    "sepal_length": "Sepal.Length",
    "sepal_width": "Sepal.Width",
    "petal_length": "Petal.Length",
    "petal_width": "Petal.Width",
}
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "thalweg",
}
NAMES = tuple(FIELDS.values())
ROW = itemgetter(*FIELDS)


def make(count: int) -> list[Flower]:
    """So many flowers."""
    return [
        {
            "n": n,
            "sepal_length": round(4.3 + n % 36 / 10, 1),
            "sepal_width": round(2.0 + n % 25 / 10, 1),
            "petal_length": round(1.0 + n % 59 / 10, 1),
            "petal_width": round(0.1 + n % 24 / 10, 1),
            "species": species(round(1.0 + n % 59 / 10, 1)),
        }
        for n in range(count)
    ]


def species(petal_length: float) -> str:
    """What the server says of a flower."""
    if petal_length < 2.5:
        return "setosa"
    return "versicolor" if petal_length < 4.9 else "virginica"


def batches(flowers: Sequence[Flower]) -> list[Sequence[Flower]]:
    """The flowers by 64."""
    return [flowers[start : start + BATCH] for start in range(0, len(flowers), BATCH)]


def encode(batch: Sequence[Flower]) -> bytes:
    """The request for some flowers."""
    return orjson.dumps({"input_data": [{"fields": NAMES, "values": list(map(ROW, batch))}]})


def decode(batch: Sequence[Flower], answer: bytes) -> list[Flower]:
    """Each flower with the model's answer for it."""
    (prediction,) = orjson.loads(answer)["predictions"]
    first, second = prediction["fields"]
    values = prediction["values"]
    return [{**flower, first: a, second: b} for flower, (a, b) in zip(batch, values, strict=True)]


class Delivery:
    """Where scored flowers arrive: they are counted, and when asked for also looked at."""

    def __init__(self, *, checked: bool) -> None:
        self.count = 0
        self._checked = checked

    def take(self, flowers: Sequence[Flower]) -> None:
        """Some have arrived."""
        self.count += len(flowers)
        if self._checked:
            for flower in flowers:
                if flower["prediction"] != flower["species"] or len(flower["probability"]) != 3:
                    raise AssertionError(f"{flower} was joined to another flower's answer")


Work = Callable[[str, Sequence[Flower], Delivery], None]
"""Scores the flowers with the server at an address and delivers them."""


COLLECTOR = (50_000, 20, 50)
"""The garbage collector's settings: those of `thalweg run`, for everyone who takes part."""


def timed(work: Work, flowers: Sequence[Flower]) -> Callable[[str, int, bool], tuple[float, float]]:
    """Measures this work for so many of the flowers: seconds on the wall, and of CPU time."""

    def measure(url: str, count: int, checked: bool) -> tuple[float, float]:
        some = flowers if count >= len(flowers) else flowers[:count]

        def deliver() -> int:
            delivery = Delivery(checked=checked)
            work(url, some, delivery)
            return delivery.count

        gc.collect()
        gc.freeze()
        before = gc.get_threshold()
        gc.set_threshold(*COLLECTOR)
        try:
            return wall_and_cpu_seconds(deliver, len(some))
        finally:
            gc.set_threshold(*before)
            gc.unfreeze()

    return measure
